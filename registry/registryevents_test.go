package registry_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

// watcher collects events of the registry.
type watcher struct {
	mu     sync.Mutex
	events []muster.RegistryEvent
}

func (w *watcher) tell(e muster.RegistryEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// take returns what was told since the last time, in short: the kind, the
// operation, and the names.
func (w *watcher) take() string {
	var all []string
	for _, e := range w.all() {
		words := []string{string(e.Kind), string(e.Operation)}
		for _, name := range []string{e.Thing.Name, e.Type.Name, e.Group.Parent, e.Group.Name} {
			if name != "" {
				words = append(words, name)
			}
		}
		all = append(all, strings.Join(words, " "))
	}
	return strings.Join(all, "; ")
}

func (w *watcher) all() []muster.RegistryEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	events := w.events
	w.events = nil
	return events
}

// watch switches kinds of events on; none switches all that are published on.
func (f *fixture) watch(kinds ...muster.EventKind) {
	f.Helper()
	events := map[muster.EventKind]bool{}
	for _, kind := range kinds {
		events[kind] = true
	}
	f.ok(f.SetEvents(f.Context(), account, events))
}

func newWatchedFixture(t *testing.T) (*fixture, *watcher) {
	w := &watcher{}
	return newFixtureOn(t, memory.New(), registry.Config{TellRegistry: w.tell}), w
}

// TestRegistryEvents: each change is told once, in order, whoever makes it.
func TestRegistryEvents(t *testing.T) {
	f, w := newWatchedFixture(t)
	ctx := t.Context()
	f.watch(muster.EventKinds()...)
	ca := f.mint("Events")
	a := f.authority(ca)
	f.policy("p")
	text := "measures"
	enrol := func(name string, groups ...string) func() {
		return func() {
			r := thingNamed(name)
			r.Thing.Type, r.Thing.Groups = "sensor", groups
			out := must(f.Enrol(ctx, muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, name), Registration: r}))(f)
			f.ok(f.DetachThing(ctx, account, name, out.Certificate.ID))
		}
	}
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"a type", func() { must(f.CreateThingType(ctx, muster.ThingType{Account: account, Name: "sensor"}))(f) }, "THING_TYPE CREATED sensor"},
		{"again", func() { must(f.CreateThingType(ctx, muster.ThingType{Account: account, Name: "sensor"}))(f) }, ""},
		{"a group", func() { must(f.CreateThingGroup(ctx, muster.ThingGroup{Account: account, Name: "house"}))(f) }, "THING_GROUP CREATED house"},
		{"a group in it", func() {
			must(f.CreateThingGroup(ctx, muster.ThingGroup{Account: account, Name: "floor", Parent: "house"}))(f)
		}, "THING_GROUP CREATED house floor; THING_GROUP_HIERARCHY ADDED house floor"},
		{"a policy of a group", func() { f.ok(f.AttachPolicy(ctx, account, "p", muster.KindThingGroup, "floor")) }, ""},
		{"a tag of a group", func() {
			f.ok(f.TagResource(ctx, account, muster.KindThingGroup, "floor", []muster.Tag{{Key: "a"}}))
		}, ""},
		{"a tag of a type", func() {
			f.ok(f.TagResource(ctx, account, muster.KindThingType, "sensor", []muster.Tag{{Key: "a"}}))
		}, ""},
		{"a change of a group", func() {
			must(f.UpdateThingGroup(ctx, account, "floor", registry.GroupUpdate{Description: &text}))(f)
		}, "THING_GROUP UPDATED house floor"},
		{"a thing", func() {
			must(f.CreateThing(ctx, muster.Thing{Account: account, Name: "plain"}))(f)
		}, "THING CREATED plain"},
		{"a thing by a template", enrol("lamp", "floor", "house"),
			"THING CREATED lamp; THING_TYPE_ASSOCIATION ADDED lamp sensor; THING_GROUP_MEMBERSHIP ADDED lamp house floor; THING_GROUP_MEMBERSHIP ADDED lamp house"},
		{"out of a group", func() { f.ok(f.RemoveThingFromGroup(ctx, account, "lamp", "house")) }, "THING_GROUP_MEMBERSHIP REMOVED lamp house"},
		{"into it", func() { f.ok(f.AddThingToGroup(ctx, account, "plain", "house")) }, "THING_GROUP_MEMBERSHIP ADDED plain house"},
		{"into it again", func() { f.ok(f.AddThingToGroup(ctx, account, "plain", "house")) }, ""},
		{"a change of a thing", func() {
			must(f.UpdateThing(ctx, account, "plain", registry.ThingUpdate{Attributes: map[string]string{"line": "7"}}))(f)
		}, "THING UPDATED plain"},
		{"a thing goes", func() { f.ok(f.DeleteThing(ctx, account, "lamp", nil)) },
			"THING_TYPE_ASSOCIATION REMOVED lamp sensor; THING_GROUP_MEMBERSHIP REMOVED lamp house floor; THING DELETED lamp"},
		{"a group goes", func() { f.ok(f.DeleteThingGroup(ctx, account, "floor", nil)) },
			"THING_GROUP_HIERARCHY REMOVED house floor; THING_GROUP DELETED house floor"},
		{"a group with a thing in it goes", func() { f.ok(f.DeleteThingGroup(ctx, account, "house", nil)) },
			"THING_GROUP_MEMBERSHIP REMOVED plain house; THING_GROUP DELETED house"},
		{"what fails", func() { f.is("no thing", f.DeleteThing(ctx, account, "nowhere", nil), muster.ErrNotFound) }, ""},
		{"another account's", func() { must(f.CreateThing(ctx, muster.Thing{Account: account2, Name: "theirs"}))(f) }, ""},
	} {
		step.do()
		if got := w.take(); got != step.want {
			t.Errorf("%s: told %q, want %q", step.name, got, step.want)
		}
		f.step()
	}
}

