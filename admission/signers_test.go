package admission_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/internal/mint"
)

// renewed is another certificate of the same authority: same name, same key.
func renewed(t *testing.T, a *mint.Authority) *mint.Authority {
	t.Helper()
	l, err := mint.SelfSigned(mint.Request{
		Subject: a.Cert.Subject, Key: a.Key,
		Edit: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign },
	})
	must(t, err)
	return &mint.Authority{Cert: l.Cert, Key: l.Key}
}

// TestSigner finds the authority by its key, not by its name.
func TestSigner(t *testing.T) {
	f := newFixture(t, nil)
	first, second, third := f.authority(nil), f.authority(nil), f.authority(nil)
	for _, a := range []*mint.Authority{third, first, second} {
		c := f.inspect(leafOf(t, a, nil), "")
		expect(t, "signed", c.Decision, admission.Register, "")
		if got := c.Facts.Authority.ID; got != idOf(a.Cert) {
			t.Errorf("authority %s, want %s", got, idOf(a.Cert))
		}
	}
	namesake := mintAuthority(t, "factory")
	expect(t, "namesake", f.inspect(leafOf(t, namesake, nil), "").Decision, admission.Refuse, muster.ReasonUntrustedIssuer)
	// Its key identifier claims another issuer: the signature decides.
	liar := leafOf(t, namesake, func(c *x509.Certificate) { c.AuthorityKeyId = first.Cert.SubjectKeyId })
	expect(t, "liar", f.inspect(liar, "").Decision, admission.Refuse, muster.ReasonUntrustedIssuer)
}

// TestSignerOfRenewedAuthority: of several certificates of one key the newest
// serves that may register, and the newest if none may.
func TestSignerOfRenewedAuthority(t *testing.T) {
	f := newFixture(t, nil)
	old := f.authority(nil)
	fresh := renewed(t, old)
	f.register(accountA, muster.ModeDefault, fresh, nil)
	l := leafOf(t, old, nil)
	for _, step := range []struct {
		name   string
		change func()
		want   *mint.Authority
		reason muster.Reason
	}{
		{"both serve", func() {}, fresh, ""},
		{"the newer is inactive", func() { f.setStatus(accountA, idOf(fresh.Cert), muster.Inactive) }, old, ""},
		{"both are inactive", func() { f.setStatus(accountA, idOf(old.Cert), muster.Inactive) }, fresh, muster.ReasonAuthorityInactive},
	} {
		step.change()
		c := f.inspect(l, "")
		if got := c.Facts.Authority.ID; got != idOf(step.want.Cert) {
			t.Errorf("%s: authority %s, want %s", step.name, got, idOf(step.want.Cert))
		}
		if c.Decision.Reason != step.reason {
			t.Errorf("%s: %+v", step.name, c.Decision)
		}
	}
}

func verify(f *fixture, l *mint.Leaf) error {
	return f.gate.TLSConfig(base()).VerifyConnection(state(l, ""))
}

// TestVerifyConnection lets in whom the registry could know, so that MQTT can
// say more.
func TestVerifyConnection(t *testing.T) {
	f := newFixture(t, nil)
	a := f.authority(nil)
	recorded := leafOf(t, a, nil)
	f.certificate(accountA, recorded, muster.Revoked)
	buried := leafOf(t, a, nil)
	f.certificate(accountA, buried, muster.Inactive)
	must(t, f.store.DeleteCertificate(t.Context(), accountA, idOf(buried.Cert), false))
	signed := leafOf(t, a, nil)
	f.inspect(signed, "")
	alone, err := mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: "alone"}})
	must(t, err)
	f.withoutCA(accountB, alone)
	weak := leafOf(t, a, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 })
	for name, l := range map[string]*mint.Leaf{
		"recorded, though revoked": recorded, "deleted": buried, "signed": signed, "registered alone": alone, "weakly signed": weak,
	} {
		if err := verify(f, l); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger := leafOf(t, mintAuthority(t, "garage"), nil)
	var untrusted *admission.UntrustedError
	if err := verify(f, stranger); !errors.As(err, &untrusted) || untrusted.ID != idOf(stranger.Cert) || !strings.Contains(untrusted.Issuer, "garage") {
		t.Errorf("stranger: %v", err)
	}
	if r := f.memory.Recall(idOf(stranger.Cert)); len(r) != 1 || r[0].Reason != muster.ReasonUntrustedIssuer || r[0].Account != "" {
		t.Errorf("remembered of the stranger: %+v", r)
	}
	f.deleteAuthority(accountA, a)
	if err := verify(f, signed); !errors.As(err, &untrusted) { // resumed TLS sessions come here too
		t.Errorf("signed by an authority that is gone: %v", err)
	}
	if err := verify(f, recorded); err != nil {
		t.Errorf("recorded, its authority gone: %v", err)
	}
}

