package registry_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func registered(source muster.CertificateSource, thing string) muster.Registration {
	r := thingNamed(thing)
	r.Source = &source
	r.Policies = []muster.RegistrationGrant{{Name: "hash", Document: allowAll}}
	return *r
}

// RegisterThing makes all in one change, whatever certificate the template names,
// and once more changes nothing where the certificate is the same.
func TestRegisterThing(t *testing.T) {
	eachEngine(t, func(f *fixture) {
		ctx := f.Context()
		ca := f.mint("Factory")
		a := f.authority(ca)
		stored := f.register(ca, "stored", muster.Inactive)
		pending := f.enrol(a, ca, "pending")
		waiting := f.waiting("device")
		request := csr(f, nil, x509.CertificateRequest{Subject: pkix.Name{CommonName: "requested"}})
		for name, c := range map[string]struct {
			source    muster.CertificateSource
			authority string
		}{
			"stored":    {muster.CertificateSource{ID: stored.ID}, a.ID},
			"pending":   {muster.CertificateSource{ID: pending.ID}, a.ID},
			"waiting":   {muster.CertificateSource{ID: waiting.ID}, ""},
			"brought":   {muster.CertificateSource{PEM: f.leaf(ca, "brought")}, a.ID},
			"selected":  {muster.CertificateSource{PEM: f.leaf(ca, "selected"), CAPEM: string(ca.CertPEM())}, a.ID},
			"known":     {muster.CertificateSource{PEM: stored.PEM}, a.ID},
			"requested": {muster.CertificateSource{CSR: request}, ""},
		} {
			must(f.RegisterThing(ctx, account, registered(muster.CertificateSource{CSR: request}, "warm-"+name)))(f) // its authority exists
			before := f.seq()
			r := registered(c.source, name)
			got := must(f.RegisterThing(ctx, account, r))(f)
			if n := f.seq() - before; n != 1 || !got.Wrote {
				f.Errorf("%s: %d changes", name, n)
			}
			have := must(f.Certificate(ctx, account, got.ID))(f)
			if have.Status != muster.Active || !slices.Contains(have.Things, name) || !slices.Equal(have.Policies, []string{"hash"}) ||
				have.AuthorityID != c.authority || !have.Expires.IsZero() || have.PEM != got.PEM {
				f.Errorf("%s: registered as %+v", name, have)
			}
			if thing := must(f.Thing(ctx, account, name))(f); thing.Authority != "" {
				f.Errorf("%s: the thing is of %q, not of the operator", name, thing.Authority)
			}
			if c.source.CSR == "" {
				before = f.seq()
				if again := must(f.RegisterThing(ctx, account, r))(f); again.Wrote || again.ID != got.ID || f.seq() != before {
					f.Errorf("%s: once more: %+v", name, again)
				}
			}
			f.step()
		}
	})
}

// The same call many times at once makes one record, and each is answered.
func TestRegisterThingAtOnce(t *testing.T) {
	eachEngine(t, func(f *fixture) {
		ca := f.mint("Factory")
		f.authority(ca)
		for i := range 8 {
			name := fmt.Sprint("device-", i)
			r := registered(muster.CertificateSource{PEM: f.leaf(ca, name)}, name)
			before := f.seq()
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if got, err := f.RegisterThing(f.Context(), account, r); err != nil || !slices.Equal(got.Things, []string{name}) {
						f.Errorf("registered as %+v, %v", got, err)
					}
				})
			}
			wg.Wait()
			if n := f.seq() - before; n != 1 {
				f.Errorf("%s: %d changes", name, n)
			}
		}
		f.step()
	})
}

