package registry_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

// supervision returns the settings of an issuer and fails if its authority, where
// it has one, says otherwise.
func (f *fixture) supervision(id string) muster.OCSPSettings {
	f.Helper()
	issuer := must(f.Issuer(f.Context(), account, id))(f)
	if a, err := f.Authority(f.Context(), account, id); err == nil && a.OCSP != issuer.OCSP {
		f.Errorf("the authority says %+v, its issuer %+v", a.OCSP, issuer.OCSP)
	}
	f.step()
	return issuer.OCSP
}

func TestSetOCSP(t *testing.T) {
	f := newFixture(t)
	ca, root := f.mint("Set"), string(f.mint("Responder root").CertPEM())
	id := f.authority(ca).ID
	hard, url, required := muster.OCSPHard, "https://ocsp.example.test:8443/x", muster.OCSPNonceRequired
	want := muster.OCSPSettings{Mode: hard, Responder: url, ResponderCA: root, Nonce: required}
	commented := "the root of our responders\n" + root
	got := must(f.SetOCSP(t.Context(), account, id, registry.OCSPUpdate{Mode: &hard, Responder: &url, ResponderCA: &commented, Nonce: &required}))(f)
	if got != want || f.supervision(id) != want {
		t.Errorf("set %+v, stored %+v, want %+v", got, f.supervision(id), want)
	}

	// Only what is given changes; what says the same is no change.
	before := f.seq()
	must(f.SetOCSP(t.Context(), account, id, registry.OCSPUpdate{Mode: &hard, Responder: &url}))(f)
	must(f.SetOCSP(t.Context(), account, id, registry.OCSPUpdate{}))(f)
	if f.seq() != before {
		t.Error("what is the same already was written")
	}
	none, off := "", muster.OCSPNonceOff
	want.Responder, want.Nonce = "", ""
	if must(f.SetOCSP(t.Context(), account, id, registry.OCSPUpdate{Responder: &none, Nonce: &off}))(f); f.supervision(id) != want {
		t.Errorf("cleared: %+v, want %+v", f.supervision(id), want)
	}
	if a := must(f.Authority(t.Context(), account, id))(f); a.Revision != 1 || len(a.Tags) != 0 {
		t.Errorf("the authority has revision %d and tags %v", a.Revision, a.Tags)
	}
	_, err := f.SetOCSP(t.Context(), account2, id, registry.OCSPUpdate{Mode: &hard})
	f.is("another account's", err, muster.ErrNotFound)
}

// TestSetOCSPOfDeletedAuthority: the issuer is there as long as a certificate
// names it, and has to be reachable.
func TestSetOCSPOfDeletedAuthority(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Gone")
	id := f.authority(ca).ID
	device := f.register(ca, "one", muster.Inactive)
	url, hard := "http://ocsp.example.test", muster.OCSPHard
	f.ok(f.setAuthority(id, muster.Inactive))
	f.ok(f.DeleteAuthority(t.Context(), account, id))
	must(f.SetOCSP(t.Context(), account, id, registry.OCSPUpdate{Mode: &hard, Responder: &url}))(f)
	want := muster.OCSPSettings{Mode: hard, Responder: url}
	if got := f.supervision(id); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}

	// Registered anew, the tag sets its mode and leaves the rest.
	r := f.registration(account, ca)
	r.Tags = []muster.Tag{{Key: muster.TagOCSP, Value: "soft"}}
	again := must(f.RegisterAuthority(t.Context(), r))(f)
	want.Mode = muster.OCSPSoft
	if again.OCSP != want || f.supervision(id) != want {
		t.Errorf("registered anew: %+v, want %+v", again.OCSP, want)
	}
	f.ok(f.setAuthority(id, muster.Inactive))
	f.ok(f.DeleteAuthority(t.Context(), account, id))
	f.ok(f.DeleteCertificate(t.Context(), account, device.ID, false))
	_, err := f.SetOCSP(t.Context(), account, id, registry.OCSPUpdate{Mode: &hard})
	f.is("named by nothing", err, muster.ErrNotFound)
}

// TestSetOCSPAndItsTag: the tag never says another mode than the one in force, or
// the next edit of tags would bring that back.
func TestSetOCSPAndItsTag(t *testing.T) {
	f := newFixture(t)
	r := f.registration(account, f.mint("Tagged"))
	tags := []muster.Tag{{Key: muster.TagOCSP, Value: "soft"}, {Key: "team", Value: "b"}}
	r.Tags = tags
	id := must(f.RegisterAuthority(t.Context(), r))(f).ID
	hard, url := muster.OCSPHard, "http://ocsp.example.test"
	must(f.SetOCSP(t.Context(), account, id, registry.OCSPUpdate{Responder: &url}))(f)
	if got := must(f.Tags(t.Context(), account, muster.KindAuthority, id))(f); !slices.Equal(got, tags) {
		t.Errorf("a responder changed the tags to %v", got)
	}
	must(f.SetOCSP(t.Context(), account, id, registry.OCSPUpdate{Mode: &hard}))(f)
	f.ok(f.TagResource(t.Context(), account, muster.KindAuthority, id, []muster.Tag{{Key: "team", Value: "c"}}))
	want := []muster.Tag{{Key: muster.TagOCSP, Value: "hard"}, {Key: "team", Value: "c"}}
	if got := must(f.Tags(t.Context(), account, muster.KindAuthority, id))(f); !slices.Equal(got, want) {
		t.Errorf("tags %v, want %v", got, want)
	}
	if got := f.supervision(id); got.Mode != hard || got.Responder != url {
		t.Errorf("after an edit of tags: %+v", got)
	}
	f.ok(f.UntagResource(t.Context(), account, muster.KindAuthority, id, []string{muster.TagOCSP}))
	if got := f.supervision(id); got.Mode != muster.OCSPOff || got.Responder != url {
		t.Errorf("untagged: %+v", got)
	}
}

