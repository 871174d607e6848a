package registry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func TestThingTypes(t *testing.T) {
	f := newFixture(t)
	full := muster.ThingType{Account: account, Name: "full", Description: "d", SearchableAttributes: []string{"a"}, Tags: []muster.Tag{{Key: "k"}}}
	made := must(f.CreateThingType(t.Context(), full))(f)
	if again := must(f.CreateThingType(t.Context(), full))(f); again.ID != made.ID {
		t.Errorf("the same type once more is %s, was %s", again.ID, made.ID)
	}
	if got := must(f.ThingType(t.Context(), account, "full"))(f); got.Description != "d" || got.ID != made.ID {
		t.Errorf("stored %+v", got)
	}
	for name, kind := range map[string]muster.ThingType{
		"description": {Name: "x", Description: strings.Repeat("d", 2029)},
		"name":        {Name: "x/y"},
		"searchable":  {Name: "x", SearchableAttributes: []string{"a", "b", "c", "d"}},
		"attribute":   {Name: "x", SearchableAttributes: []string{"a b"}},
		"tag":         {Name: "x", Tags: []muster.Tag{{Key: "aws:x"}}},
	} {
		kind.Account = account
		_, err := f.CreateThingType(t.Context(), kind)
		f.is(name, err, muster.ErrInvalid)
	}
	full.Description = "another"
	_, err := f.CreateThingType(t.Context(), full)
	f.is("another description", err, muster.ErrExists)
}

func TestUpdateThingType(t *testing.T) { onBothEngines(t, testUpdateThingType) }

func testUpdateThingType(f *fixture) {
	made := must(f.CreateThingType(f.Context(), muster.ThingType{Account: account, Name: "k", Description: "d", SearchableAttributes: []string{"a"}}))(f)
	text := func(s string) *string { return &s }
	for _, step := range []struct {
		what   string
		update registry.ThingTypeUpdate
		want   error
		left   string
		write  bool
	}{
		{"nothing", registry.ThingTypeUpdate{}, nil, "d a", false},
		{"what it is", registry.ThingTypeUpdate{Description: text("d"), SearchableAttributes: []string{"a"}}, nil, "d a", false},
		{"description", registry.ThingTypeUpdate{Description: text("e")}, nil, "e a", true},
		{"attributes", registry.ThingTypeUpdate{SearchableAttributes: []string{"b", "c"}}, nil, "e b c", true},
		{"too many", registry.ThingTypeUpdate{SearchableAttributes: []string{"a", "b", "c", "d"}}, muster.ErrInvalid, "e b c", false},
		{"too long", registry.ThingTypeUpdate{Description: text(strings.Repeat("d", 2029))}, muster.ErrInvalid, "e b c", false},
		{"neither", registry.ThingTypeUpdate{Description: text(""), SearchableAttributes: []string{}}, nil, "", true},
	} {
		before := f.seq()
		f.is(step.what, f.UpdateThingType(f.Context(), account, "k", step.update), step.want)
		got := must(f.ThingType(f.Context(), account, "k"))(f)
		left := strings.TrimSpace(got.Description + " " + strings.Join(got.SearchableAttributes, " "))
		if left != step.left || (f.seq() != before) != step.write || got.ID != made.ID {
			f.Errorf("%s: leaves %q, %d changes; want %q, written %t", step.what, left, f.seq()-before, step.left, step.write)
		}
	}
	f.is("none", f.UpdateThingType(f.Context(), account2, "k", registry.ThingTypeUpdate{}), muster.ErrNotFound)
}

// A deprecated type stays with the things that have it, and is given to no more,
// by nobody.
func TestDeprecateThingType(t *testing.T) { onBothEngines(t, testDeprecateThingType) }

