package registry_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
	"github.com/muster-mqtt/muster/registry/memory"
)

// overrideCase is what a template does to a thing that exists.
type overrideCase struct {
	name     string
	have     muster.Thing // Name, ID and Revision are set by the test; Authority "own" or "other"
	want     muster.RegistrationThing
	override muster.ThingOverride
	result   muster.Thing
	failure  string // a part of the reason; then the thing stays as it was
}

const (
	nothing = muster.OverrideDoNothing
	replace = muster.OverrideReplace
	merge   = muster.OverrideMerge
	fail    = muster.OverrideFail
)

func attributes(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func overrideCases() []overrideCase {
	have := muster.Thing{Type: "old", Groups: []string{"cellar", "hall"}, Attributes: attributes("a", "1", "b", "2"), Billing: "x"}
	want := muster.RegistrationThing{Type: "new", Groups: []string{"hall", "attic"}, Attributes: attributes("b", "3", "c", "4"), Billing: "y"}
	of := func(authority string, edit func(*muster.Thing)) muster.Thing {
		t := have
		t.Authority = authority
		if edit != nil {
			edit(&t)
		}
		return t
	}
	merged := func(t *muster.Thing) {
		t.Attributes, t.Groups = attributes("a", "1", "b", "3", "c", "4"), []string{"attic", "cellar", "hall"}
	}
	replaced := func(t *muster.Thing) {
		t.Attributes, t.Groups, t.Type = attributes("b", "3", "c", "4"), []string{"attic", "hall"}, "new"
	}
	same := muster.RegistrationThing{Type: have.Type, Groups: have.Groups, Attributes: have.Attributes}
	many := muster.RegistrationThing{Attributes: attributes("c", "", "d", "")}
	return []overrideCase{
		{"nothing", of("", nil), want, muster.ThingOverride{Attributes: nothing, Type: nothing, Groups: nothing}, of("", nil), ""},
		{"absent is nothing", of("", nil), want, muster.ThingOverride{}, of("", nil), ""},
		{"merge", of("", nil), want, muster.ThingOverride{Attributes: merge, Groups: merge}, of("", merged), ""},
		{"replace", of("own", nil), want, muster.ThingOverride{Attributes: replace, Type: replace, Groups: replace}, of("own", replaced), ""},
		{"only the key given", of("own", nil), want, muster.ThingOverride{Type: replace}, of("own", func(t *muster.Thing) { t.Type = "new" }), ""},
		{"replace by the same", of("own", nil), same, muster.ThingOverride{Attributes: replace, Type: replace, Groups: merge}, of("own", nil), ""},
		{"replace by nothing", of("", nil), muster.RegistrationThing{}, muster.ThingOverride{Attributes: replace, Type: replace, Groups: replace},
			of("", func(t *muster.Thing) { t.Type, t.Groups, t.Attributes = "", nil, nil }), ""},
		{"merge into nothing", muster.Thing{}, want, muster.ThingOverride{Groups: merge, Type: replace, Attributes: merge},
			muster.Thing{Type: "new", Groups: []string{"attic", "hall"}, Attributes: want.Attributes}, ""},

		{"another's is taken over", of("other", nil), want, muster.ThingOverride{Attributes: merge, Groups: merge}, of("own", merged), ""},
		{"another's is taken over with nothing to change", of("other", nil), same, muster.ThingOverride{Type: replace}, of("own", nil), ""},
		{"another's is joined", of("other", nil), want, muster.ThingOverride{Type: nothing}, of("other", nil), ""},

		{"fail for attributes", of("own", nil), want, muster.ThingOverride{Attributes: fail, Type: replace}, of("own", nil), "say FAIL for AttributePayload"},
		{"fail for the type", of("", nil), same, muster.ThingOverride{Type: fail}, of("", nil), "say FAIL for ThingTypeName"},
		{"fail for groups", of("other", nil), want, muster.ThingOverride{Attributes: merge, Groups: fail}, of("other", nil), "say FAIL for ThingGroups"},
		{"a type that does not exist", of("", nil), muster.RegistrationThing{Type: "missing"}, muster.ThingOverride{Type: replace}, of("", nil), "missing: not found"},
		{"a group that does not exist", of("", nil), muster.RegistrationThing{Groups: []string{"missing"}}, muster.ThingOverride{Groups: merge}, of("", nil), "missing: not found"},
		{"too many groups", of("", nil), muster.RegistrationThing{Groups: strings.Split("a b c d e f g h i", " ")}, muster.ThingOverride{Groups: merge}, of("", nil), "in 11 groups, at most 10"},
		{"what is not written need not exist", of("", nil), muster.RegistrationThing{Type: "missing", Groups: []string{"missing"}}, muster.ThingOverride{Attributes: merge}, of("", nil), ""},
		{"too many attributes without the type", of("", nil), muster.RegistrationThing{Attributes: attributes("c", "", "d", "")},
			muster.ThingOverride{Attributes: merge, Type: replace}, of("", nil), "4 attributes, want at most 3"},
		{"as many as the kept type allows", of("", nil), many, muster.ThingOverride{Attributes: merge},
			of("", func(t *muster.Thing) { t.Attributes = attributes("a", "1", "b", "2", "c", "", "d", "") }), ""},
	}
}

// eachEngine runs a test on the engine of production and on its model.
func eachEngine(t *testing.T, test func(*fixture)) {
	t.Run("memory", func(t *testing.T) { test(newFixtureOn(t, memory.New(), registry.Config{})) })
	t.Run("badgerdb", func(t *testing.T) {
		dir := t.TempDir()
		if err := badgerdb.Create(badgerdb.Config{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		test(newFixtureOn(t, openBadger(t, dir), registry.Config{}))
	})
}

func TestEnrolOverrides(t *testing.T) {
	eachEngine(t, func(f *fixture) {
		ca := f.mint("Overrides")
		ids := map[string]string{"": "", "own": f.authority(ca).ID, "other": f.authority(f.mint("Other")).ID}
		for _, name := range []string{"old", "new"} {
			must(f.CreateThingType(f.Context(), muster.ThingType{Account: account, Name: name}))(f)
		}
		for _, name := range []string{"attic", "cellar", "hall"} {
			must(f.CreateThingGroup(f.Context(), muster.ThingGroup{Account: account, Name: name}))(f)
		}
		for i, c := range overrideCases() {
			c.want.Name = fmt.Sprint("thing-", i)
			c.want.Override = &c.override
			have := c.have
			have.Account, have.Name = account, c.want.Name
			have = must(f.CreateThing(f.Context(), have))(f)
			have.Authority = ids[c.have.Authority]
			f.force(registry.KindThing, have)
			checkOverride(f, c, have, muster.Enrolment{
				Account: account, AuthorityID: ids["own"], PEM: f.leaf(ca, c.name),
				Registration: &muster.Registration{Status: muster.Active, Thing: &c.want},
			}, ids[c.result.Authority])
			f.step()
		}
	})
}

func checkOverride(f *fixture, c overrideCase, have muster.Thing, e muster.Enrolment, authority string) {
	f.Helper()
	cert := must(f.Enrol(f.Context(), e))(f)
	got := must(f.Thing(f.Context(), account, have.Name))(f)
	if c.failure != "" {
		if cert.Status != muster.PendingActivation || len(cert.Things) > 0 || !strings.Contains(cert.ProvisioningFailure, c.failure) ||
			!strings.Contains(cert.ProvisioningFailure, have.Name) {
			f.Errorf("%s: enrolled as %+v, want a failure for %q", c.name, cert, c.failure)
		}
	} else if cert.Status != muster.Active || !slices.Equal(cert.Things, []string{have.Name}) {
		f.Errorf("%s: enrolled as %+v", c.name, cert)
	}
	if got.Type != c.result.Type || got.Authority != authority || got.Billing != c.result.Billing || got.ID != have.ID ||
		!slices.Equal(got.Groups, c.result.Groups) || !maps.Equal(got.Attributes, c.result.Attributes) {
		f.Errorf("%s: the thing is %+v, want %+v", c.name, got, c.result)
	}
	changed := got.Type != have.Type || got.Authority != have.Authority || !slices.Equal(got.Groups, have.Groups) || !maps.Equal(got.Attributes, have.Attributes)
	if want := have.Revision + map[bool]int{true: 1}[changed]; got.Revision != want {
		f.Errorf("%s: revision %d, want %d", c.name, got.Revision, want)
	}
}

// A thing that is made anew has no need of its settings, whatever they are; and
// of many connects of one device none fails for the thing that the first made.
func TestEnrolOverridesOfNewThing(t *testing.T) {
	eachEngine(t, func(f *fixture) {
		ca := f.mint("New")
		a := f.authority(ca)
		for _, setting := range []muster.Override{nothing, replace, merge, fail} {
			r := thingNamed("new-" + string(setting))
			r.Thing.Attributes = map[string]string{"a": "1"}
			r.StatusOverride = fail // nobody registered the certificate before
			r.Thing.Override = &muster.ThingOverride{Attributes: setting}
			connectAll(f, muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, r.Thing.Name), Registration: r})
			thing := must(f.Thing(f.Context(), account, r.Thing.Name))(f)
			if thing.Authority != a.ID || thing.Revision != 1 || thing.Attributes["a"] != "1" {
				f.Errorf("%s: made as %+v", setting, thing)
			}
			f.step()
		}
	})
}

func connectAll(f *fixture, e muster.Enrolment) {
	f.Helper()
	before := f.seq()
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			c, err := f.Enrol(f.Context(), e)
			if err != nil || c.Status != muster.Active || c.ProvisioningFailure != "" || c.Revision != 1 {
				f.Errorf("enrolled as %+v, %v", c, err)
			}
		})
	}
	wg.Wait()
	if n := f.seq() - before; n != 1 {
		f.Errorf("%d changes, want the one registration", n)
	}
}

