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

func TestExpectedVersionOfThing(t *testing.T) { onBothEngines(t, testExpectedVersionOfThing) }

func testExpectedVersionOfThing(f *fixture) {
	f.thing("t")
	version := func(n int) *int { return &n }
	update := func(value string, expected *int) error {
		_, err := f.UpdateThing(f.Context(), account, "t", registry.ThingUpdate{Attributes: map[string]string{"a": value}, Expected: expected})
		return err
	}
	f.ok(update("1", version(1)))
	f.is("an old version", update("2", version(1)), muster.ErrVersion)
	f.is("a version to come", update("2", version(3)), muster.ErrVersion)
	f.ok(update("2", version(2)))
	f.ok(update("3", nil))
	f.is("delete an old version", f.DeleteThing(f.Context(), account, "t", version(3)), muster.ErrVersion)
	f.ok(f.DeleteThing(f.Context(), account, "t", version(4)))
	f.is("update what is gone", update("4", nil), muster.ErrNotFound)
}

func TestUpdateThing(t *testing.T) { onBothEngines(t, testUpdateThing) }

func testUpdateThing(f *fixture) {
	for _, name := range []string{"sensor", "actor"} {
		must(f.CreateThingType(f.Context(), muster.ThingType{Account: account, Name: name}))(f)
	}
	must(f.CreateThingGroup(f.Context(), muster.ThingGroup{Account: account, Name: "hall"}))(f)
	made := must(f.CreateThing(f.Context(), muster.Thing{
		Account: account, Name: "t", Billing: "b", Groups: []string{"hall"}, Attributes: map[string]string{"a": "1", "b": "2"},
	}))(f)
	kind := func(name string) *string { return &name }
	type attributes = map[string]string
	for _, step := range []struct {
		what   string
		update registry.ThingUpdate
		want   error
		left   string
		write  bool
	}{
		{"nothing", registry.ThingUpdate{}, nil, "map[a:1 b:2]", false},
		{"what it is", registry.ThingUpdate{Attributes: attributes{"a": "1", "b": "2"}, Type: kind("")}, nil, "map[a:1 b:2]", false},
		{"merge", registry.ThingUpdate{Attributes: attributes{"b": "3", "c": "4"}, Merge: true}, nil, "map[a:1 b:3 c:4]", true},
		{"merge nothing", registry.ThingUpdate{Attributes: attributes{}, Merge: true}, nil, "map[a:1 b:3 c:4]", false},
		{"one too many", registry.ThingUpdate{Attributes: attributes{"d": "5"}, Merge: true}, muster.ErrInvalid, "map[a:1 b:3 c:4]", false},
		{"with a type it is not", registry.ThingUpdate{Attributes: attributes{"d": "5"}, Merge: true, Type: kind("sensor")}, nil, "sensor map[a:1 b:3 c:4 d:5]", true},
		{"the type may not go", registry.ThingUpdate{Type: kind("")}, muster.ErrInvalid, "sensor map[a:1 b:3 c:4 d:5]", false},
		{"another type", registry.ThingUpdate{Type: kind("actor")}, nil, "actor map[a:1 b:3 c:4 d:5]", true},
		{"no such type", registry.ThingUpdate{Type: kind("nowhere")}, muster.ErrNotFound, "actor map[a:1 b:3 c:4 d:5]", false},
		{"merge empty values", registry.ThingUpdate{Attributes: attributes{"a": "", "b": "", "x": ""}, Merge: true}, nil, "actor map[c:4 d:5]", true},
		{"replace", registry.ThingUpdate{Attributes: attributes{"e": "6", "f": ""}, Type: kind("")}, nil, "map[e:6]", true},
		{"a name", registry.ThingUpdate{Attributes: attributes{"a b": "1"}}, muster.ErrInvalid, "map[e:6]", false},
		{"a value", registry.ThingUpdate{Attributes: attributes{"a": "1 2"}}, muster.ErrInvalid, "map[e:6]", false},
		{"replace by nothing", registry.ThingUpdate{Attributes: attributes{}}, nil, "map[]", true},
	} {
		before := must(f.Thing(f.Context(), account, "t"))(f)
		_, err := f.UpdateThing(f.Context(), account, "t", step.update)
		f.is(step.what, err, step.want)
		after := must(f.Thing(f.Context(), account, "t"))(f)
		if got := strings.TrimSpace(fmt.Sprint(after.Type, " ", after.Attributes)); got != step.left || (after.Revision != before.Revision) != step.write {
			f.Errorf("%s: %s in revision %d after %d, want %s", step.what, got, after.Revision, before.Revision, step.left)
		}
		f.step()
	}
	if got := must(f.Thing(f.Context(), account, "t"))(f); got.ID != made.ID || got.Billing != "b" || !slices.Equal(got.Groups, []string{"hall"}) {
		f.Errorf("the rest of it: %+v", got)
	}
	_, err := f.UpdateThing(f.Context(), account2, "t", registry.ThingUpdate{})
	f.is("another account's", err, muster.ErrNotFound)
}

