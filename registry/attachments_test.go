package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func (f *fixture) thing(name string, groups ...string) {
	f.Helper()
	must(f.CreateThing(f.Context(), muster.Thing{Account: account, Name: name, Groups: groups}))(f)
}

// things returns what a certificate is attached to.
func (f *fixture) things(id string) []string {
	f.Helper()
	return must(f.Certificate(f.Context(), account, id))(f).Things
}

func TestAttachThing(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Attach")
	f.authority(ca)
	c := f.register(ca, "device", muster.Active)
	f.thing("a")
	f.thing("b")
	must(f.CreateThing(t.Context(), muster.Thing{Account: account2, Name: "theirs"}))(f)
	for _, step := range []struct {
		what  string
		edit  func() error
		want  error
		left  string // the things attached after
		write bool
	}{
		{"attach", func() error { return f.AttachThing(t.Context(), account, "b", c.ID) }, nil, "b", true},
		{"attach again", func() error { return f.AttachThing(t.Context(), account, "b", c.ID) }, nil, "b", false},
		{"attach another", func() error { return f.AttachThing(t.Context(), account, "a", c.ID) }, nil, "a b", true},
		{"no such thing", func() error { return f.AttachThing(t.Context(), account, "nowhere", c.ID) }, muster.ErrNotFound, "a b", false},
		{"no such certificate", func() error { return f.AttachThing(t.Context(), account, "a", "nowhere") }, muster.ErrNotFound, "a b", false},
		{"another account's thing", func() error { return f.AttachThing(t.Context(), account, "theirs", c.ID) }, muster.ErrNotFound, "a b", false},
		{"another account's certificate", func() error { return f.AttachThing(t.Context(), account2, "theirs", c.ID) }, muster.ErrNotFound, "a b", false},
		{"detach", func() error { return f.DetachThing(t.Context(), account, "b", c.ID) }, nil, "a", true},
		{"detach again", func() error { return f.DetachThing(t.Context(), account, "b", c.ID) }, nil, "a", false},
		{"detach from no thing", func() error { return f.DetachThing(t.Context(), account, "nowhere", c.ID) }, muster.ErrNotFound, "a", false},
		{"detach no certificate", func() error { return f.DetachThing(t.Context(), account, "a", "nowhere") }, muster.ErrNotFound, "a", false},
		{"detach another account's", func() error { return f.DetachThing(t.Context(), account2, "a", c.ID) }, muster.ErrNotFound, "a", false},
		{"detach the last", func() error { return f.DetachThing(t.Context(), account, "a", c.ID) }, nil, "", true},
	} {
		before := f.seq()
		f.is(step.what, step.edit(), step.want)
		if got := strings.Join(f.things(c.ID), " "); got != step.left || (f.seq() != before) != step.write {
			t.Errorf("%s: leaves %q, %d changes; want %q, written %t", step.what, got, f.seq()-before, step.left, step.write)
		}
		f.step()
	}
}

// A hundred things are as many as an operator or a template may attach.
func TestAttachThingLimit(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Limit")
	a := f.authority(ca)
	text := f.leaf(ca, "gateway")
	c := must(f.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: text}))(f)
	for i := range 101 {
		name := fmt.Sprintf("t%03d", i)
		f.thing(name)
		want := error(nil)
		if i == 100 {
			want = muster.ErrLimit
		}
		f.is(name, f.AttachThing(t.Context(), account, name, c.ID), want)
	}
	f.step()
	c = must(f.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: text, Registration: thingNamed("gateway")}))(f)
	if c.Status != muster.PendingActivation || !strings.Contains(c.ProvisioningFailure, "101 things") || len(c.Things) != 100 {
		t.Errorf("one more by a template: %s, %q, %d things", c.Status, c.ProvisioningFailure, len(c.Things))
	}
	f.step()
	c = must(f.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: text, Registration: thingNamed("t007")}))(f)
	if c.Status != muster.Active || len(c.Things) != 100 {
		t.Errorf("one that it has by a template: %s, %q, %d things", c.Status, c.ProvisioningFailure, len(c.Things))
	}
}