// A record that waits for activation is nobody's word on its status: the
// template's holds under every setting.
func TestEnrolStatusOverride(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Status")
	a := f.authority(ca)
	for _, setting := range []muster.Override{"", nothing, replace, fail} {
		pending := f.enrol(a, ca, "device-"+string(setting))
		c := must(f.Enrol(t.Context(), muster.Enrolment{
			Account: account, AuthorityID: a.ID, PEM: pending.PEM, Registration: &muster.Registration{Status: muster.Active, StatusOverride: setting},
		}))(f)
		if c.Status != muster.Active || c.Revision != 2 {
			t.Errorf("%q: enrolled as %+v", setting, c)
		}
		f.step()
	}
}

// Settings that no template can have are refused before anything is written.
func TestEnrolOverridesThatAreNone(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("None")
	a := f.authority(ca)
	before := f.seq()
	for name, edit := range map[string]func(*muster.Registration){
		"word":          func(r *muster.Registration) { r.Thing.Override.Attributes = "KEEP" },
		"merged type":   func(r *muster.Registration) { r.Thing.Override.Type = merge },
		"merged status": func(r *muster.Registration) { r.StatusOverride = merge },
	} {
		r := thingNamed("device")
		r.Thing.Override = &muster.ThingOverride{}
		edit(r)
		_, err := f.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, name), Registration: r})
		f.is(name, err, muster.ErrInvalid)
	}
	if f.seq() != before {
		t.Error("something was written")
	}
}

// A taken-over thing is the new authority's: the one that made it finds it gone.
func TestEnrolTakenOver(t *testing.T) {
	f := newFixture(t)
	cas := []*mint.Authority{f.mint("First"), f.mint("Second")}
	ids := []string{f.authority(cas[0]).ID, f.authority(cas[1]).ID}
	enrol := func(i int, o *muster.ThingOverride) muster.Enrolled {
		t.Helper()
		r := thingNamed("device")
		r.Thing.Override = o
		return must(f.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: ids[i], PEM: f.leaf(cas[i], "device"), Registration: r}))(f)
	}
	for i, step := range []struct {
		ca       int
		override *muster.ThingOverride
		status   muster.Status
	}{
		{0, nil, muster.Active},
		{1, nil, muster.PendingActivation},
		{1, &muster.ThingOverride{Attributes: replace}, muster.Active},
		{1, nil, muster.Active}, // renewed, without settings
		{0, nil, muster.PendingActivation},
	} {
		if c := enrol(step.ca, step.override); c.Status != step.status {
			t.Errorf("step %d: enrolled as %+v, want %s", i, c, step.status)
		}
		f.step()
	}
}
