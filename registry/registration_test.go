package registry_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

type registrationTest struct {
	name string
	r    registry.CertificateRegistration
	want error
	text string // of the error
}

func registrationTests(f *fixture, ca *mint.Authority, taken string) []registrationTest {
	stranger := f.mint("Stranger")
	issue := func(req mint.Request) string { return string(must(ca.Issue(req))(f).CertPEM()) }
	self := must(mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: "self"}}))(f)
	selfPEM := string(self.CertPEM())
	return []registrationTest{
		{"default status", registry.CertificateRegistration{PEM: f.leaf(ca, "1")}, nil, ""},
		{"active", registry.CertificateRegistration{PEM: f.leaf(ca, "2"), Status: muster.Active}, nil, ""},
		{"revoked", registry.CertificateRegistration{PEM: f.leaf(ca, "3"), Status: muster.Revoked}, nil, ""},
		{"pending", registry.CertificateRegistration{PEM: f.leaf(ca, "4"), Status: muster.PendingActivation}, muster.ErrState, "PENDING_ACTIVATION"},
		{"in transfer", registry.CertificateRegistration{PEM: f.leaf(ca, "5"), Status: muster.PendingTransfer}, muster.ErrState, "PENDING_TRANSFER"},
		{"unknown status", registry.CertificateRegistration{PEM: f.leaf(ca, "6"), Status: "Active"}, muster.ErrInvalid, "ACTIVE"},
		{"its CA named", registry.CertificateRegistration{PEM: f.leaf(ca, "7"), CAPEM: string(ca.CertPEM())}, nil, ""},
		{"another CA named", registry.CertificateRegistration{PEM: f.leaf(ca, "8"), CAPEM: string(stranger.CertPEM())}, muster.ErrCertificate, "CN=Signer"},
		{"CA is garbage", registry.CertificateRegistration{PEM: f.leaf(ca, "8"), CAPEM: "x"}, muster.ErrCertificate, "CA certificate"},
		{"unregistered CA", registry.CertificateRegistration{PEM: f.leaf(stranger, "9")}, muster.ErrCertificate, "CN=Stranger is not registered"},
		{"same name, another key", registry.CertificateRegistration{PEM: f.leaf(f.mint("Signer"), "10")}, muster.ErrCertificate, "not signed by the key"},
		{"once more", registry.CertificateRegistration{PEM: taken}, muster.ErrExists, "cert/"},
		{"a CA", registry.CertificateRegistration{PEM: issue(mint.Request{IsCA: true})}, muster.ErrCertificate, "CA:TRUE"},
		{"for servers", registry.CertificateRegistration{PEM: issue(mint.Request{
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})}, muster.ErrCertificate, "clientAuth"},
		{"expired", registry.CertificateRegistration{PEM: issue(mint.Request{
			NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		})}, muster.ErrCertificate, "expired"},
		{"by a clock a little ahead", registry.CertificateRegistration{PEM: issue(mint.Request{
			NotBefore: time.Now().Add(time.Minute),
		})}, nil, ""},
		{"garbage", registry.CertificateRegistration{PEM: "garbage"}, muster.ErrCertificate, "device certificate"},
		{"without CA, self-signed", registry.CertificateRegistration{PEM: selfPEM, WithoutCA: true}, nil, ""},
		{"without CA, but one named", registry.CertificateRegistration{PEM: selfPEM, WithoutCA: true, CAPEM: selfPEM}, muster.ErrInvalid, "takes no CA"},
		{"without CA, signed by one", registry.CertificateRegistration{PEM: f.leaf(stranger, "11"), WithoutCA: true}, nil, ""},
	}
}

