package registry_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

func TestRegisterAuthority(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Factory")
	r := f.registration(account, ca)
	r.PEM = "subject=CN = Factory\n" + r.PEM + "\n\n" // kept byte for byte
	r.Tags = []muster.Tag{{Key: "team", Value: "b"}, {Key: muster.TagOCSP, Value: "hard"}}
	a := must(f.RegisterAuthority(t.Context(), r))(f)
	stored := must(f.Authority(t.Context(), account, muster.Fingerprint(ca.Cert.Raw)))(f)
	if a.PEM != r.PEM || stored.PEM != r.PEM {
		t.Error("the PEM text was not kept as given")
	}
	if !stored.Verified || stored.Status != muster.Active || stored.Mode != muster.ModeDefault || stored.Revision != 1 ||
		stored.OCSP.Mode != muster.OCSPHard || stored.Tags[0].Key != muster.TagOCSP || !stored.NotAfter.Equal(ca.Cert.NotAfter) {
		t.Errorf("stored %+v", stored)
	}
	issuer := must(f.Issuer(t.Context(), account, a.ID))(f)
	if issuer.PEM != r.PEM || issuer.OCSP != a.OCSP {
		t.Errorf("issuer %+v", issuer)
	}
	found := must(f.AuthoritiesBySubject(t.Context(), ca.Cert.RawSubject))(f)
	if len(found) != 1 || found[0].ID != a.ID {
		t.Errorf("by subject: %+v", found)
	}
	f.step()
}

type badRegistration struct {
	name string
	edit func(*registry.AuthorityRegistration)
	want error
	text string // of the error
}

func badAuthorities(f *fixture, ca *mint.Authority, device string) []badRegistration {
	edited := func(edit func(*x509.Certificate)) *mint.Authority {
		leaf := must(mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: "Odd"}, Edit: edit}))(f)
		return &mint.Authority{Cert: leaf.Cert, Key: leaf.Key}
	}
	return []badRegistration{
		{"no PEM", func(r *registry.AuthorityRegistration) { r.PEM = "" }, muster.ErrInvalid, "PEM"},
		{"too long", func(r *registry.AuthorityRegistration) { r.PEM += strings.Repeat("\n", 65536) }, muster.ErrInvalid, "65536"},
		{"not PEM", func(r *registry.AuthorityRegistration) { r.PEM = "hello" }, muster.ErrCertificate, "no PEM block; give the text that begins with -----BEGIN CERTIFICATE-----"},
		{"two blocks", func(r *registry.AuthorityRegistration) { r.PEM += device }, muster.ErrCertificate, "2 PEM blocks, want one CERTIFICATE alone"},
		{"a key", func(r *registry.AuthorityRegistration) { r.PEM = string(ca.KeyPEM()) }, muster.ErrCertificate, "PRIVATE KEY"},
		{"damaged", func(r *registry.AuthorityRegistration) { r.PEM = strings.Replace(r.PEM, "-----END", "---END", 1) }, muster.ErrCertificate, "damaged"},
		{"not DER", func(r *registry.AuthorityRegistration) {
			r.PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
		}, muster.ErrCertificate, "malformed"},
		{"not UTF-8", func(r *registry.AuthorityRegistration) { r.PEM = "\xff" + r.PEM }, muster.ErrCertificate, "UTF-8"},
		{"a device's", func(r *registry.AuthorityRegistration) { r.PEM = device }, muster.ErrCertificate, "CA:TRUE"},
		{"no certSign", func(r *registry.AuthorityRegistration) {
			*r = f.registration(account, edited(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }))
		}, muster.ErrCertificate, "key usage"},
		{"expired", func(r *registry.AuthorityRegistration) {
			*r = f.registration(account, edited(func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
			}))
		}, muster.ErrCertificate, "expired"},
		{"not yet valid", func(r *registry.AuthorityRegistration) {
			*r = f.registration(account, edited(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }))
		}, muster.ErrCertificate, "not valid before"},
	}
}