// TestVerifyConnectionWithoutRegistry does not mistake a fault for a stranger.
func TestVerifyConnectionWithoutRegistry(t *testing.T) {
	f := newFixture(t, func(c *admission.Config) { c.Registry = failing{c.Registry} })
	l := leafOf(t, mintAuthority(t, "factory"), nil)
	if err := verify(f, l); err != nil {
		t.Errorf("TLS: %v", err)
	}
	c := f.inspect(l, "")
	expect(t, "Inspect", c.Decision, admission.Refuse, muster.ReasonInternalError)
	expect(t, "Connect", f.gate.Connect(t.Context(), c).Decision, admission.Refuse, muster.ReasonInternalError)
	expect(t, "Standing", f.gate.Standing(t.Context(), c), admission.Refuse, muster.ReasonInternalError)
}

type failing struct{ admission.Registry }

func (failing) Find(context.Context, string) ([]muster.Certificate, []muster.Tombstone, error) {
	return nil, nil, errors.New("the disk is gone")
}

// TestUnacceptableCertificates pass TLS, to be told why.
func TestUnacceptableCertificates(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	f := newFixture(t, nil)
	a := f.authority(nil)
	smallKey, err := a.Issue(mint.Request{Subject: pkix.Name{CommonName: "small"}, Key: small})
	must(t, err)
	intermediate, err := a.Intermediate("workshop")
	must(t, err)
	for name, tc := range map[string]struct {
		leaf *mint.Leaf
		says string
	}{
		"signed with SHA-1": {leafOf(t, a, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }), "SHA1"},
		"a short RSA key":   {smallKey, "1024 bits"},
		"an authority":      {&mint.Leaf{Cert: intermediate.Cert, Key: intermediate.Key}, "CA certificate"},
		"for servers": {leafOf(t, a, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), "clientAuth"},
	} {
		if err := verify(f, tc.leaf); err != nil {
			t.Errorf("%s: TLS: %v", name, err)
		}
		out := f.connect(tc.leaf)
		expect(t, name, out.Decision, admission.Refuse, muster.ReasonUnacceptableCertificate)
		if !strings.Contains(out.Detail, tc.says) {
			t.Errorf("%s: detail %q", name, out.Detail)
		}
	}
}

// TestUncheckedSignaturesAreStrangers: anybody can make a certificate that
// seems to be an authority's. It must not push the authority's own refusals
// out, nor reach the disk.
func TestUncheckedSignaturesAreStrangers(t *testing.T) {
	f := newFixture(t, nil)
	f.authority(nil)
	forged := leafOf(t, mintAuthority(t, "factory"), func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 })
	c := f.inspect(forged, "")
	expect(t, "forged", c.Decision, admission.Refuse, muster.ReasonUnacceptableCertificate)
	f.gate.Refused(c, c.Decision, "forger")
	if r := f.memory.Recall(idOf(forged.Cert)); len(r) != 1 || r[0].Account != "" || r[0].AuthorityID != "" {
		t.Errorf("remembered: %+v", r)
	}
}

// TestNamesakesOfStrangers: accounts that register authorities of another's name
// and key identifier, which anybody can make, keep none of its devices out.
func TestNamesakesOfStrangers(t *testing.T) {
	f := newFixture(t, nil)
	own := f.authority(nil)
	for i := range 4 {
		stranger := fmt.Sprintf("44444444444%d", i)
		must(t, f.store.CreateAccount(t.Context(), muster.Account{ID: stranger, Endpoint: stranger + ".example.test"}))
		for range 10 { // as many as an account may have
			l, err := mint.SelfSigned(mint.Request{Subject: own.Cert.Subject, Edit: func(c *x509.Certificate) {
				c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.SubjectKeyId = true, true, x509.KeyUsageCertSign, own.Cert.SubjectKeyId
			}})
			must(t, err)
			f.register(stranger, muster.ModeSNIOnly, &mint.Authority{Cert: l.Cert, Key: l.Key}, nil)
		}
	}
	c := f.inspect(leafOf(t, own, nil), "")
	expect(t, "a device of the account", c.Decision, admission.Register, "")
	if c.Account != accountA {
		t.Errorf("account %q", c.Account)
	}
}
