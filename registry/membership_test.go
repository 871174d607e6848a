package registry_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

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
	eleven := append(must(f.Thing(t.Context(), account, "a"))(f).Groups, "g10")
	_, err := f.CreateThing(t.Context(), muster.Thing{Account: account, Name: "b", Groups: eleven})
	f.is("eleven from the start", err, muster.ErrLimit)
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

func TestMoveThing(t *testing.T) { onBothEngines(t, testMoveThing) }

func testMoveThing(f *fixture) {
	for i := range 12 {
		f.group(fmt.Sprintf("g%02d", i), "")
	}
	f.thing("t", "g00", "g01", "g02", "g03", "g04", "g05", "g06", "g07", "g08", "g09")
	for _, step := range []struct {
		what        string
		into, outOf []string
		want        error
		left        int
	}{
		{"one too many", []string{"g10"}, nil, muster.ErrLimit, 10},
		{"one for another", []string{"g10"}, []string{"g00"}, nil, 10},
		{"in and out", []string{"g11"}, []string{"g11"}, muster.ErrInvalid, 10},
		{"no such group", []string{"nowhere"}, []string{"g01"}, muster.ErrNotFound, 10},
		{"out of no such group", nil, []string{"nowhere"}, muster.ErrNotFound, 10},
		{"too many at once", nil, slices.Repeat([]string{"g01"}, 101), muster.ErrInvalid, 10},
		{"nothing", nil, nil, nil, 10},
		{"twice", []string{"g11", "g11"}, []string{"g01", "g02", "g02", "g00"}, nil, 9},
	} {
		f.is(step.what, f.MoveThing(f.Context(), account, "t", step.into, step.outOf), step.want)
		thing := must(f.Thing(f.Context(), account, "t"))(f)
		if len(thing.Groups) != step.left || thing.Revision != 1 {
			f.Errorf("%s: revision %d in %q", step.what, thing.Revision, thing.Groups)
		}
		f.step()
	}
	f.is("no such thing", f.MoveThing(f.Context(), account, "nowhere", []string{"g00"}, nil), muster.ErrNotFound)
}

// inGroup returns the names of the things of a group, page by page.
func (f *fixture) inGroup(group string, recursive bool, limit int) (names []string) {
	f.Helper()
	for p := (registry.Page{Limit: limit}); ; {
		page, next, err := f.ListThingsInGroup(f.Context(), account, group, recursive, p)
		f.ok(err)
		if len(page) > limit {
			f.Errorf("group %s: a page of %d, want at most %d", group, len(page), limit)
		}
		for _, thing := range page {
			names = append(names, thing.Name)
		}
		if p.After = next; next == nil {
			return names
		}
	}
}

func TestListThingsInGroup(t *testing.T) { onBothEngines(t, testListThingsInGroup) }

func testListThingsInGroup(f *fixture) {
	for _, g := range [][2]string{{"site", ""}, {"a", "site"}, {"b", "a"}, {"empty", "b"}, {"z", "site"}, {"other", ""}} {
		f.group(g[0], g[1])
	}
	f.thing("everywhere", "site", "a", "b", "z", "other")
	f.thing("low", "b", "z", "other")
	f.thing("top", "site")
	f.thing("last", "z")
	f.thing("out", "other")
	for group, want := range map[string][2]string{
		"site":  {"everywhere top", "everywhere top low last"},
		"a":     {"everywhere", "everywhere low"},
		"b":     {"everywhere low", "everywhere low"},
		"empty": {"", ""},
		"other": {"everywhere low out", "everywhere low out"},
	} {
		for _, limit := range []int{1, 2, 3, 100} {
			for i, recursive := range []bool{false, true} {
				if got := strings.Join(f.inGroup(group, recursive, limit), " "); got != want[i] {
					f.Errorf("%s, recursive %t, by %d: %q, want %q", group, recursive, limit, got, want[i])
				}
			}
		}
	}
	for _, recursive := range []bool{false, true} {
		_, _, err := f.ListThingsInGroup(f.Context(), account, "nowhere", recursive, registry.Page{})
		f.is("no such group", err, muster.ErrNotFound)
		_, _, err = f.ListThingsInGroup(f.Context(), account2, "site", recursive, registry.Page{})
		f.is("another account's", err, muster.ErrNotFound)
		for _, cursor := range []string{"none", "a\x00none"} {
			_, _, err = f.ListThingsInGroup(f.Context(), account, "site", recursive, registry.Page{After: registry.Cursor(cursor)})
			f.is("no cursor", err, muster.ErrInvalid)
		}
	}
}

// A list goes on where it was, whatever came and went meanwhile.
func TestListThingsInGroupMeanwhile(t *testing.T) { onBothEngines(t, testListThingsInGroupMeanwhile) }