func testDeprecateThingType(f *fixture) {
	ca := f.mint("Deprecated")
	a := f.authority(ca)
	must(f.CreateThingType(f.Context(), muster.ThingType{Account: account, Name: "old"}))(f)
	must(f.CreateThing(f.Context(), muster.Thing{Account: account, Name: "has-it", Type: "old"}))(f)
	f.thing("has-none")
	f.ok(f.DeprecateThingType(f.Context(), account, "old", false))
	since := must(f.ThingType(f.Context(), account, "old"))(f).Deprecated
	f.advance(time.Hour)
	before := f.seq()
	f.ok(f.DeprecateThingType(f.Context(), account, "old", false))
	if again := must(f.ThingType(f.Context(), account, "old"))(f).Deprecated; since.IsZero() || !again.Equal(since) || f.seq() != before {
		f.Errorf("deprecated at %v, again at %v, %d changes", since, again, f.seq()-before)
	}

	old := "old"
	_, err := f.CreateThing(f.Context(), muster.Thing{Account: account, Name: "new", Type: "old"})
	f.is("a new thing", err, muster.ErrInvalid)
	_, err = f.UpdateThing(f.Context(), account, "has-none", registry.ThingUpdate{Type: &old})
	f.is("another thing", err, muster.ErrInvalid)
	_, err = f.UpdateThing(f.Context(), account, "has-it", registry.ThingUpdate{Type: &old, Attributes: map[string]string{"a": "1"}})
	f.is("a thing that has it", err, nil)
	_, err = f.CreateThing(f.Context(), muster.Thing{Account: account, Name: "has-it", Type: "old", Attributes: map[string]string{"a": "1"}})
	f.is("the same thing once more", err, nil)
	r := thingNamed("provisioned")
	r.Thing.Type = "old"
	c := must(f.Enrol(f.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, "provisioned"), Registration: r}))(f)
	if c.Status != muster.PendingActivation || !strings.Contains(c.ProvisioningFailure, "thing type old: deprecated") {
		f.Errorf("by a template: %s, %q", c.Status, c.ProvisioningFailure)
	}
	f.step()

	f.ok(f.DeprecateThingType(f.Context(), account, "old", true))
	if kind := must(f.ThingType(f.Context(), account, "old"))(f); !kind.Deprecated.IsZero() {
		f.Errorf("undone, and deprecated since %v", kind.Deprecated)
	}
	_, err = f.UpdateThing(f.Context(), account, "has-none", registry.ThingUpdate{Type: &old})
	f.is("undone", err, nil)
	f.is("none", f.DeprecateThingType(f.Context(), account2, "old", false), muster.ErrNotFound)
}

func TestDeleteThingType(t *testing.T) { onBothEngines(t, testDeleteThingType) }

func testDeleteThingType(f *fixture) {
	must(f.CreateThingType(f.Context(), muster.ThingType{Account: account, Name: "k"}))(f)
	must(f.CreateThingType(f.Context(), muster.ThingType{Account: account, Name: "k2"}))(f) // its name begins as the other's
	must(f.CreateThing(f.Context(), muster.Thing{Account: account, Name: "t", Type: "k"}))(f)
	must(f.CreateThing(f.Context(), muster.Thing{Account: account, Name: "t2", Type: "k2"}))(f)
	remove := func() error { return f.DeleteThingType(f.Context(), account, "k") }
	f.is("not deprecated", remove(), muster.ErrInvalid)
	f.ok(f.DeprecateThingType(f.Context(), account, "k", false))
	f.is("in use", remove(), muster.ErrInvalid)
	f.step()
	f.ok(f.DeleteThing(f.Context(), account, "t", nil))
	f.is("another account's", f.DeleteThingType(f.Context(), account2, "k"), muster.ErrNotFound)
	f.ok(remove())
	f.step()
	f.is("gone", remove(), muster.ErrNotFound)
}

func TestListThingTypes(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"b", "a", "c"} {
		must(f.CreateThingType(t.Context(), muster.ThingType{Account: account, Name: name}))(f)
	}
	must(f.CreateThingType(t.Context(), muster.ThingType{Account: account2, Name: "theirs"}))(f)
	list := func(name string) (names string) {
		for p := (registry.Page{Limit: 2}); ; {
			page, next, err := f.ListThingTypes(t.Context(), account, name, p)
			f.ok(err)
			for _, kind := range page {
				names += kind.Name
			}
			if p.After = next; next == nil {
				return names
			}
		}
	}
	for name, want := range map[string]string{"": "abc", "b": "b", "theirs": ""} {
		if got := list(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
