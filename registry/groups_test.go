package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func (f *fixture) group(name, parent string) {
	f.Helper()
	must(f.CreateThingGroup(f.Context(), muster.ThingGroup{Account: account, Name: name, Parent: parent}))(f)
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
	if got := must(f.ThingGroup(t.Context(), account, "level-1"))(f); got.Parent != "level-0" || !slices.Equal(got.Ancestors, []string{"level-0"}) || got.Revision != 1 || got.ID == "" {
		t.Errorf("stored %+v", got)
	}
	f.step()
}

func TestUpdateThingGroup(t *testing.T) { onBothEngines(t, testUpdateThingGroup) }

func testUpdateThingGroup(f *fixture) {
	f.group("top", "")
	f.group("g", "top")
	f.policy("p")
	f.ok(f.AttachPolicy(f.Context(), account, "p", muster.KindThingGroup, "g"))
	text := func(s string) *string { return &s }
	version := func(n int) *int { return &n }
	type attributes = map[string]string
	for _, step := range []struct {
		what   string
		update registry.GroupUpdate
		want   error
		left   string
	}{
		{"nothing", registry.GroupUpdate{Expected: version(1)}, nil, "1  map[]"},
		{"description", registry.GroupUpdate{Description: text("d"), Expected: version(1)}, nil, "2 d map[]"},
		{"an old version", registry.GroupUpdate{Description: text("e"), Expected: version(1)}, muster.ErrVersion, "2 d map[]"},
		{"attributes", registry.GroupUpdate{Attributes: attributes{"a": "1"}}, nil, "3 d map[a:1]"},
		{"merge", registry.GroupUpdate{Attributes: attributes{"a": "", "b": "2"}, Merge: true}, nil, "4 d map[b:2]"},
		{"a name", registry.GroupUpdate{Attributes: attributes{"a b": "1"}}, muster.ErrInvalid, "4 d map[b:2]"},
		{"too long", registry.GroupUpdate{Description: text(strings.Repeat("d", 2029))}, muster.ErrInvalid, "4 d map[b:2]"},
		{"all of it", registry.GroupUpdate{Description: text(""), Attributes: attributes{}}, nil, "5  map[]"},
	} {
		_, err := f.UpdateThingGroup(f.Context(), account, "g", step.update)
		f.is(step.what, err, step.want)
		g := must(f.ThingGroup(f.Context(), account, "g"))(f)
		if got := fmt.Sprint(g.Revision, " ", g.Description, " ", g.Attributes); got != step.left {
			f.Errorf("%s: %q, want %q", step.what, got, step.left)
		}
		if g.Parent != "top" || !slices.Equal(g.Policies, []string{"p"}) {
			f.Errorf("%s: parent %q, policies %q", step.what, g.Parent, g.Policies)
		}
		f.step()
	}
	_, err := f.UpdateThingGroup(f.Context(), account2, "g", registry.GroupUpdate{})
	f.is("another account's", err, muster.ErrNotFound)
}

func TestListThingGroups(t *testing.T) { onBothEngines(t, testListThingGroups) }

func testListThingGroups(f *fixture) {
	for _, g := range [][2]string{{"site", ""}, {"hall", "site"}, {"corner", "hall"}, {"house", ""}, {"hut", "house"}, {"site2", ""}} {
		f.group(g[0], g[1])
	}
	must(f.CreateThingGroup(f.Context(), muster.ThingGroup{Account: account2, Name: "theirs"}))(f)
	for _, test := range []struct {
		filter registry.GroupFilter
		want   string
	}{
		{registry.GroupFilter{}, "house site site2"},
		{registry.GroupFilter{Prefix: "s"}, "site site2"},
		{registry.GroupFilter{Recursive: true}, "corner hall house hut site site2"},
		{registry.GroupFilter{Recursive: true, Prefix: "h"}, "hall house hut"},
		{registry.GroupFilter{Parent: "site"}, "hall"},
		{registry.GroupFilter{Parent: "site", Recursive: true}, "corner hall"},
		{registry.GroupFilter{Parent: "site", Recursive: true, Prefix: "co"}, "corner"},
		{registry.GroupFilter{Parent: "corner", Recursive: true}, ""},
	} {
		var names []string
		for p := (registry.Page{Limit: 2}); ; {
			page, next, err := f.ListThingGroups(f.Context(), account, test.filter, p)
			f.ok(err)
			for _, g := range page {
				names = append(names, g.Name)
			}
			if p.After = next; next == nil {
				break
			}
		}
		if got := strings.Join(names, " "); got != test.want {
			f.Errorf("%+v: %q, want %q", test.filter, got, test.want)
		}
	}
	_, _, err := f.ListThingGroups(f.Context(), account, registry.GroupFilter{Parent: "theirs"}, registry.Page{})
	f.is("another account's parent", err, muster.ErrNotFound)
}

func TestDeleteThingGroup(t *testing.T) { onBothEngines(t, testDeleteThingGroup) }

func testDeleteThingGroup(f *fixture) {
	f.group("top", "")
	f.group("g", "top")
	f.policy("p")
	f.ok(f.AttachPolicy(f.Context(), account, "p", muster.KindThingGroup, "g"))
	f.thing("t", "g", "top")
	version := func(n int) *int { return &n }
	f.is("a group with groups", f.DeleteThingGroup(f.Context(), account, "top", nil), muster.ErrInvalid)
	f.is("another version", f.DeleteThingGroup(f.Context(), account, "g", version(2)), muster.ErrVersion)
	f.is("another account's", f.DeleteThingGroup(f.Context(), account2, "g", nil), muster.ErrNotFound)
	f.step()
	f.ok(f.DeleteThingGroup(f.Context(), account, "g", version(1)))
	f.step()
	if got := must(f.Thing(f.Context(), account, "t"))(f).Groups; !slices.Equal(got, []string{"top"}) {
		f.Errorf("the thing is in %q", got)
	}
	f.ok(f.DeletePolicy(f.Context(), account, "p"))
	f.ok(f.DeleteThingGroup(f.Context(), account, "top", nil))
	f.is("gone", f.DeleteThingGroup(f.Context(), account, "top", nil), muster.ErrNotFound)
	f.step()
}

// A group of more things than one transaction may write, in number or in bytes, is
// deleted all the same.
func TestDeleteLargeThingGroup(t *testing.T) { onBothEngines(t, testDeleteLargeThingGroup) }

func testDeleteLargeThingGroup(f *fixture) {
	must(f.CreateThingType(f.Context(), muster.ThingType{Account: account, Name: "k"}))(f)
	f.group("many", "")
	f.group("large", "")
	for i := range 1100 {
		f.thing(fmt.Sprint("m", i), "many")
	}
	attributes := map[string]string{}
	for i := range 50 {
		attributes[fmt.Sprint("a", i)] = strings.Repeat("x", 800)
	}
	for i := range 30 {
		must(f.CreateThing(f.Context(), muster.Thing{
			Account: account, Name: fmt.Sprint("l", i), Type: "k", Groups: []string{"large"}, Attributes: attributes,
		}))(f)
	}
	for _, group := range []string{"many", "large"} {
		f.ok(f.DeleteThingGroup(f.Context(), account, group, nil))
	}
	f.step()
	for _, thing := range []string{"m0", "m1099", "l29"} {
		if got := must(f.Thing(f.Context(), account, thing))(f); len(got.Groups) > 0 {
			f.Errorf("%s is in %q", thing, got.Groups)
		}
	}
}
