package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

func thingNamed(name string) *muster.Registration {
	return &muster.Registration{Status: muster.Active, Thing: &muster.RegistrationThing{Name: name}}
}

// Sixty-four connects of one new device make one record and one thing.
func TestEnrolOnce(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Once")
	a := f.authority(ca)
	e := muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, "device"), Registration: thingNamed("device")}
	e.Registration.Policies = []muster.RegistrationGrant{{Name: "generated", Document: allowAll}}
	before := f.seq()
	got := make([]muster.Enrolled, 64)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			c, err := f.Enrol(t.Context(), e)
			if err != nil {
				t.Error(err)
			}
			got[i] = c
		})
	}
	wg.Wait()
	writers := 0
	for _, c := range got {
		if c.Wrote {
			writers++
		}
		if c.Status != muster.Active || c.Generation != got[0].Generation || !slices.Equal(c.Things, []string{"device"}) || c.Revision != 1 {
			t.Errorf("enrolled as %+v", c)
		}
	}
	if writers != 1 {
		t.Errorf("%d of %d callers say that they wrote", writers, len(got))
	}
	if after := f.seq(); after-before > 3 {
		t.Errorf("%d changes, want those of one registration", after-before)
	}
	thing := must(f.Thing(t.Context(), account, "device"))(f)
	if thing.Authority != a.ID || thing.ID == "" {
		t.Errorf("thing %+v", thing)
	}
	f.step()
}

func TestEnrolJITR(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("JITR")
	a := f.authority(ca)
	e := muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, "device")}
	c := must(f.Enrol(t.Context(), e))(f)
	if c.Status != muster.PendingActivation || c.Mode != muster.ModeDefault || c.AuthorityID != a.ID {
		t.Errorf("enrolled as %+v", c)
	}
	before := f.seq()
	if again := must(f.Enrol(t.Context(), e))(f); again.Revision != 1 || f.seq() != before {
		t.Errorf("the second connect writes: %+v", again)
	}
	must(f.UpdateCertificateStatus(t.Context(), account, c.ID, muster.Inactive))(f)
	before = f.seq()
	e.Registration = thingNamed("late")
	if again := must(f.Enrol(t.Context(), e))(f); again.Status != muster.Inactive || f.seq() != before {
		t.Errorf("a record past PENDING_ACTIVATION was changed: %+v", again)
	}
	f.step()
}

// What the authority, or a tombstone, no longer allows is ErrState and writes
// nothing.
func TestEnrolNotAllowed(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("No")
	a := f.authority(ca)
	off, active, inactive, on := false, muster.Active, muster.Inactive, true
	pem := f.leaf(ca, "device")
	e := muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: pem, Registration: thingNamed("device")}
	pending := f.enrol(a, ca, "pending")
	for _, test := range []struct {
		name string
		do   registry.AuthorityUpdate
		undo registry.AuthorityUpdate
	}{
		{"inactive", registry.AuthorityUpdate{Status: &inactive}, registry.AuthorityUpdate{Status: &active}},
		{"auto-registration off", registry.AuthorityUpdate{AutoRegistration: &off}, registry.AuthorityUpdate{AutoRegistration: &on}},
	} {
		must(f.UpdateAuthority(t.Context(), account, a.ID, test.do))(f)
		before := f.seq()
		_, err := f.Enrol(t.Context(), e)
		f.is(test.name, err, muster.ErrState)
		again := e
		again.PEM = pending.PEM
		_, err = f.Enrol(t.Context(), again)
		f.is(test.name+", pending", err, muster.ErrState)
		if f.seq() != before {
			t.Errorf("%s: something was written", test.name)
		}
		must(f.UpdateAuthority(t.Context(), account, a.ID, test.undo))(f)
	}
	other := e
	other.AuthorityID = f.authority(f.mint("Other")).ID
	other.PEM = pending.PEM
	_, err := f.Enrol(t.Context(), other)
	f.is("pending under another authority", err, muster.ErrState)
	other.Account = account2
	_, err = f.Enrol(t.Context(), other)
	f.is("no such authority", err, muster.ErrState)
	other.PEM = "garbage"
	_, err = f.Enrol(t.Context(), other)
	f.is("garbage", err, muster.ErrCertificate)
	e.Registration = &muster.Registration{Status: muster.Revoked}
	_, err = f.Enrol(t.Context(), e)
	f.is("status", err, muster.ErrInvalid)
	f.step()
}