// TestUpdateAuthorityWithOCSP changes both or nothing.
func TestUpdateAuthorityWithOCSP(t *testing.T) {
	f := newFixture(t)
	id := f.authority(f.mint("Both")).ID
	hard, inactive, no, ftp := muster.OCSPHard, muster.Inactive, false, "ftp://x"
	_, err := f.UpdateAuthority(t.Context(), account, id, registry.AuthorityUpdate{Status: &inactive, OCSP: registry.OCSPUpdate{Responder: &ftp}})
	f.is("ftp", err, muster.ErrInvalid)
	_, err = f.UpdateAuthority(t.Context(), account, id, registry.AuthorityUpdate{
		Registration: &muster.Registrar{TemplateName: "absent"}, OCSP: registry.OCSPUpdate{Mode: &hard},
	})
	f.is("no template", err, muster.ErrNotFound)
	if a := must(f.Authority(t.Context(), account, id))(f); a.Status != muster.Active || f.supervision(id).Mode != muster.OCSPOff {
		t.Errorf("half written: %+v", a)
	}
	a := must(f.UpdateAuthority(t.Context(), account, id, registry.AuthorityUpdate{
		Status: &inactive, AutoRegistration: &no, OCSP: registry.OCSPUpdate{Mode: &hard},
	}))(f)
	if a.Status != inactive || a.AutoRegistration || a.Revision != 2 || f.supervision(id).Mode != hard {
		t.Errorf("%+v", a)
	}
}

func TestSetOCSPRefusals(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Refusals")
	id, root := f.authority(ca).ID, string(ca.CertPEM())
	for name, tc := range map[string]struct {
		responder, ca string
		mode          muster.OCSPMode
		nonce         muster.OCSPNonce
		want          error
		says          string
	}{
		"mode":             {mode: "Hard", want: muster.ErrInvalid, says: "off, soft or hard"},
		"nonce":            {nonce: "yes", want: muster.ErrInvalid, says: "off, optional or required"},
		"no scheme":        {responder: "ocsp.example.test", want: muster.ErrInvalid, says: "scheme"},
		"ldap":             {responder: "ldap://ocsp.example.test", want: muster.ErrInvalid, says: `scheme "ldap"`},
		"no host":          {responder: "https:///x", want: muster.ErrInvalid, says: "no host"},
		"a port alone":     {responder: "https://:8443", want: muster.ErrInvalid, says: "no host"},
		"password":         {responder: "https://user:secret@ocsp.example.test", want: muster.ErrInvalid, says: "names a user"},
		"broken, password": {responder: "https://user:secret@ocsp.example.test:x", want: muster.ErrInvalid, says: "does not parse"},
		"fragment":         {responder: "http://ocsp.example.test/#a", want: muster.ErrInvalid, says: "fragment"},
		"control":          {responder: "http://ocsp.example.test/\n", want: muster.ErrInvalid, says: "does not parse"},
		"long":             {responder: "http://ocsp.example.test/" + strings.Repeat("x", 2048), want: muster.ErrInvalid, says: "2048"},
		"no PEM":           {ca: "hello", want: muster.ErrCertificate, says: "0 of 0"},
		"a key":            {ca: root + string(ca.KeyPEM()), want: muster.ErrCertificate, says: "block 2 is of type"},
		"damaged":          {ca: root + strings.Replace(root, "MII", "M!I", 1), want: muster.ErrCertificate, says: "1 of 2"},
		"not DER":          {ca: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", want: muster.ErrCertificate, says: "certificate 1"},
		"too many":         {ca: strings.Repeat(root, 21), want: muster.ErrInvalid, says: "more than 20"},
		"too large":        {ca: strings.Repeat("\n", 64<<10) + root, want: muster.ErrInvalid, says: "65536"},
	} {
		t.Run(name, func(t *testing.T) {
			var u registry.OCSPUpdate
			if tc.mode != "" {
				u.Mode = &tc.mode
			}
			if tc.nonce != "" {
				u.Nonce = &tc.nonce
			}
			u.Responder, u.ResponderCA = &tc.responder, &tc.ca
			_, err := f.SetOCSP(t.Context(), account, id, u)
			f.is(name, err, tc.want)
			if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), id) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v, want one with %q, the authority's ID and no password", err, tc.says)
			}
		})
	}
	if got := f.supervision(id); got != (muster.OCSPSettings{Mode: muster.OCSPOff}) {
		t.Errorf("written: %+v", got)
	}
}

// TestIssuers finds them by the beginning of their ID, deleted ones too.
func TestIssuers(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("First")
	first, second := f.authority(ca).ID, f.authority(f.mint("Second")).ID
	f.register(ca, "one", muster.Inactive)
	f.ok(f.setAuthority(first, muster.Inactive))
	f.ok(f.DeleteAuthority(t.Context(), account, first))
	ids := func(prefix string) (ids []string) {
		t.Helper()
		found, next, err := f.Issuers(t.Context(), prefix, registry.Page{})
		f.ok(err)
		if next != nil {
			t.Errorf("a second page after %d", len(found))
		}
		for _, i := range found {
			ids = append(ids, i.ID)
		}
		return ids
	}
	both := []string{first, second}
	slices.Sort(both)
	if got := ids(""); !slices.Equal(got, both) {
		t.Errorf("all: %v, want %v", got, both)
	}
	if got := ids(first[:40]); !slices.Equal(got, []string{first}) {
		t.Errorf("by its beginning: %v", got)
	}
	if got := ids("zz"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