// The status of a certificate that is there is set unless the template says
// otherwise; one that waits has no other word on it.
func TestRegisterThingStatus(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	ca := f.mint("Factory")
	a := f.authority(ca)
	for name, c := range map[string]struct {
		from     muster.Status
		override muster.Override
		want     muster.Status
		err      error
	}{
		"set":                        {muster.Inactive, "", muster.Active, nil},
		"replaced":                   {muster.Inactive, replace, muster.Active, nil},
		"kept":                       {muster.Inactive, nothing, muster.Inactive, nil},
		"failed":                     {muster.Inactive, fail, muster.Inactive, muster.ErrConflict},
		"waiting":                    {muster.PendingActivation, "", muster.Active, nil},
		"waiting, kept":              {muster.PendingActivation, nothing, muster.Active, nil},
		"waiting, failed":            {muster.PendingActivation, fail, muster.Active, nil},
		"revoked":                    {muster.Revoked, "", muster.Revoked, muster.ErrRegistration},
		"revoked, kept":              {muster.Revoked, nothing, muster.Revoked, muster.ErrRegistration},
		"active, and all the others": {muster.Active, nothing, muster.Active, nil},
	} {
		var cert muster.Certificate
		if c.from == muster.PendingActivation {
			cert = f.enrol(a, ca, name)
		} else {
			cert = f.register(ca, name, c.from)
		}
		r := registered(muster.CertificateSource{ID: cert.ID}, "lamp")
		r.StatusOverride = c.override
		_, err := f.RegisterThing(ctx, account, r)
		f.is(name, err, c.err)
		got := must(f.Certificate(ctx, account, cert.ID))(f)
		if got.Status != c.want || (err == nil) != slices.Contains(got.Things, "lamp") {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
		f.step()
	}
}

// What cannot be registered says why, and nothing of it is written.
func TestRegisterThingRefused(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	ca := f.mint("Factory")
	a := f.authority(ca)
	cert := f.register(ca, "device", muster.Inactive)
	must(f.CreateThing(ctx, muster.Thing{Account: account, Name: "there"}))(f)
	f.ok(f.AttachThing(ctx, account, "there", cert.ID))
	request := csr(t, nil, x509.CertificateRequest{})
	must(f.RegisterThing(ctx, account, registered(muster.CertificateSource{CSR: request}, "warm")))(f)
	byID := muster.CertificateSource{ID: cert.ID}
	before := f.seq()
	for name, c := range map[string]struct {
		account string
		source  muster.CertificateSource
		edit    func(*muster.Registration)
		want    error
		text    string
	}{
		"another account's":       {account2, byID, nil, muster.ErrNotFound, ""},
		"no source":               {account, byID, func(r *muster.Registration) { r.Source = nil }, muster.ErrInvalid, "names no certificate"},
		"no such type":            {account, byID, func(r *muster.Registration) { r.Thing.Type = "none" }, muster.ErrRegistration, "create it first"},
		"no such type, by a CSR":  {account, muster.CertificateSource{CSR: request}, func(r *muster.Registration) { r.Thing.Type = "none" }, muster.ErrRegistration, ""},
		"no such group, by a PEM": {account, muster.CertificateSource{PEM: f.leaf(ca, "new")}, func(r *muster.Registration) { r.Thing.Groups = []string{"none"} }, muster.ErrRegistration, ""},
		"a request that is none":  {account, muster.CertificateSource{CSR: "none"}, nil, muster.ErrInvalid, "certificate signing request"},
		"a PEM that is none":      {account, muster.CertificateSource{PEM: "none"}, nil, muster.ErrCertificate, ""},
		"a stranger's":            {account, muster.CertificateSource{PEM: f.leaf(f.mint("Stranger"), "x")}, nil, muster.ErrCertificate, "not registered"},
		"another account's CA":    {account2, muster.CertificateSource{PEM: f.leaf(ca, "y")}, nil, muster.ErrCertificate, "not registered"},
		"fail": {account, byID, func(r *muster.Registration) {
			r.Thing.Name, r.Thing.Override = "there", &muster.ThingOverride{Groups: fail}
		}, muster.ErrConflict, "say FAIL for ThingGroups"},
	} {
		r := registered(c.source, "lamp")
		if c.edit != nil {
			c.edit(&r)
		}
		_, err := f.RegisterThing(ctx, c.account, r)
		f.is(name, err, c.want)
		if err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %q in it", name, err, c.text)
		}
	}
	if f.seq() != before {
		t.Error("something was written")
	}
	off := muster.Inactive
	must(f.UpdateAuthority(ctx, account, a.ID, registry.AuthorityUpdate{Status: &off}))(f)
	_, err := f.RegisterThing(ctx, account, registered(muster.CertificateSource{PEM: f.leaf(ca, "z")}, "lamp"))
	f.is("an authority that is off", err, muster.ErrState)
}

// An operator speaks for any thing; a certificate that is one thing's alone becomes
// no other one.
func TestRegisterThingOfAnother(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	ca := f.mint("Factory")
	a := f.authority(ca)
	must(f.Enrol(ctx, muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, "made"), Registration: thingNamed("made")}))(f)
	cert := f.register(ca, "device", muster.Active)
	must(f.RegisterThing(ctx, account, registered(muster.CertificateSource{ID: cert.ID}, "made")))(f)
	if thing := must(f.Thing(ctx, account, "made"))(f); thing.Authority != a.ID || thing.Revision != 1 {
		t.Errorf("the thing became %+v", thing)
	}
	exclusive := must(f.Certificate(ctx, account, cert.ID))(f)
	exclusive.Exclusive = true
	f.force(registry.KindCert, exclusive)
	_, err := f.RegisterThing(ctx, account, registered(muster.CertificateSource{ID: cert.ID}, "other"))
	f.is("another thing", err, muster.ErrRegistration)
	if r := must(f.RegisterThing(ctx, account, registered(muster.CertificateSource{ID: cert.ID}, "made")))(f); r.Wrote {
		t.Error("the same thing was written again")
	}
}

// A certificate that was deleted may come back by an operator's hand.
func TestRegisterThingAfterDeletion(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	ca := f.mint("Factory")
	f.authority(ca)
	cert := f.register(ca, "device", muster.Inactive)
	f.ok(f.DeleteCertificate(ctx, account, cert.ID, false))
	_, err := f.RegisterThing(ctx, account, registered(muster.CertificateSource{ID: cert.ID}, "lamp"))
	f.is("by its ID", err, muster.ErrNotFound)
	got := must(f.RegisterThing(ctx, account, registered(muster.CertificateSource{PEM: cert.PEM}, "lamp")))(f)
	if got.ID != cert.ID || got.Generation == cert.Generation {
		t.Errorf("registered as %+v, before %+v", got, cert)
	}
}