type failingTemplate struct {
	name string
	e    muster.Enrolment
	text string // of the failure
}

func failingTemplates(f *fixture) []failingTemplate {
	tooMany := thingNamed("crowded")
	for i := range 11 {
		name := fmt.Sprint("many-", i)
		f.policy(name)
		tooMany.Policies = append(tooMany.Policies, muster.RegistrationGrant{Name: name})
	}
	with := func(thing string, g ...muster.RegistrationGrant) muster.Enrolment {
		r := thingNamed(thing)
		r.Policies = append([]muster.RegistrationGrant{{Name: "fine", Document: allowAll}}, g...)
		return muster.Enrolment{Registration: r}
	}
	typed := func(kind string, groups ...string) muster.Enrolment {
		e := with("typed")
		e.Registration.Thing.Type, e.Registration.Thing.Groups = kind, groups
		return e
	}
	denyAll := strings.Replace(allowAll, "Allow", "Deny", 1)
	return []failingTemplate{
		{"rendering failed", muster.Enrolment{Failure: "the certificate has no country"}, "no country"},
		{"rendering failed at length", muster.Enrolment{Failure: "long: " + strings.Repeat("é", 5000)}, "long: é"},
		{"no such type", typed("missing-type"), "missing-type"},
		{"no such group", typed("", "missing-group"), "missing-group"},
		{"eleven groups", typed("", strings.Split("a b c d e f g h i j k", " ")...), "in 11 groups, at most 10"},
		{"no such policy", with("c", muster.RegistrationGrant{Name: "missing-policy"}), "missing-policy"},
		{"another's thing", with("theirs"), "not taken over"},
		{"another document", with("d", muster.RegistrationGrant{Name: "another-document", Document: denyAll}), "another-document"},
		{"two documents", with("d", muster.RegistrationGrant{Name: "fine", Document: denyAll}), "two documents"},
		{"malformed document", with("d", muster.RegistrationGrant{Name: "x", Document: "{}"}), "policy x"},
		{"bad thing name", with("a thing"), "a thing"},
		{"eleven policies", muster.Enrolment{Registration: tooMany}, "11 policies"},
	}
}