func testListThingsInGroupMeanwhile(f *fixture) {
	for _, g := range [][2]string{{"site", ""}, {"a", "site"}, {"b", "site"}, {"c", "site"}} {
		f.group(g[0], g[1])
	}
	for _, group := range []string{"a", "b", "c"} {
		for i := range 3 {
			f.thing(fmt.Sprint(group, i), group)
		}
	}
	page, next, err := f.ListThingsInGroup(f.Context(), account, "site", true, registry.Page{Limit: 4})
	f.ok(err)
	if len(page) != 4 || page[3].Name != "b0" {
		f.Fatalf("%d things, %+v", len(page), page)
	}
	f.ok(f.DeleteThing(f.Context(), account, "b0", nil)) // the last that was listed
	f.thing("a9", "a")                                   // that place has passed
	f.thing("c9", "c")
	f.ok(f.DeleteThingGroup(f.Context(), account, "b", nil)) // the group that the list is in
	rest, _, err := f.ListThingsInGroup(f.Context(), account, "site", true, registry.Page{After: next})
	f.ok(err)
	var names []string
	for _, thing := range rest {
		names = append(names, thing.Name)
	}
	if got := strings.Join(names, " "); got != "c0 c1 c2 c9" {
		f.Errorf("the rest is %q", got)
	}
}

// Any sequence of changes leaves lists that say what things and groups say of
// themselves, on both engines alike.
func TestMembershipSimulated(t *testing.T) {
	const seed = 20261123
	var answers [2][]string
	for i, e := range []registry.Engine{memory.New(), newBadger(t)} {
		s := &membershipSimulation{fixture: newFixtureOn(t, e, registry.Config{}), rand: rand.New(rand.NewPCG(seed, 0))}
		for _, name := range []string{"k0", "k1"} {
			must(s.CreateThingType(t.Context(), muster.ThingType{Account: account, Name: name}))(s.fixture)
		}
		for step := range 400 {
			err := s.change()
			if errors := fmt.Sprint(err); errors != "" {
				answers[i] = append(answers[i], errors)
			}
			if step%100 == 99 {
				s.step()
				s.check()
			}
		}
	}
	if !slices.Equal(answers[0], answers[1]) {
		t.Errorf("seed %d: the engines answered\n%q\n%q", uint64(seed), answers[0], answers[1])
	}
}

type membershipSimulation struct {
	*fixture
	rand *rand.Rand
}

func (s *membershipSimulation) name(kind string, n int) string {
	return fmt.Sprint(kind, s.rand.IntN(n))
}

func (s *membershipSimulation) change() error {
	ctx, thing, group, kind := s.Context(), s.name("t", 12), s.name("g", 9), s.name("k", 2)
	switch s.rand.IntN(10) {
	case 0, 1:
		parent := ""
		if s.rand.IntN(4) > 0 {
			parent = s.name("g", 9)
		}
		_, err := s.CreateThingGroup(ctx, muster.ThingGroup{Account: account, Name: group, Parent: parent})
		return err
	case 2:
		return s.DeleteThingGroup(ctx, account, group, nil)
	case 3:
		_, err := s.CreateThing(ctx, muster.Thing{Account: account, Name: thing, Type: kind})
		return err
	case 4:
		return s.DeleteThing(ctx, account, thing, nil)
	case 5:
		return s.DeprecateThingType(ctx, account, kind, s.rand.IntN(3) > 0)
	case 6:
		_, err := s.UpdateThing(ctx, account, thing, registry.ThingUpdate{Type: &kind})
		return err
	case 7:
		return s.MoveThing(ctx, account, thing, []string{group}, []string{s.name("g", 9)})
	}
	return s.AddThingToGroup(ctx, account, thing, group)
}

// check compares each list with what a look at everything says.
func (s *membershipSimulation) check() {
	s.Helper()
	things, _, err := s.ListThings(s.Context(), account, registry.ThingFilter{}, registry.Page{Limit: 1000})
	s.ok(err)
	groups, _, err := s.ListThingGroups(s.Context(), account, registry.GroupFilter{Recursive: true}, registry.Page{Limit: 1000})
	s.ok(err)
	for _, g := range groups {
		below := []string{g.Name}
		for _, other := range groups {
			if slices.Contains(other.Ancestors, g.Name) {
				below = append(below, other.Name)
			}
		}
		var direct, all []string
		for _, thing := range things {
			if slices.Contains(thing.Groups, g.Name) {
				direct = append(direct, thing.Name)
			}
			if slices.ContainsFunc(thing.Groups, func(name string) bool { return slices.Contains(below, name) }) {
				all = append(all, thing.Name)
			}
		}
		if got := s.inGroup(g.Name, false, 3); !slices.Equal(got, direct) {
			s.Errorf("in %s are %q, listed %q", g.Name, direct, got)
		}
		got := s.inGroup(g.Name, true, 3)
		if slices.Sort(got); !slices.Equal(got, all) {
			s.Errorf("in and below %s are %q, listed %q", g.Name, all, got)
		}
	}
}