func badVerifications(f *fixture, ca *mint.Authority, device string) []badRegistration {
	return []badRegistration{
		{"no verification", func(r *registry.AuthorityRegistration) { r.VerificationPEM = "" }, muster.ErrInvalid, "verification"},
		{"verification in SNI_ONLY", func(r *registry.AuthorityRegistration) { r.Mode = muster.ModeSNIOnly }, muster.ErrInvalid, "SNI_ONLY"},
		{"unknown mode", func(r *registry.AuthorityRegistration) { r.Mode = "sni_only" }, muster.ErrInvalid, "mode"},
		{"another's verification", func(r *registry.AuthorityRegistration) {
			r.VerificationPEM = f.registration(account, f.mint("Other")).VerificationPEM
		}, muster.ErrCertificate, "not signed by"},
		{"verification of the same name, another key", func(r *registry.AuthorityRegistration) {
			r.VerificationPEM = f.registration(account, f.mint("Good")).VerificationPEM
		}, muster.ErrCertificate, "not signed by"},
		{"expired verification", func(r *registry.AuthorityRegistration) {
			leaf := must(ca.Issue(mint.Request{
				Subject:   pkix.Name{CommonName: must(f.RegistrationCode(f.Context(), account))(f)},
				NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
			}))(f)
			r.VerificationPEM = string(leaf.CertPEM())
		}, muster.ErrCertificate, "expired"},
		{"wrong code", func(r *registry.AuthorityRegistration) { r.VerificationPEM = device }, muster.ErrRegistrationCode, "device"},
		{"another account's code", func(r *registry.AuthorityRegistration) {
			r.VerificationPEM = f.registration(account2, ca).VerificationPEM
		}, muster.ErrRegistrationCode, ""},
	}
}

func badSettings() []badRegistration {
	return []badRegistration{
		{"unknown account", func(r *registry.AuthorityRegistration) { r.Account = "000000000000" }, muster.ErrNotFound, "account"},
		{"template by name and body", func(r *registry.AuthorityRegistration) {
			r.Registration = muster.Registrar{TemplateName: "t", TemplateBody: jitp, RoleARN: role}
		}, muster.ErrInvalid, "by its name alone"},
		{"body without role", func(r *registry.AuthorityRegistration) {
			r.Registration = muster.Registrar{TemplateBody: jitp}
		}, muster.ErrInvalid, "role ARN"},
		{"role without body", func(r *registry.AuthorityRegistration) {
			r.Registration = muster.Registrar{RoleARN: role}
		}, muster.ErrInvalid, "without a template"},
		{"bad body", func(r *registry.AuthorityRegistration) {
			r.Registration = muster.Registrar{TemplateBody: "{}", RoleARN: role}
		}, muster.ErrInvalid, "template"},
		{"no such template", func(r *registry.AuthorityRegistration) {
			r.Registration = muster.Registrar{TemplateName: "nowhere"}
		}, muster.ErrNotFound, "nowhere"},
		{"template of another type", func(r *registry.AuthorityRegistration) {
			r.Registration = muster.Registrar{TemplateName: "fleet"}
		}, muster.ErrInvalid, "JITP"},
		{"OCSP mode", func(r *registry.AuthorityRegistration) {
			r.Tags = []muster.Tag{{Key: muster.TagOCSP, Value: "true"}}
		}, muster.ErrInvalid, "off, soft or hard"},
		{"tag twice", func(r *registry.AuthorityRegistration) {
			r.Tags = []muster.Tag{{Key: "a"}, {Key: "a"}}
		}, muster.ErrInvalid, "twice"},
	}
}

// Every way to get it wrong, and the error that says so.
func TestRegisterAuthorityRefusals(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Good")
	device := f.leaf(ca, "device")
	must(f.CreateTemplate(t.Context(), muster.Template{Account: account, Name: "fleet", RoleARN: role, Enabled: true}, jitp))(f)
	good := f.registration(account, ca)
	for _, test := range slices.Concat(badAuthorities(f, ca, device), badVerifications(f, ca, device), badSettings()) {
		r := good
		test.edit(&r)
		before := f.seq() // after the edit, for it may have made the account's code
		_, err := f.RegisterAuthority(t.Context(), r)
		f.is(test.name, err, test.want)
		if err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: error %v does not say %q", test.name, err, test.text)
		}
		if f.seq() != before {
			t.Errorf("%s: something was written", test.name)
		}
	}
	must(f.RegisterAuthority(t.Context(), good))(f)
}

func TestAuthorityKeys(t *testing.T) {
	f := newFixture(t)
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(f)
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))(f)
	rsa2048 := must(rsa.GenerateKey(rand.Reader, 2048))(f)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	f.ok(err)
	for _, test := range []struct {
		name string
		req  mint.Request
		want error
	}{
		{"RSA 2048", mint.Request{Key: rsa2048}, nil},
		{"RSA 2048, SHA-512 PSS", mint.Request{Key: rsa2048, Edit: func(c *x509.Certificate) {
			c.SignatureAlgorithm = x509.SHA512WithRSAPSS
		}}, nil},
		{"P-384", mint.Request{Key: p384}, nil},
		{"P-224", mint.Request{Key: p224}, muster.ErrCertificate},
		{"Ed25519", mint.Request{Key: ed}, muster.ErrCertificate},
	} {
		test.req.Subject = pkix.Name{CommonName: test.name}
		leaf := must(mint.SelfSigned(test.req))(f)
		_, err := f.RegisterAuthority(t.Context(), registry.AuthorityRegistration{
			Account: account, PEM: string(leaf.CertPEM()), Mode: muster.ModeSNIOnly,
		})
		f.is(test.name, err, test.want)
	}
}

func TestAuthorityHeldTwice(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Shared")
	sniOnly := func(owner string) registry.AuthorityRegistration {
		return registry.AuthorityRegistration{Account: owner, PEM: string(ca.CertPEM()), Mode: muster.ModeSNIOnly}
	}
	for _, test := range []struct {
		name          string
		first, second registry.AuthorityRegistration
		foreign       bool
		want          error
	}{
		{"same account", f.registration(account, ca), sniOnly(account), false, muster.ErrExists},
		{"DEFAULT in both", f.registration(account, ca), f.registration(account2, ca), true, muster.ErrExists},
		{"SNI_ONLY beside DEFAULT", f.registration(account, ca), sniOnly(account2), false, nil},
		{"DEFAULT beside SNI_ONLY", sniOnly(account), f.registration(account2, ca), false, nil},
		{"SNI_ONLY in both", sniOnly(account), sniOnly(account2), false, nil},
	} {
		test.first.Active, test.second.Active = false, false
		must(f.RegisterAuthority(t.Context(), test.first))(f)
		_, err := f.RegisterAuthority(t.Context(), test.second)
		f.is(test.name, err, test.want)
		if test.want != nil && isForeign(err) != test.foreign {
			t.Errorf("%s: foreign is %t, want %t", test.name, isForeign(err), test.foreign)
		}
		f.step()
		id := muster.Fingerprint(ca.Cert.Raw)
		f.ok(f.DeleteAuthority(t.Context(), account, id))
		if err := f.DeleteAuthority(t.Context(), account2, id); test.want == nil {
			f.ok(err)
		}
	}
}

func isForeign(err error) bool {
	var exists *muster.ExistsError
	return errors.As(err, &exists) && exists.Foreign
}

func TestTenOfOneSubject(t *testing.T) {
	f := newFixture(t)
	var last *mint.Authority
	for i := range 10 {
		f.advance(time.Second)
		last = f.mint("Renewed")
		if a := f.authority(last); i == 0 {
			f.ok(f.setAuthority(a.ID, muster.Inactive))
		}
	}
	_, err := f.RegisterAuthority(t.Context(), f.registration(account, f.mint("Renewed")))
	f.is("the eleventh", err, muster.ErrLimit)
	must(f.RegisterAuthority(t.Context(), f.registration(account2, f.mint("Renewed"))))(f)
	found := must(f.AuthoritiesBySubject(t.Context(), last.Cert.RawSubject))(f)
	newest := slices.IsSortedFunc(found, func(a, b muster.Authority) int { return b.Created.Compare(a.Created) })
	if len(found) != 11 || !newest {
		t.Errorf("%d by subject, newest first: %t", len(found), newest)
	}
	f.step()
}

func (f *fixture) setAuthority(id string, status muster.Status) error {
	_, err := f.UpdateAuthority(f.Context(), account, id, registry.AuthorityUpdate{Status: &status})
	return err
}

