package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func TestCreateThing(t *testing.T) {
	f := newFixture(t)
	must(f.CreateThingType(t.Context(), muster.ThingType{Account: account, Name: "sensor"}))(f)
	must(f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "floor"}))(f)
	four := map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}
	for _, test := range []struct {
		name  string
		thing muster.Thing
		want  error
	}{
		{"plain", muster.Thing{Name: "plain"}, nil},
		{"the same once more", muster.Thing{Name: "plain"}, nil},
		{"the same name", muster.Thing{Name: "plain", Billing: "b"}, muster.ErrExists},
		{"everything", muster.Thing{Name: "full", Type: "sensor", Groups: []string{"floor", "floor"}, Attributes: four, Billing: "b"}, nil},
		{"everything once more", muster.Thing{Name: "full", Type: "sensor", Groups: []string{"floor"}, Attributes: four, Billing: "b"}, nil},
		{"other attributes", muster.Thing{Name: "full", Type: "sensor", Groups: []string{"floor"}, Billing: "b"}, muster.ErrExists},
		{"no name", muster.Thing{}, muster.ErrInvalid},
		{"a slash", muster.Thing{Name: "a/b"}, muster.ErrInvalid},
		{"long", muster.Thing{Name: strings.Repeat("a", 129)}, muster.ErrInvalid},
		{"four attributes, no type", muster.Thing{Name: "x", Attributes: four}, muster.ErrInvalid},
		{"attribute name", muster.Thing{Name: "x", Attributes: map[string]string{"a b": ""}}, muster.ErrInvalid},
		{"attribute value", muster.Thing{Name: "x", Attributes: map[string]string{"a": "b c"}}, muster.ErrInvalid},
		{"billing group", muster.Thing{Name: "x", Billing: "b/c"}, muster.ErrInvalid},
		{"no such type", muster.Thing{Name: "x", Type: "nowhere"}, muster.ErrNotFound},
		{"no such group", muster.Thing{Name: "x", Groups: []string{"nowhere"}}, muster.ErrNotFound},
		{"no such account", muster.Thing{Name: "x", Account: "999999999999"}, muster.ErrNotFound},
	} {
		if test.thing.Account == "" {
			test.thing.Account = account
		}
		test.thing.Authority = "claimed"
		made, err := f.CreateThing(t.Context(), test.thing)
		f.is(test.name, err, test.want)
		if err == nil {
			stored := must(f.Thing(t.Context(), account, test.thing.Name))(f)
			if made.ID == "" || stored.ID != made.ID || stored.Revision != 1 || stored.Authority != "" {
				t.Errorf("%s: made %+v, stored %+v", test.name, made, stored)
			}
		}
		f.step()
	}
	_, err := f.Thing(t.Context(), account2, "plain")
	f.is("another account's", err, muster.ErrNotFound)
}

func TestListThings(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"b", "c", "a", "B", "a:1"} {
		must(f.CreateThing(t.Context(), muster.Thing{Account: account, Name: name}))(f)
	}
	must(f.CreateThing(t.Context(), muster.Thing{Account: account2, Name: "other"}))(f)
	var got []string
	p := registry.Page{Limit: 2}
	for {
		page, next, err := f.ListThings(t.Context(), account, registry.ThingFilter{}, p)
		f.ok(err)
		for _, thing := range page {
			got = append(got, thing.Name)
		}
		if next == nil {
			break
		}
		p.After = next
	}
	if want := []string{"B", "a", "a:1", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
}

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

func TestThingGroups(t *testing.T) {
	f := newFixture(t)
	parent := ""
	for level := range 7 {
		name := fmt.Sprint("level-", level)
		must(f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: name, Parent: parent}))(f)
		parent = name
	}
	_, err := f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "level-7", Parent: parent})
	f.is("the eighth level", err, muster.ErrLimit)
	_, err = f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "orphan", Parent: "nowhere"})
	f.is("no such parent", err, muster.ErrNotFound)
	_, err = f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "level-1", Parent: "level-0"})
	f.is("the same once more", err, nil)
	_, err = f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "level-1"})
	f.is("another parent", err, muster.ErrExists)
	if got := must(f.ThingGroup(t.Context(), account, "level-1"))(f); got.Parent != "level-0" || got.Revision != 1 || got.ID == "" {
		t.Errorf("stored %+v", got)
	}
	f.step()
}