// A thing is the same thing also when it came into a group since it was created.
func TestCreateThingThatIsInAGroup(t *testing.T) {
	f := newFixture(t)
	must(f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "hall"}))(f)
	f.thing("t")
	f.ok(f.AddThingToGroup(t.Context(), account, "t", "hall"))
	_, err := f.CreateThing(t.Context(), muster.Thing{Account: account, Name: "t"})
	f.is("the same", err, nil)
	_, err = f.CreateThing(t.Context(), muster.Thing{Account: account, Name: "t", Groups: []string{"hall"}})
	f.is("the same in its group", err, nil)
	must(f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "other"}))(f)
	_, err = f.CreateThing(t.Context(), muster.Thing{Account: account, Name: "t", Groups: []string{"other"}})
	f.is("one in another group", err, muster.ErrExists)
}

// A page by attribute is full, or the list ends with it, however rare the
// attribute is; and it does not look at more than it may.
func TestListThingsByAttribute(t *testing.T) { onBothEngines(t, testListThingsByAttribute) }

func testListThingsByAttribute(f *fixture) {
	must(f.CreateThingType(f.Context(), muster.ThingType{Account: account, Name: "sensor"}))(f)
	var rare []string
	for i := range 650 {
		thing := muster.Thing{Account: account, Name: fmt.Sprintf("t%03d", i), Attributes: map[string]string{"line": fmt.Sprint(i % 7)}}
		if i%150 == 149 || i == 649 {
			thing.Attributes["rare"] = fmt.Sprint("yes-", i)
			rare = append(rare, thing.Name)
		}
		if i%2 == 0 {
			thing.Type = "sensor"
		}
		must(f.CreateThing(f.Context(), thing))(f)
	}
	for name, test := range map[string]struct {
		filter registry.ThingFilter
		want   int
	}{
		"type":              {registry.ThingFilter{Type: "sensor"}, 325},
		"no such type":      {registry.ThingFilter{Type: "nowhere"}, 0},
		"attribute":         {registry.ThingFilter{Attribute: "rare"}, len(rare)},
		"value":             {registry.ThingFilter{Attribute: "line", Value: "3"}, 93},
		"beginning":         {registry.ThingFilter{Attribute: "rare", Value: "yes-1", Prefix: true}, 1},
		"the whole value":   {registry.ThingFilter{Attribute: "rare", Value: "yes-1"}, 0},
		"no such attribute": {registry.ThingFilter{Attribute: "none"}, 0},
		"both":              {registry.ThingFilter{Type: "sensor", Attribute: "line", Value: "3"}, 46},
	} {
		var names []string
		for p := (registry.Page{Limit: 2}); ; {
			page, next, err := f.ListThings(f.Context(), account, test.filter, p)
			f.ok(err)
			if next != nil && len(page) != 2 {
				f.Errorf("%s: a page of %d in the midst of the list", name, len(page))
			}
			for _, thing := range page {
				names = append(names, thing.Name)
			}
			if p.After = next; next == nil {
				break
			}
		}
		if len(names) != test.want || !slices.IsSorted(names) || len(slices.Compact(names)) != test.want {
			f.Errorf("%s: %d things, want %d, each once and sorted", name, len(names), test.want)
		}
	}
	_, _, err := f.ListThings(f.Context(), account, registry.ThingFilter{Attribute: "rare"}, registry.Page{After: registry.Cursor("none")})
	f.is("no cursor", err, muster.ErrInvalid)
}