// A template that cannot be applied leaves the record pending with the reason,
// and nothing else; once the cause is mended the next connect succeeds.
func TestEnrolFailures(t *testing.T) {
	f := newFixture(t)
	ca, otherCA := f.mint("Failures"), f.mint("Foreign")
	a, other := f.authority(ca), f.authority(otherCA)
	must(f.Enrol(t.Context(), muster.Enrolment{
		Account: account, AuthorityID: other.ID, PEM: f.leaf(otherCA, "theirs"), Registration: thingNamed("theirs"),
	}))(f)
	f.policy("another-document")
	for _, test := range failingTemplates(f) {
		e := test.e
		e.Account, e.AuthorityID, e.PEM = account, a.ID, f.leaf(ca, test.name)
		before := f.seq()
		c := must(f.Enrol(t.Context(), e))(f)
		if c.Status != muster.PendingActivation || !strings.Contains(c.ProvisioningFailure, test.text) || len(c.Things)+len(c.Policies) != 0 {
			t.Errorf("%s: enrolled as %+v", test.name, c)
		}
		if n := f.seq() - before; n > 1 || len(c.ProvisioningFailure) > 1024 {
			t.Errorf("%s: %d changes, want the record alone; a failure of %d bytes", test.name, n, len(c.ProvisioningFailure))
		}
		_, err := f.Policy(t.Context(), account, "fine")
		f.is(test.name+": policy of a failed template", err, muster.ErrNotFound)
		f.step()

		before = f.seq()
		again := must(f.Enrol(t.Context(), e))(f)
		stored := must(f.Certificate(t.Context(), account, c.ID))(f)
		if again.Revision != c.Revision || f.seq() != before || stored.ProvisioningFailure != c.ProvisioningFailure {
			t.Errorf("%s: the same failure is written again, or not stored: %+v", test.name, stored)
		}
		e.Failure, e.Registration = "another reason", nil
		if again := must(f.Enrol(t.Context(), e))(f); again.ProvisioningFailure != "another reason" {
			t.Errorf("%s: failure %q was not replaced", test.name, again.ProvisioningFailure)
		}
		e.Failure, e.Registration = "", thingNamed("mended-"+c.ID[:8])
		mended := must(f.Enrol(t.Context(), e))(f)
		if mended.Status != muster.Active || mended.ProvisioningFailure != "" || mended.Revision != 2 {
			t.Errorf("%s: mended %+v", test.name, mended)
		}
		f.step()
	}
}

// A renewed certificate of the same name is the common case: the thing keeps
// what it has.
func TestEnrolKeepsThing(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Renewal")
	a := f.authority(ca)
	must(f.CreateThingType(t.Context(), muster.ThingType{Account: account, Name: "sensor"}))(f)
	must(f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "floor"}))(f)
	must(f.CreateThing(t.Context(), muster.Thing{Account: account, Name: "byhand", Attributes: map[string]string{"colour": "red"}}))(f)
	enrol := func(ca *mint.Authority, thing string) muster.Certificate {
		t.Helper()
		return must(f.Enrol(t.Context(), muster.Enrolment{
			Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, thing),
			Registration: &muster.Registration{Status: muster.Inactive, Thing: &muster.RegistrationThing{
				Name: thing, Type: "sensor", Groups: []string{"floor"}, Attributes: map[string]string{"colour": "blue"},
			}},
		}))(f).Certificate
	}
	for _, name := range []string{"byhand", "made"} {
		first, second := enrol(ca, name), enrol(ca, name)
		if first.ID == second.ID || first.Status != muster.Inactive || !slices.Equal(second.Things, []string{name}) {
			t.Errorf("%s: %+v, then %+v", name, first, second)
		}
		f.step()
	}
	byHand, made := must(f.Thing(t.Context(), account, "byhand"))(f), must(f.Thing(t.Context(), account, "made"))(f)
	if byHand.Attributes["colour"] != "red" || byHand.Type != "" || len(byHand.Groups) != 0 || byHand.Authority != "" || byHand.Revision != 1 {
		t.Errorf("a thing made by hand became %+v", byHand)
	}
	if made.Attributes["colour"] != "blue" || made.Type != "sensor" || !slices.Equal(made.Groups, []string{"floor"}) || made.Authority != a.ID {
		t.Errorf("a thing was made as %+v", made)
	}
}

// A policy of the template's document is made once, and stays the one that is
// meant when another version of it is in force.
func TestEnrolReusesPolicy(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Reuse")
	a := f.authority(ca)
	var generation string
	for i := range 3 {
		r := thingNamed(fmt.Sprint("device-", i))
		r.Policies = []muster.RegistrationGrant{{Name: "hash", Document: allowAll}, {Name: "hash", Document: allowAll}}
		c := must(f.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, "device"), Registration: r}))(f)
		p := must(f.Policy(t.Context(), account, "hash"))(f)
		if c.Status != muster.Active || !slices.Equal(c.Policies, []string{"hash"}) || generation != "" && p.Generation != generation {
			t.Errorf("device %d: %+v with %+v", i, c, p)
		}
		generation = p.Generation
		f.step()
	}
}
