package registry_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func provisioning(c muster.Certificate, template, thing string) muster.Provisioning {
	r := thingNamed(thing)
	r.Policies = []muster.RegistrationGrant{{Name: "hash", Document: allowAll}}
	return muster.Provisioning{Account: account, CertificateID: c.ID, Template: template, Registration: *r}
}

// Provisioning makes all of a device in one change, and the record stays. Of any
// number of repeats each is answered as the first, and writes nothing.
func TestProvision(t *testing.T) {
	eachEngine(t, func(f *fixture) {
		f.template("fleet", muster.TemplateFleet)
		c := f.waiting("device")
		before := f.seq()
		p := provisioning(c, "fleet", "lamp")
		p.Registration.Thing.Override = &muster.ThingOverride{Type: fail} // the thing that the first made is no other's
		var wrote int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				got, err := f.Provision(f.Context(), p)
				if err != nil || got.ID != c.ID || got.Status != muster.Active || !got.Expires.IsZero() ||
					!slices.Equal(got.Things, []string{"lamp"}) || !slices.Equal(got.Policies, []string{"hash"}) {
					f.Errorf("provisioned as %+v, %v", got, err)
				}
				mu.Lock()
				defer mu.Unlock()
				if got.Wrote {
					wrote++
				}
			})
		}
		wg.Wait()
		if n := f.seq() - before; n != 1 || wrote != 1 {
			f.Errorf("%d changes, %d callers wrote, want the one", n, wrote)
		}
		f.advance(2 * time.Hour)
		f.ok(f.Sweep(f.Context()))
		must(f.Certificate(f.Context(), account, c.ID))(f)
		if thing := must(f.Thing(f.Context(), account, "lamp"))(f); thing.Authority != "template/fleet" {
			f.Errorf("the thing is of %q", thing.Authority)
		}
		f.step()
	})
}

// What cannot be provisioned says why, and nothing of it is written.
func TestProvisionRefused(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.template("fleet", muster.TemplateFleet)
	f.template("other", muster.TemplateFleet)
	f.template("jitp", muster.TemplateJITP)
	f.template("off", muster.TemplateFleet)
	no := false
	must(f.UpdateTemplate(ctx, account, "off", registry.TemplateUpdate{Enabled: &no}))(f)
	ca := f.mint("Pending")
	enrolled := f.enrol(f.authority(ca), ca, "pending")
	done := f.waiting("device")
	must(f.Provision(ctx, provisioning(done, "fleet", "done")))(f)
	late := f.waiting("device")
	f.advance(time.Hour)
	waits := f.waiting("device")

	before := f.seq()
	for name, c := range map[string]struct {
		certificate muster.Certificate
		template    string
		edit        func(*muster.Provisioning)
		want        error
		text        string
	}{
		"no such certificate":      {muster.Certificate{ID: strings.Repeat("0", 64)}, "fleet", nil, muster.ErrNotFound, ""},
		"another account":          {waits, "fleet", func(p *muster.Provisioning) { p.Account = account2 }, muster.ErrNotFound, ""},
		"too late":                 {late, "fleet", nil, muster.ErrNotFound, ""},
		"no such template":         {waits, "none", nil, muster.ErrNotFound, "template none"},
		"a template of JITP":       {waits, "jitp", nil, muster.ErrState, "of type JITP"},
		"a disabled template":      {waits, "off", nil, muster.ErrState, "disabled"},
		"of an authority":          {enrolled, "fleet", nil, muster.ErrState, "not issued to be provisioned"},
		"provisioned otherwise":    {done, "fleet", nil, muster.ErrState, "it is ACTIVE"},
		"another template's thing": {waits, "other", func(p *muster.Provisioning) { p.Registration.Thing.Name = "done" }, muster.ErrRegistration, "under the template fleet"},
		"no such type":             {waits, "fleet", func(p *muster.Provisioning) { p.Registration.Thing.Type = "none" }, muster.ErrRegistration, "create it first"},
		"no such policy": {waits, "fleet", func(p *muster.Provisioning) {
			p.Registration.Policies = []muster.RegistrationGrant{{Name: "none"}}
		}, muster.ErrRegistration, `the policy "none" does not exist`},
		"a bad document": {waits, "fleet", func(p *muster.Provisioning) { p.Registration.Policies[0].Document = "{}" }, muster.ErrRegistration, "policy"},
		"fail": {waits, "fleet", func(p *muster.Provisioning) {
			p.Registration.Thing.Name, p.Registration.Thing.Override = "done", &muster.ThingOverride{Type: fail}
		}, muster.ErrConflict, "say FAIL for ThingTypeName"},
		"no status": {waits, "fleet", func(p *muster.Provisioning) { p.Registration.Status = "" }, muster.ErrInvalid, "want ACTIVE or INACTIVE"},
	} {
		p := provisioning(c.certificate, c.template, "lamp")
		if c.edit != nil {
			c.edit(&p)
		}
		_, err := f.Provision(ctx, p)
		f.is(name, err, c.want)
		if err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %q in it", name, err, c.text)
		}
	}
	if f.seq() != before {
		t.Error("something was written")
	}
	must(f.Provision(ctx, provisioning(waits, "fleet", "lamp")))(f)
}

// A device that comes back, with a certificate of its own again, is the thing that
// it was; what an authority's template made stays that authority's, and the other
// way round.
func TestProvisionAgain(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.template("fleet", muster.TemplateFleet)
	for range 2 {
		must(f.Provision(ctx, provisioning(f.waiting("device"), "fleet", "lamp")))(f)
	}
	ca := f.mint("Factory")
	a := f.authority(ca)
	enrol := func(thing string) muster.Enrolled {
		t.Helper()
		return must(f.Enrol(ctx, muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, thing), Registration: thingNamed(thing)}))(f)
	}
	if c := enrol("lamp"); c.Status != muster.PendingActivation || !strings.Contains(c.ProvisioningFailure, "under the template fleet") {
		t.Errorf("a fleet's thing was taken over: %+v", c)
	}
	enrol("pump")
	_, err := f.Provision(ctx, provisioning(f.waiting("device"), "fleet", "pump"))
	if !errors.Is(err, muster.ErrRegistration) || !strings.Contains(err.Error(), "under the authority "+a.ID) {
		t.Errorf("an authority's thing was taken over: %v", err)
	}
}