// TestRegistryEventsHoldWhatThereIs, with the groups above.
func TestRegistryEventsHoldWhatThereIs(t *testing.T) {
	f, w := newWatchedFixture(t)
	ctx := t.Context()
	f.watch(muster.EventThing, muster.EventThingGroup, muster.EventThingGroupHierarchy, muster.EventThingGroupMembership)
	for i, parent := range []string{"", "g0", "g1"} {
		must(f.CreateThingGroup(ctx, muster.ThingGroup{Account: account, Name: fmt.Sprint("g", i), Parent: parent}))(f)
	}
	thing := must(f.CreateThing(ctx, muster.Thing{Account: account, Name: "t", Attributes: map[string]string{"a": "1"}, Groups: []string{"g2"}}))(f)
	thing.Attributes["a"] = "changed by whoever asked" // is no part of what is told
	events := w.all()
	if len(events) != 7 {
		t.Fatalf("told %+v", events)
	}
	for _, e := range events {
		if e.Account != account || e.Time.IsZero() {
			t.Errorf("told %+v", e)
		}
	}
	group, above, made, member := events[3], events[4], events[5], events[6]
	if len(group.Parents) != 2 || group.Parents[0].Name != "g0" || group.Parents[1].ID == "" || group.Group.ID == "" {
		t.Errorf("the group %+v", group)
	}
	if len(above.Parents) != 2 || above.Parents[1].Name != "g1" || above.Group.Name != "g2" {
		t.Errorf("its place %+v", above)
	}
	if made.Thing.Attributes["a"] != "1" || made.Thing.ID != thing.ID || made.Thing.Revision != 1 {
		t.Errorf("the thing %+v", made)
	}
	if member.Group.ID != group.Group.ID || member.Thing.ID != thing.ID {
		t.Errorf("the membership %+v", member)
	}
}

// TestEventsAreSwitched: nothing is told that is not switched on, and only what
// is, at once.
func TestEventsAreSwitched(t *testing.T) {
	f, w := newWatchedFixture(t)
	ctx := t.Context()
	thing := func(name string) { must(f.CreateThing(ctx, muster.Thing{Account: account, Name: name}))(f) }
	thing("a")
	f.watch(muster.EventThingGroup)
	thing("b")
	f.watch(muster.EventThing)
	thing("c")
	f.ok(f.SetEvents(ctx, account, map[muster.EventKind]bool{muster.EventThing: false}))
	thing("d")
	if got, want := w.take(), "THING CREATED c"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	a := must(f.Account(ctx, account))(f)
	if len(a.Events) != 1 || !a.Events[muster.EventThingGroup] || a.EventsModified.IsZero() {
		t.Errorf("switched: %+v", a)
	}
	before := f.seq()
	f.watch(muster.EventThingGroup)
	if f.seq() != before {
		t.Error("what is so is written again")
	}
	f.is("an unknown kind", f.SetEvents(ctx, account, map[muster.EventKind]bool{"SHADOW": true}), muster.ErrInvalid)
	f.is("no account", f.SetEvents(ctx, "999999999999", nil), muster.ErrNotFound)
}

// TestRegistryEventsInOrder: of things that many change at once, each is told of
// in the order of its changes.
func TestRegistryEventsInOrder(t *testing.T) {
	f, w := newWatchedFixture(t)
	ctx := t.Context()
	f.watch(muster.EventThing)
	const things, updates = 8, 20
	var wg sync.WaitGroup
	for i := range things {
		wg.Go(func() {
			name := fmt.Sprint("t", i%4)
			for n := range updates {
				_, _ = f.CreateThing(ctx, muster.Thing{Account: account, Name: name})
				_, _ = f.UpdateThing(ctx, account, name, registry.ThingUpdate{Attributes: map[string]string{"n": fmt.Sprint(i, n)}})
				if n%5 == 4 {
					_ = f.DeleteThing(ctx, account, name, nil)
				}
			}
		})
	}
	wg.Wait()
	at := map[string]int{} // the revision; 0: there is none
	for _, e := range w.all() {
		name, last := e.Thing.Name, at[e.Thing.Name]
		switch {
		case e.Operation == muster.Created && last == 0, e.Operation == muster.Updated && e.Thing.Revision == last+1 && last > 0:
			at[name] = e.Thing.Revision
		case e.Operation == muster.Deleted && e.Thing.Revision == last:
			at[name] = 0
		default:
			t.Errorf("%s at revision %d: %s of revision %d", name, last, e.Operation, e.Thing.Revision)
		}
	}
	if len(at) != 4 {
		t.Errorf("told of %d things", len(at))
	}
}