func TestRegisterCertificate(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Signer")
	a := f.authority(ca)
	taken := f.leaf(ca, "taken")
	must(f.RegisterCertificate(t.Context(), registry.CertificateRegistration{Account: account, PEM: taken}))(f)
	for _, test := range registrationTests(f, ca, taken) {
		before := f.seq()
		test.r.Account = account
		c, err := f.RegisterCertificate(t.Context(), test.r)
		f.is(test.name, err, test.want)
		if test.want != nil {
			if err == nil || !strings.Contains(err.Error(), test.text) || f.seq() != before {
				t.Errorf("%s: error %v does not say %q, or something was written", test.name, err, test.text)
			}
			continue
		}
		wantStatus, wantMode, wantAuthority := test.r.Status, muster.ModeDefault, a.ID
		if wantStatus == "" {
			wantStatus = muster.Inactive
		}
		if test.r.WithoutCA {
			wantMode, wantAuthority = muster.ModeSNIOnly, ""
		}
		if c.Status != wantStatus || c.Mode != wantMode || c.AuthorityID != wantAuthority || c.PEM != test.r.PEM || c.Revision != 1 {
			t.Errorf("%s: registered as %+v", test.name, c)
		}
		f.step()
	}
	_, err := f.RegisterCertificate(t.Context(), registry.CertificateRegistration{Account: "000000000000", PEM: taken, WithoutCA: true})
	f.is("unknown account", err, muster.ErrNotFound)
}

// Two authorities of one subject and one key (a renewed CA certificate) both
// verify; the request has to say which, unless only one is ACTIVE.
func TestRegisterCertificateAmbiguous(t *testing.T) {
	f := newFixture(t)
	first := f.mint("Renewed")
	renewed := must(mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: "Renewed"}, Key: first.Key}))(f)
	second := &mint.Authority{Cert: renewed.Cert, Key: first.Key}
	a, b := f.authority(first), f.authority(second)
	pem := f.leaf(first, "device")
	register := func(capem string) (muster.Certificate, error) {
		return f.RegisterCertificate(t.Context(), registry.CertificateRegistration{Account: account, PEM: pem, CAPEM: capem})
	}
	_, err := register("")
	f.is("two fit", err, muster.ErrAmbiguous)
	c := must(register(string(second.CertPEM())))(f)
	if c.AuthorityID != b.ID {
		t.Errorf("registered under %s, want %s", c.AuthorityID, b.ID)
	}
	f.ok(f.DeleteCertificate(t.Context(), account, c.ID, false))
	f.ok(f.setAuthority(b.ID, muster.Inactive))
	if c = must(register(""))(f); c.AuthorityID != a.ID {
		t.Errorf("registered under %s, want the active %s", c.AuthorityID, a.ID)
	}
	f.ok(f.DeleteCertificate(t.Context(), account, c.ID, false))
	f.ok(f.setAuthority(a.ID, muster.Inactive))
	_, err = register("")
	f.is("both inactive", err, muster.ErrState)
	f.step()
}

// A DEFAULT certificate lives in one account, also after its CA has moved.
func TestDefaultCertificateInOneAccount(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Moved")
	a := f.authority(ca)
	pem := f.leaf(ca, "device")
	must(f.RegisterCertificate(t.Context(), registry.CertificateRegistration{Account: account, PEM: pem}))(f)
	f.ok(f.setAuthority(a.ID, muster.Inactive))
	f.ok(f.DeleteAuthority(t.Context(), account, a.ID))
	must(f.RegisterAuthority(t.Context(), f.registration(account2, ca)))(f)
	_, err := f.RegisterCertificate(t.Context(), registry.CertificateRegistration{Account: account2, PEM: pem})
	f.is("DEFAULT elsewhere", err, muster.ErrExists)
	if !isForeign(err) {
		t.Errorf("not foreign: %v", err)
	}
	_, err = f.Enrol(t.Context(), muster.Enrolment{Account: account2, AuthorityID: a.ID, PEM: pem})
	f.is("enrol DEFAULT elsewhere", err, muster.ErrState)
	must(f.RegisterCertificate(t.Context(), registry.CertificateRegistration{Account: account2, PEM: pem, WithoutCA: true}))(f)
	f.step()
}