// What was provisioned can be taken apart again, piece by piece.
func TestDetachProvisioned(t *testing.T) {
	f := newFixture(t)
	c := f.lamp()
	f.is("the certificate while ACTIVE", f.DeleteCertificate(t.Context(), account, c.ID, true), muster.ErrState)
	must(f.UpdateCertificateStatus(t.Context(), account, c.ID, muster.Inactive))(f)
	f.is("the certificate of a thing", f.DeleteCertificate(t.Context(), account, c.ID, true), muster.ErrInUse)
	f.is("the thing", f.DeleteThing(t.Context(), account, "lamp", nil), muster.ErrInvalid)
	f.step()

	f.ok(f.DetachThing(t.Context(), account, "lamp", c.ID))
	f.step()
	p := must(f.Principal(t.Context(), account, c.ID, "lamp"))(f)
	if p.Thing != nil || len(p.Policies) != 2 || slices.Contains(p.Watch, muster.ResourceKey{Kind: muster.KindThing, ID: "lamp"}) {
		t.Errorf("detached, it is still %+v", p)
	}
	f.ok(f.AttachThing(t.Context(), account, "lamp", c.ID))
	if p := must(f.Principal(t.Context(), account, c.ID, "lamp"))(f); p.Thing == nil || len(p.Policies) != 3 {
		t.Errorf("attached again, it is %+v", p)
	}

	f.ok(f.DetachThing(t.Context(), account, "lamp", c.ID))
	f.ok(f.DeleteThing(t.Context(), account, "lamp", nil))
	f.step()
	f.is("the policy", f.DeletePolicy(t.Context(), account, "own"), muster.ErrInUse)
	f.ok(f.DeleteCertificate(t.Context(), account, c.ID, true))
	f.ok(f.DeletePolicy(t.Context(), account, "own"))
	f.step()
	_, err := f.Certificate(t.Context(), account, c.ID)
	f.is("the deleted certificate", err, muster.ErrNotFound)
	_, err = f.Thing(t.Context(), account, "lamp")
	f.is("the deleted thing", err, muster.ErrNotFound)
	_, err = f.Policy(t.Context(), account, "own")
	f.is("the deleted policy", err, muster.ErrNotFound)
}

func TestListThingCertificates(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("List")
	f.authority(ca)
	f.thing("t")
	f.thing("t2") // its name begins as the other's
	var want []string
	for i := range 5 {
		c := f.register(ca, fmt.Sprint("device-", i), muster.Active)
		f.ok(f.AttachThing(t.Context(), account, "t", c.ID))
		f.ok(f.AttachThing(t.Context(), account, "t2", c.ID))
		want = append(want, c.ID)
	}
	f.ok(f.DetachThing(t.Context(), account, "t", want[2]))
	want = slices.Delete(want, 2, 3)
	slices.Sort(want)
	list := func(p registry.Page) ([]muster.Certificate, registry.Cursor, error) {
		return f.ListThingCertificates(t.Context(), account, "t", nil, p)
	}
	if got := pages(f, list, registry.Page{Limit: 3}); !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	_, _, err := f.ListThingCertificates(t.Context(), account, "nowhere", nil, registry.Page{})
	f.is("no such thing", err, muster.ErrNotFound)
	_, _, err = f.ListThingCertificates(t.Context(), account2, "t", nil, registry.Page{})
	f.is("another account's thing", err, muster.ErrNotFound)
}

// exclusive says how a certificate is attached, and to what.
func (f *fixture) exclusive(id string) string {
	f.Helper()
	c := must(f.Certificate(f.Context(), account, id))(f)
	return fmt.Sprint(c.Things, c.Exclusive)
}

func TestAttachThingExclusively(t *testing.T) { onBothEngines(t, testAttachThingExclusively) }

