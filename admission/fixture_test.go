package admission_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
	"github.com/muster-mqtt/muster/registry/registrytest"
)

// Two accounts, each with an endpoint.
const (
	accountA, endpointA = "111111111111", "a.example.test"
	accountB, endpointB = "222222222222", "b.example.test"
)

func endpointOf(account string) string {
	if account == accountA {
		return endpointA
	}
	return endpointB
}

// fixture is a gate over a registry in memory.
type fixture struct {
	t      *testing.T
	store  *registry.Store
	gate   *admission.Gate
	memory *admission.Memory
	answer admission.Answer // of OCSP
	asked  int              // how often it was asked
}

func newFixture(t *testing.T, edit func(*admission.Config)) *fixture {
	t.Helper()
	engine := memory.New()
	sealer, err := registry.NewSealer(make([]byte, 32))
	must(t, err)
	store, err := registry.New(registry.Config{Engine: engine, Sealer: sealer})
	must(t, err)
	f := &fixture{t: t, store: store, memory: admission.NewMemory(store, zerolog.Nop())}
	for _, a := range []string{accountA, accountB} {
		must(t, store.CreateAccount(t.Context(), muster.Account{ID: a, Endpoint: endpointOf(a)}))
	}
	c := admission.Config{Registry: store, Ask: f.ask, Memory: f.memory}
	if edit != nil {
		edit(&c)
	}
	f.gate, err = admission.New(c)
	must(t, err)
	t.Cleanup(func() {
		registrytest.Check(t, engine)
		must(t, engine.Close())
	})
	return f
}

func (f *fixture) ask(context.Context, admission.Question) admission.Answer {
	f.asked++
	return f.answer
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mintAuthority(t *testing.T, name string) *mint.Authority {
	t.Helper()
	a, err := mint.NewAuthority(name)
	must(t, err)
	return a
}

// register makes an authority known that is active and registers devices by
// itself.
func (f *fixture) register(account string, mode muster.Mode, a *mint.Authority, edit func(*registry.AuthorityRegistration)) {
	f.t.Helper()
	r := registry.AuthorityRegistration{
		Account: account, PEM: string(a.CertPEM()), Mode: mode, Active: true, AutoRegistration: true,
	}
	if mode != muster.ModeSNIOnly {
		code, err := f.store.RegistrationCode(f.t.Context(), account)
		must(f.t, err)
		proof, err := a.Verification(code)
		must(f.t, err)
		r.VerificationPEM = string(proof.CertPEM())
	}
	if edit != nil {
		edit(&r)
	}
	_, err := f.store.RegisterAuthority(f.t.Context(), r)
	must(f.t, err)
}

// authority is a new one of account A.
func (f *fixture) authority(edit func(*registry.AuthorityRegistration)) *mint.Authority {
	f.t.Helper()
	a := mintAuthority(f.t, "factory")
	f.register(accountA, muster.ModeDefault, a, edit)
	return a
}

const roleARN = "arn:aws:iam::111111111111:role/provisioning"

func withTemplate(body string) func(*registry.AuthorityRegistration) {
	return func(r *registry.AuthorityRegistration) {
		r.Registration = muster.Registrar{TemplateBody: body, RoleARN: roleARN}
	}
}

func withOCSP(mode muster.OCSPMode) func(*registry.AuthorityRegistration) {
	return func(r *registry.AuthorityRegistration) {
		withTemplate(activating)(r)
		r.Tags = []muster.Tag{{Key: muster.TagOCSP, Value: string(mode)}}
	}
}

const activating = `{"Resources":{"certificate":{"Type":"AWS::IoT::Certificate",
 "Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}}}}`

func leafOf(t *testing.T, a *mint.Authority, edit func(*x509.Certificate)) *mint.Leaf {
	t.Helper()
	l, err := a.Issue(mint.Request{Subject: pkix.Name{CommonName: "sensor"}, Edit: edit})
	must(t, err)
	return l
}

// certificate registers one under a registered authority of the account.
func (f *fixture) certificate(account string, l *mint.Leaf, status muster.Status) {
	f.t.Helper()
	_, err := f.store.RegisterCertificate(f.t.Context(), registry.CertificateRegistration{
		Account: account, PEM: string(l.CertPEM()), Status: status,
	})
	must(f.t, err)
}

// withoutCA registers one that stands by itself.
func (f *fixture) withoutCA(account string, l *mint.Leaf) {
	f.t.Helper()
	_, err := f.store.RegisterCertificate(f.t.Context(), registry.CertificateRegistration{
		Account: account, PEM: string(l.CertPEM()), WithoutCA: true, Status: muster.Active,
	})
	must(f.t, err)
}

func (f *fixture) setStatus(account, authority string, status muster.Status) {
	f.t.Helper()
	_, err := f.store.UpdateAuthority(f.t.Context(), account, authority, registry.AuthorityUpdate{Status: &status})
	must(f.t, err)
}

func (f *fixture) deleteAuthority(account string, a *mint.Authority) {
	f.t.Helper()
	f.setStatus(account, idOf(a.Cert), muster.Inactive)
	must(f.t, f.store.DeleteAuthority(f.t.Context(), account, idOf(a.Cert)))
}

func idOf(c *x509.Certificate) string { return muster.Fingerprint(c.Raw) }

func state(l *mint.Leaf, sni string) tls.ConnectionState {
	return tls.ConnectionState{PeerCertificates: []*x509.Certificate{l.Cert}, ServerName: sni}
}

func (f *fixture) inspect(l *mint.Leaf, sni string) *admission.Candidate {
	return f.gate.Inspect(f.t.Context(), state(l, sni), "192.0.2.1:4711")
}

// connect is both moments of a device that sends no server name.
func (f *fixture) connect(l *mint.Leaf) admission.Outcome {
	return f.gate.Connect(f.t.Context(), f.inspect(l, ""))
}

// expect fails unless a decision has this verdict and reason.
func expect(t *testing.T, what string, d admission.Decision, v admission.Verdict, r muster.Reason) {
	t.Helper()
	if d.Verdict != v || d.Reason != r {
		t.Errorf("%s: %s %s (rule %d: %s), want %s %s", what, d.Verdict, d.Reason, d.Rule, d.Detail, v, r)
	}
}

// status returns that of the record; "" when there is none.
func (f *fixture) status(account string, l *mint.Leaf) muster.Status {
	f.t.Helper()
	records, _, err := f.store.Find(f.t.Context(), idOf(l.Cert))
	must(f.t, err)
	for _, r := range records {
		if r.Account == account {
			return r.Status
		}
	}
	return ""
}

// clock is one that tests set.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }
