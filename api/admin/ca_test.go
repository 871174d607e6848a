package admin_test

import (
	"crypto/x509/pkix"
	"errors"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

// operator is an Admin over a registry with authorities.
type operator struct {
	*testing.T
	*admin.Admin
	store *registry.Store
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	engine := memory.New()
	store, err := registry.New(registry.Config{Engine: engine})
	o := &operator{T: t, Admin: admin.New(admin.Config{Registry: store}), store: store}
	o.must(err)
	o.must(store.CreateAccount(t.Context(), muster.Account{ID: account, Endpoint: "localhost"}))
	t.Cleanup(func() { o.must(engine.Close()) })
	return o
}

func (o *operator) must(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

// authority registers one and a device of it that waits for activation.
func (o *operator) authority(name string) (*mint.Authority, string) {
	o.Helper()
	ca, err := mint.NewAuthority(name)
	o.must(err)
	code, err := o.store.RegistrationCode(o.Context(), account)
	o.must(err)
	proof, err := ca.Verification(code)
	o.must(err)
	a, err := o.store.RegisterAuthority(o.Context(), registry.AuthorityRegistration{
		Account: account, PEM: string(ca.CertPEM()), VerificationPEM: string(proof.CertPEM()), Active: true, AutoRegistration: true,
	})
	o.must(err)
	l, err := ca.Issue(mint.Request{Subject: pkix.Name{CommonName: "sensor"}})
	o.must(err)
	_, err = o.store.Enrol(o.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: string(l.CertPEM())})
	o.must(err)
	return ca, a.ID
}

func (o *operator) list(of string) (found []admin.Authority) {
	o.Helper()
	o.must(o.ListAuthorities(o.Context(), admin.OfAccount{Account: of}, func(a admin.Authority) error {
		found = append(found, a)
		return nil
	}))
	return found
}

func named(id string) admin.AuthorityName { return admin.AuthorityName{ID: id} }

func TestListAuthorities(t *testing.T) {
	o := newOperator(t)
	_, first := o.authority("first")
	_, second := o.authority("second")
	const other = "210987654321"
	o.must(o.store.CreateAccount(t.Context(), muster.Account{ID: other}))
	inactive := muster.Inactive
	_, err := o.SetAuthority(t.Context(), admin.AuthorityChange{AuthorityName: admin.AuthorityName{OfAccount: admin.OfAccount{Account: account}, ID: first}, Status: &inactive})
	o.must(err)
	o.must(o.store.DeleteAuthority(t.Context(), account, first))
	for _, of := range []string{"", account} {
		got := o.list(of)
		if len(got) != 2 || got[0].ID != second || got[0].Status != muster.Active || got[0].Pending != 1 || got[0].Subject != "CN=second" ||
			got[1].ID != first || got[1].Status != "" || got[1].OCSP.Mode != muster.OCSPOff {
			t.Errorf("of %q: %+v", of, got)
		}
	}
	if got := o.list(other); len(got) != 0 {
		t.Errorf("of another account: %+v", got)
	}
}

func TestSetAuthority(t *testing.T) {
	o := newOperator(t)
	ca, id := o.authority("factory")
	template, hard, url, root, required, off := "", muster.OCSPHard, "https://ocsp.example.test", string(ca.CertPEM()), muster.OCSPNonceRequired, false
	a, err := o.SetAuthority(t.Context(), admin.AuthorityChange{
		AuthorityName: named(id[:8]), OCSP: &hard, Responder: &url, ResponderCA: &root, Nonce: &required,
		AutoRegistration: &off, Template: &template,
	})
	o.must(err)
	if a.OCSP.Mode != hard || a.OCSP.Responder != url || a.OCSP.Nonce != required || a.AutoRegistration ||
		len(a.OCSP.ResponderCA) != 1 || a.OCSP.ResponderCA[0].ID != id || a.OCSP.ResponderCA[0].Subject != "CN=factory" {
		t.Errorf("%+v", a)
	}
	none := ""
	_, err = o.SetAuthority(t.Context(), admin.AuthorityChange{AuthorityName: named(id), Responder: &none, ResponderCA: &none})
	o.must(err)
	a, err = o.ShowAuthority(t.Context(), named(strings.ToUpper(id[:10])))
	o.must(err)
	if a.OCSP.Mode != hard || a.OCSP.Responder != "" || a.OCSP.ResponderCA != nil || a.OCSP.Nonce != required {
		t.Errorf("cleared: %+v", a.OCSP)
	}
}

// TestSetDeletedAuthority: OCSP is still asked, and so can be set.
func TestSetDeletedAuthority(t *testing.T) {
	o := newOperator(t)
	_, id := o.authority("factory")
	inactive, active, soft := muster.Inactive, muster.Active, muster.OCSPSoft
	_, err := o.SetAuthority(t.Context(), admin.AuthorityChange{AuthorityName: named(id), Status: &inactive})
	o.must(err)
	o.must(o.store.DeleteAuthority(t.Context(), account, id))
	a, err := o.SetAuthority(t.Context(), admin.AuthorityChange{AuthorityName: named(id[:12]), OCSP: &soft})
	o.must(err)
	if a.OCSP.Mode != soft || a.Status != "" {
		t.Errorf("%+v", a)
	}
	_, err = o.SetAuthority(t.Context(), admin.AuthorityChange{AuthorityName: named(id), Status: &active, OCSP: &soft})
	if !errors.Is(err, muster.ErrState) || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("status of a deleted one: %v", err)
	}
}

func TestAuthorityRefusals(t *testing.T) {
	o := newOperator(t)
	_, id := o.authority("factory")
	ftp, absent, maybe := "ftp://x", "absent", muster.OCSPMode("maybe")
	for name, tc := range map[string]struct {
		change admin.AuthorityChange
		is     error
		says   string
	}{
		"unknown":     {admin.AuthorityChange{AuthorityName: named("00000000")}, muster.ErrNotFound, "begins so"},
		"short":       {admin.AuthorityChange{AuthorityName: named(id[:4])}, muster.ErrInvalid, "too short"},
		"no account":  {admin.AuthorityChange{AuthorityName: admin.AuthorityName{OfAccount: admin.OfAccount{Account: "1"}, ID: id}}, muster.ErrNotFound, "account"},
		"scheme":      {admin.AuthorityChange{AuthorityName: named(id), Responder: &ftp}, muster.ErrInvalid, "http"},
		"mode":        {admin.AuthorityChange{AuthorityName: named(id), OCSP: &maybe}, muster.ErrInvalid, "off, soft or hard"},
		"no template": {admin.AuthorityChange{AuthorityName: named(id), Template: &absent}, muster.ErrNotFound, "template"},
	} {
		_, err := o.SetAuthority(t.Context(), tc.change)
		if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
	}
}
