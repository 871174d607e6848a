package registry_test

import (
	"bufio"
	"context"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
	"github.com/muster-mqtt/muster/registry/registrytest"
)

const (
	account  = "123456789012"
	account2 = "210987654321"
	allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`
	role     = "arn:aws:iam::123456789012:role/JITPRole"
	jitp     = `{"Parameters":{"AWS::IoT::Certificate::Id":{"Type":"String"}},"Resources":{"certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}}}}`
)

// fixture is a store on the memory engine, with two accounts and a clock that
// the test moves. Every step of a test ends in step, which checks the
// invariants; so does the end.
type fixture struct {
	*testing.T
	*registry.Store
	engine registry.Engine
	moved  atomic.Int64 // how far the clock is ahead
}

func newFixture(t *testing.T) *fixture { return newFixtureOn(t, memory.New(), registry.Config{}) }

func newFixtureOn(t *testing.T, e registry.Engine, c registry.Config) *fixture {
	t.Helper()
	sealer, err := registry.NewSealer([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t, engine: e}
	c.Engine, c.Sealer = e, sealer
	c.Now = func() time.Time { return time.Now().Add(time.Duration(f.moved.Load())) }
	if f.Store, err = registry.New(c); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{account, account2} {
		f.ok(f.CreateAccount(t.Context(), muster.Account{ID: id, Endpoint: "a" + id + ".example.test"}))
	}
	t.Cleanup(func() {
		registrytest.Check(noContext{t}, f.engine)
		if err := f.engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// noContext is a test whose own context has ended, as it has in a Cleanup.
type noContext struct{ *testing.T }

func (noContext) Context() context.Context { return context.Background() }

func (f *fixture) step() {
	f.Helper()
	registrytest.Check(f.T, f.engine)
}

func (f *fixture) advance(d time.Duration) { f.moved.Add(int64(d)) }

// ok ends the test on an error.
func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// is reports an error that is not the one wanted; nil wants success.
func (f *fixture) is(what string, got, want error) {
	f.Helper()
	if !errors.Is(got, want) {
		f.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

func must[T any](v T, err error) func(*fixture) T {
	return func(f *fixture) T {
		f.Helper()
		f.ok(err)
		return v
	}
}

// seq is the number of the last change: the same one means that nothing was
// written.
func (f *fixture) seq() uint64 {
	f.Helper()
	return must(f.Seq(f.Context()))(f)
}

func (f *fixture) mint(name string) *mint.Authority {
	f.Helper()
	return must(mint.NewAuthority(name))(f)
}

func (f *fixture) leaf(ca *mint.Authority, name string) string {
	f.Helper()
	leaf := must(ca.Issue(mint.Request{Subject: pkix.Name{CommonName: name}}))(f)
	return string(leaf.CertPEM())
}

// registration is a valid request for an active, auto-registering authority.
func (f *fixture) registration(owner string, ca *mint.Authority) registry.AuthorityRegistration {
	f.Helper()
	code := must(f.RegistrationCode(f.Context(), owner))(f)
	proof := must(ca.Verification(code))(f)
	return registry.AuthorityRegistration{
		Account: owner, PEM: string(ca.CertPEM()), VerificationPEM: string(proof.CertPEM()), Active: true, AutoRegistration: true,
	}
}

func (f *fixture) authority(ca *mint.Authority) muster.Authority {
	f.Helper()
	return must(f.RegisterAuthority(f.Context(), f.registration(account, ca)))(f)
}

func (f *fixture) register(ca *mint.Authority, name string, status muster.Status) muster.Certificate {
	f.Helper()
	return must(f.RegisterCertificate(f.Context(), registry.CertificateRegistration{
		Account: account, PEM: f.leaf(ca, name), Status: status,
	}))(f)
}

// enrol makes a pending certificate.
func (f *fixture) enrol(a muster.Authority, ca *mint.Authority, name string) muster.Certificate {
	f.Helper()
	return must(f.Enrol(f.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, name)}))(f).Certificate
}

func (f *fixture) policy(name string) {
	f.Helper()
	must(f.CreatePolicy(f.Context(), account, name, allowAll, nil))(f)
}

// force writes a document past the rules, for states that nothing leads to yet.
func (f *fixture) force(k registry.Kind, v any) {
	f.Helper()
	text := must(json.Marshal(v))(f)
	f.ok(f.engine.Update(f.Context(), func(tx registry.Tx) error {
		id, entries, err := registry.Index(k, text)
		if err != nil {
			return err
		}
		d, err := tx.Get(k, id)
		if err != nil {
			return err
		}
		return tx.Put(k, registry.Doc{ID: id, Version: d.Version, JSON: text, Index: entries})
	}))
}

// lines reads a table: fields by white space, # begins a comment.
func lines(t *testing.T, file string) [][]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out [][]string
	for s := bufio.NewScanner(f); s.Scan(); {
		text, _, _ := strings.Cut(s.Text(), "#")
		if fields := strings.Fields(text); len(fields) > 0 {
			out = append(out, fields)
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s is empty", file)
	}
	return out
}

func fingerprint(t *testing.T, text string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("not PEM")
	}
	return muster.Fingerprint(block.Bytes)
}
