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

func TestDeleteThing(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Delete")
	f.authority(ca)
	c := f.register(ca, "device", muster.Inactive)
	f.thing("t")
	f.thing("t2")
	f.ok(f.AttachThing(t.Context(), account, "t2", c.ID))
	for _, test := range []struct {
		account, name string
		want          error
	}{
		{account, "nowhere", muster.ErrNotFound},
		{account2, "t", muster.ErrNotFound},
		{account, "t2", muster.ErrInvalid},
		{account, "t", nil},
		{account, "t", muster.ErrNotFound},
	} {
		f.is(test.account+" "+test.name, f.DeleteThing(t.Context(), test.account, test.name, nil), test.want)
		f.step()
	}
	err := f.DeleteThing(t.Context(), account, "t2", nil)
	if err == nil || !strings.Contains(err.Error(), c.ID) {
		t.Errorf("%v, want the ID of the certificate in the way", err)
	}
	// The name is free for another thing.
	f.thing("t")
}

func TestThingInGroups(t *testing.T) {
	f := newFixture(t)
	for i := range 11 {
		must(f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: fmt.Sprintf("g%02d", i)}))(f)
	}
	must(f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account2, Name: "theirs"}))(f)
	f.thing("a", "g01")
	add := func(group string) func() error {
		return func() error { return f.AddThingToGroup(t.Context(), account, "a", group) }
	}
	remove := func(group string) func() error {
		return func() error { return f.RemoveThingFromGroup(t.Context(), account, "a", group) }
	}
	for _, step := range []struct {
		what  string
		edit  func() error
		want  error
		left  string
		write bool
	}{
		{"add", add("g00"), nil, "g00 g01", true},
		{"add again", add("g00"), nil, "g00 g01", false},
		{"no such group", add("nowhere"), muster.ErrNotFound, "g00 g01", false},
		{"another account's group", add("theirs"), muster.ErrNotFound, "g00 g01", false},
		{"no such thing", func() error { return f.AddThingToGroup(t.Context(), account, "nowhere", "g00") }, muster.ErrNotFound, "g00 g01", false},
		{"another account", func() error { return f.AddThingToGroup(t.Context(), account2, "a", "theirs") }, muster.ErrNotFound, "g00 g01", false},
		{"remove", remove("g01"), nil, "g00", true},
		{"remove again", remove("g01"), nil, "g00", false},
		{"remove from no group", remove("nowhere"), muster.ErrNotFound, "g00", false},
		{"remove the last", remove("g00"), nil, "", true},
	} {
		before := f.seq()
		f.is(step.what, step.edit(), step.want)
		if got := strings.Join(must(f.Thing(t.Context(), account, "a"))(f).Groups, " "); got != step.left || (f.seq() != before) != step.write {
			t.Errorf("%s: leaves %q, %d changes; want %q, written %t", step.what, got, f.seq()-before, step.left, step.write)
		}
		f.step()
	}
	for i := range 10 {
		f.ok(add(fmt.Sprintf("g%02d", i))())
	}
	f.is("the eleventh", add("g10")(), muster.ErrLimit)
}

// What a principal is follows the groups of its things, and their parents.
func TestPrincipalFollowsGroups(t *testing.T) {
	f := newFixture(t)
	c := f.lamp() // in floor, in house
	policies := func() (names string) {
		for _, p := range must(f.Principal(t.Context(), account, c.ID, "lamp"))(f).Policies {
			names += p.Name + " "
		}
		return names
	}
	for _, step := range []struct {
		what string
		edit func() error
		want string
	}{
		{"as provisioned", func() error { return nil }, "floor house own "},
		{"into another group", func() error { return f.AddThingToGroup(t.Context(), account, "lamp", "elsewhere") }, "floor house own unrelated "},
		{"out of the first", func() error { return f.RemoveThingFromGroup(t.Context(), account, "lamp", "floor") }, "house own unrelated "},
		{"no policy of the group", func() error {
			return f.DetachPolicy(t.Context(), account, "unrelated", muster.KindThingGroup, "elsewhere")
		}, "house own "},
		{"back, and its parent has another", func() error {
			if err := f.AddThingToGroup(t.Context(), account, "lamp", "floor"); err != nil {
				return err
			}
			return f.AttachPolicy(t.Context(), account, "unrelated", muster.KindThingGroup, "house")
		}, "floor house own unrelated "},
	} {
		f.ok(step.edit())
		if got := policies(); got != step.want {
			t.Errorf("%s: policies %q, want %q", step.what, got, step.want)
		}
		f.step()
	}
}