func testAttachThingExclusively(f *fixture) {
	ca := f.mint("Exclusive")
	f.authority(ca)
	c := f.register(ca, "device", muster.Active)
	f.thing("a")
	f.thing("b")
	alone := func(thing string) func() error {
		return func() error { return f.AttachThingExclusively(f.Context(), account, thing, c.ID) }
	}
	attach := func(thing string) func() error {
		return func() error { return f.AttachThing(f.Context(), account, thing, c.ID) }
	}
	detach := func(thing string) func() error {
		return func() error { return f.DetachThing(f.Context(), account, thing, c.ID) }
	}
	for _, step := range []struct {
		what  string
		edit  func() error
		want  error
		left  string
		write bool
	}{
		{"alone", alone("a"), nil, "[a] true", true},
		{"alone again", alone("a"), nil, "[a] true", false},
		{"another alone", alone("b"), muster.ErrInvalid, "[a] true", false},
		{"another with it", attach("b"), muster.ErrInvalid, "[a] true", false},
		{"the same, not alone", attach("a"), muster.ErrInvalid, "[a] true", false},
		{"no such thing", alone("nowhere"), muster.ErrNotFound, "[a] true", false},
		{"detach another", detach("b"), nil, "[a] true", false},
		{"detach", detach("a"), nil, "[] false", true},
		{"with others", attach("a"), nil, "[a] false", true},
		{"the same alone", alone("a"), muster.ErrInvalid, "[a] false", false},
		{"another alone", alone("b"), muster.ErrInvalid, "[a] false", false},
		{"another with it", attach("b"), nil, "[a b] false", true},
	} {
		before := f.seq()
		f.is(step.what, step.edit(), step.want)
		if got := f.exclusive(c.ID); got != step.left || (f.seq() != before) != step.write {
			f.Errorf("%s: leaves %s, %d changes; want %s, written %t", step.what, got, f.seq()-before, step.left, step.write)
		}
		f.step()
	}
}

// A template gives a certificate that one thing has exclusively no other one.
func TestExclusiveThingAndTemplate(t *testing.T) { onBothEngines(t, testExclusiveThingAndTemplate) }

func testExclusiveThingAndTemplate(f *fixture) {
	ca := f.mint("Template")
	a := f.authority(ca)
	e := muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, "device")}
	c := must(f.Enrol(f.Context(), e))(f)
	f.thing("mine")
	f.ok(f.AttachThingExclusively(f.Context(), account, "mine", c.ID))
	e.Registration = thingNamed("device")
	c = must(f.Enrol(f.Context(), e))(f)
	if c.Status != muster.PendingActivation || !strings.Contains(c.ProvisioningFailure, "exclusively") || f.exclusive(c.ID) != "[mine] true" {
		f.Errorf("another thing: %s, %q, %s", c.Status, c.ProvisioningFailure, f.exclusive(c.ID))
	}
	f.step()
	e.Registration = thingNamed("mine")
	c = must(f.Enrol(f.Context(), e))(f)
	if c.Status != muster.Active || f.exclusive(c.ID) != "[mine] true" {
		f.Errorf("its own thing: %s, %q, %s", c.Status, c.ProvisioningFailure, f.exclusive(c.ID))
	}
}

// A certificate that another account may accept is nobody's thing meanwhile.
func TestAttachThingInTransfer(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Transfer")
	f.authority(ca)
	f.thing("t")
	c := f.register(ca, "device", muster.Inactive)
	must(f.TransferCertificate(t.Context(), account, c.ID, account2, ""))(f)
	f.is("attach", f.AttachThing(t.Context(), account, "t", c.ID), muster.ErrInvalid)
	f.is("attach exclusively", f.AttachThingExclusively(t.Context(), account, "t", c.ID), muster.ErrInvalid)
	f.step()
	f.ok(f.CancelTransfer(t.Context(), account, c.ID))
	f.ok(f.AttachThing(t.Context(), account, "t", c.ID))
}

// What connects with the certificate of an exclusive thing is that thing.
func TestPrincipalOfExclusiveThing(t *testing.T) { onBothEngines(t, testPrincipalOfExclusiveThing) }

func testPrincipalOfExclusiveThing(f *fixture) {
	ca := f.mint("Principal")
	f.authority(ca)
	c := f.register(ca, "device", muster.Active)
	f.thing("lamp")
	f.thing("other")
	is := func(clientID string) string {
		if thing := must(f.Principal(f.Context(), account, c.ID, clientID))(f).Thing; thing != nil {
			return thing.Name
		}
		return ""
	}
	f.ok(f.AttachThingExclusively(f.Context(), account, "lamp", c.ID))
	for _, clientID := range []string{"lamp", "other", ""} {
		if got := is(clientID); got != "lamp" {
			f.Errorf("exclusive, as client %q it is %q", clientID, got)
		}
	}
	f.ok(f.DetachThing(f.Context(), account, "lamp", c.ID))
	f.ok(f.AttachThing(f.Context(), account, "lamp", c.ID))
	for clientID, want := range map[string]string{"lamp": "lamp", "other": "", "": ""} {
		if got := is(clientID); got != want {
			f.Errorf("not exclusive, as client %q it is %q", clientID, got)
		}
	}
}

// Things that are in the same groups do not make a principal longer, or slower.
func TestPrincipalWatchesEachOnce(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Watch")
	f.authority(ca)
	c := f.register(ca, "gateway", muster.Active)
	must(f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "top"}))(f)
	for i := range 10 {
		must(f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: fmt.Sprint("g", i), Parent: "top"}))(f)
	}
	f.policy("p")
	f.ok(f.AttachPolicy(t.Context(), account, "p", muster.KindThingGroup, "top"))
	for i := range 100 {
		name := fmt.Sprint("t", i)
		f.thing(name, "g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7", "g8", "g9")
		f.ok(f.AttachThing(t.Context(), account, name, c.ID))
	}
	p := must(f.Principal(t.Context(), account, c.ID, "t7"))(f)
	seen := map[muster.ResourceKey]int{}
	for _, key := range p.Watch {
		seen[key]++
	}
	if want := 1 + 1 + 100 + 11 + 1; len(p.Watch) != want || len(seen) != want { // certificate, issuer, things, groups, policy
		t.Errorf("it watches %d, %d of them different, want %d", len(p.Watch), len(seen), want)
	}
	if len(p.Policies) != 1 || p.Thing == nil || p.Thing.Name != "t7" {
		t.Errorf("policies %v, thing %v", p.Policies, p.Thing)
	}
}

// The two sorts of attachments are listed by themselves, page by page.
func TestListThingCertificatesBySort(t *testing.T) { onBothEngines(t, testListThingCertificatesBySort) }

func testListThingCertificatesBySort(f *fixture) {
	ca := f.mint("Sorts")
	f.authority(ca)
	f.thing("t")
	want := map[bool][]string{}
	for i := range 8 {
		c := f.register(ca, fmt.Sprint("device-", i), muster.Active)
		exclusive := i%3 == 0
		if exclusive {
			f.ok(f.AttachThingExclusively(f.Context(), account, "t", c.ID))
		} else {
			f.ok(f.AttachThing(f.Context(), account, "t", c.ID))
		}
		want[exclusive] = append(want[exclusive], c.ID)
	}
	for exclusive, ids := range want {
		slices.Sort(ids)
		list := func(p registry.Page) ([]muster.Certificate, registry.Cursor, error) {
			return f.ListThingCertificates(f.Context(), account, "t", &exclusive, p)
		}
		if got := pages(f, list, registry.Page{Limit: 2}); !slices.Equal(got, ids) {
			f.Errorf("exclusive %t: %v, want %v", exclusive, got, ids)
		}
	}
}