func TestUpdateAuthority(t *testing.T) {
	f := newFixture(t)
	a := f.authority(f.mint("Update"))
	must(f.CreateTemplate(t.Context(), muster.Template{Account: account, Name: "jitp", Type: muster.TemplateJITP, RoleARN: role}, jitp))(f)
	status, auto := muster.Inactive, false
	bound := muster.Registrar{TemplateName: "jitp"}
	bad := muster.Status("REVOKED")
	for _, test := range []struct {
		name    string
		update  registry.AuthorityUpdate
		changes bool
		want    error
	}{
		{"nothing", registry.AuthorityUpdate{}, false, nil},
		{"inactive", registry.AuthorityUpdate{Status: &status}, true, nil},
		{"inactive again", registry.AuthorityUpdate{Status: &status}, false, nil},
		{"bind a template, no auto-registration", registry.AuthorityUpdate{Registration: &bound, AutoRegistration: &auto}, true, nil},
		{"revoked", registry.AuthorityUpdate{Status: &bad}, false, muster.ErrInvalid},
		{"bind and remove", registry.AuthorityUpdate{Registration: &bound, RemoveRegistration: true}, false, muster.ErrInvalid},
		{"bind nothing", registry.AuthorityUpdate{Registration: &muster.Registrar{}}, false, muster.ErrInvalid},
		{"bind what is not there", registry.AuthorityUpdate{Registration: &muster.Registrar{TemplateName: "x"}}, false, muster.ErrNotFound},
		{"remove", registry.AuthorityUpdate{RemoveRegistration: true}, true, nil},
		{"remove again", registry.AuthorityUpdate{RemoveRegistration: true}, false, nil},
	} {
		was, before := must(f.Authority(t.Context(), account, a.ID))(f), f.seq()
		got, err := f.UpdateAuthority(t.Context(), account, a.ID, test.update)
		f.is(test.name, err, test.want)
		if changed := f.seq() != before; changed != test.changes || err == nil && (got.Revision != was.Revision) != test.changes {
			t.Errorf("%s: wrote %t, revision %d to %d", test.name, changed, was.Revision, got.Revision)
		}
		bound, _, err := f.ListAuthorities(t.Context(), account, "jitp", registry.Page{})
		now := must(f.Authority(t.Context(), account, a.ID))(f)
		if err != nil || (len(bound) == 1) != (now.Registration.TemplateName == "jitp") {
			t.Errorf("%s: %d authorities by template, %v", test.name, len(bound), err)
		}
		f.step()
	}
	_, err := f.UpdateAuthority(t.Context(), account2, a.ID, registry.AuthorityUpdate{Status: &status})
	f.is("another account's", err, muster.ErrNotFound)
}

// The issuer document outlives the authority while a certificate names it.
func TestDeleteAuthority(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Delete")
	r := f.registration(account, ca)
	r.Tags = []muster.Tag{{Key: muster.TagOCSP, Value: "hard"}}
	a := must(f.RegisterAuthority(t.Context(), r))(f)
	one, two := f.register(ca, "one", muster.Inactive), f.enrol(a, ca, "two")
	f.is("active", f.DeleteAuthority(t.Context(), account, a.ID), muster.ErrState)
	f.ok(f.setAuthority(a.ID, muster.Inactive))
	f.ok(f.DeleteAuthority(t.Context(), account, a.ID))
	f.is("deleted", f.DeleteAuthority(t.Context(), account, a.ID), muster.ErrNotFound)
	if issuer := must(f.Issuer(t.Context(), account, a.ID))(f); issuer.OCSP.Mode != muster.OCSPHard {
		t.Errorf("issuer %+v", issuer)
	}
	f.step()

	// Registered anew without the tag, it is still asked.
	r.Tags, r.Active = nil, false
	if again := must(f.RegisterAuthority(t.Context(), r))(f); again.OCSP.Mode != muster.OCSPHard || len(again.Tags) != 0 {
		t.Errorf("registered again: %+v", again)
	}
	f.step()
	f.ok(f.DeleteAuthority(t.Context(), account, a.ID))

	f.ok(f.DeleteCertificate(t.Context(), account, one.ID, false))
	f.step()
	must(f.Issuer(t.Context(), account, a.ID))(f)
	f.ok(f.DeleteCertificate(t.Context(), account, two.ID, false))
	_, err := f.Issuer(t.Context(), account, a.ID)
	f.is("issuer without certificates", err, muster.ErrNotFound)
	f.step()

	b := f.authority(f.mint("Unused"))
	f.ok(f.setAuthority(b.ID, muster.Inactive))
	f.ok(f.DeleteAuthority(t.Context(), account, b.ID))
	_, err = f.Issuer(t.Context(), account, b.ID)
	f.is("issuer that nothing named", err, muster.ErrNotFound)
}

func TestListAuthorities(t *testing.T) {
	f := newFixture(t)
	var want []string
	for i := range 3 {
		f.advance(time.Second)
		want = append(want, f.authority(f.mint(fmt.Sprint("List ", i))).ID)
	}
	var got []string
	p := registry.Page{Limit: 2}
	for {
		page, next, err := f.ListAuthorities(t.Context(), account, "", p)
		f.ok(err)
		for _, a := range page {
			got = append(got, a.ID)
		}
		if next == nil {
			break
		}
		p.After = next
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
}
