package registry

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/muster-mqtt/muster"
)

// watched are the kinds of events that are switched on, by account. Accounts that
// want none are absent, so that a change there costs nothing.
type watched map[string]map[muster.EventKind]bool

// watched is read before a transaction begins, from the cache: what is switched
// on counts for all that begins after that.
func (s *Store) watched(ctx context.Context) (watched, error) {
	if s.telling.tellRegistry == nil {
		return nil, nil
	}
	accounts, err := s.sharedAccounts(ctx)
	if err != nil {
		return nil, err
	}
	var w watched
	for _, a := range accounts {
		if len(a.Events) == 0 {
			continue
		}
		if w == nil {
			w = watched{}
		}
		w[a.ID] = a.Events
	}
	return w, nil
}

// observe notes what a write means to those who watch the registry, by what is
// stored and what takes its place; nil if it is removed. It is called before each
// write, so that no operation has to remember it.
func (t *tx) observe(k Kind, id string, after any) error {
	account, _ := split(k, id)
	on := t.watched[account]
	if len(on) == 0 {
		return nil
	}
	var events []muster.RegistryEvent
	var err error
	switch k {
	case KindThing:
		events, err = compare(t, k, id, after, thingEvents)
	case KindThingType:
		events, err = compare(t, k, id, after, typeEvents)
	case KindThingGroup:
		events, err = compare(t, k, id, after, groupEvents)
	}
	if err != nil {
		return err
	}
	for _, e := range events {
		if !on[e.Kind] {
			continue
		}
		e.Time, e.Account = t.now, account
		if err := t.complete(&e); err != nil {
			return err
		}
		t.changes = append(t.changes, e)
	}
	return nil
}

// compare asks what the change of a document means. A state that is not there is
// the zero value.
func compare[T any](r Reader, k Kind, id string, after any, events func(before, after T, op muster.Operation) []muster.RegistryEvent) ([]muster.RegistryEvent, error) {
	var next T
	op := muster.Updated
	if p, ok := after.(*T); ok {
		next = *p
	} else {
		op = muster.Deleted
	}
	before, _, err := read[T](r, k, id)
	switch {
	case errors.Is(err, muster.ErrNotFound) && op == muster.Deleted:
		return nil, nil // the write fails too
	case errors.Is(err, muster.ErrNotFound):
		op = muster.Created
	case err != nil:
		return nil, err
	}
	return events(before, next, op), nil
}

func thingEvents(before, after muster.Thing, op muster.Operation) (events []muster.RegistryEvent) {
	thing := after
	if op == muster.Deleted {
		thing = before
	}
	thing.Groups, thing.Attributes = slices.Clone(thing.Groups), maps.Clone(thing.Attributes) // others may have the original
	note := func(k muster.EventKind, op muster.Operation, kind, group string) {
		events = append(events, muster.RegistryEvent{
			Kind: k, Operation: op, Thing: thing, Type: muster.ThingType{Name: kind}, Group: muster.ThingGroup{Name: group},
		})
	}
	if op == muster.Created || op == muster.Updated && thingUpdated(&before, &after) {
		note(muster.EventThing, op, "", "")
	}
	if was, is := before.Type, after.Type; was != is {
		if was != "" {
			note(muster.EventThingTypeAssociation, muster.Removed, was, "")
		}
		if is != "" {
			note(muster.EventThingTypeAssociation, muster.Added, is, "")
		}
	}
	for _, name := range before.Groups {
		if !slices.Contains(after.Groups, name) {
			note(muster.EventThingGroupMembership, muster.Removed, "", name)
		}
	}
	for _, name := range after.Groups {
		if !slices.Contains(before.Groups, name) {
			note(muster.EventThingGroupMembership, muster.Added, "", name)
		}
	}
	if op == muster.Deleted {
		note(muster.EventThing, op, "", "")
	}
	return events
}

// thingUpdated reports whether more than the groups of a thing changed.
func thingUpdated(before, after *muster.Thing) bool {
	return before.Revision != after.Revision || before.Type != after.Type || before.Billing != after.Billing ||
		!maps.Equal(before.Attributes, after.Attributes)
}

// typeEvents passes over changes that are not of the type itself: its tags.
func typeEvents(before, after muster.ThingType, op muster.Operation) []muster.RegistryEvent {
	kind := after
	switch {
	case op == muster.Deleted:
		kind = before
	case op == muster.Updated && before.Description == after.Description && before.Deprecated.Equal(after.Deprecated) &&
		slices.Equal(before.SearchableAttributes, after.SearchableAttributes):
		return nil
	}
	return []muster.RegistryEvent{{Kind: muster.EventThingType, Operation: op, Type: kind}}
}

// groupEvents passes over changes of a group's tags and policies. A group keeps
// its parent for life.
func groupEvents(before, after muster.ThingGroup, op muster.Operation) []muster.RegistryEvent {
	group := after
	if op == muster.Deleted {
		group = before
	}
	group.Attributes = maps.Clone(group.Attributes)
	itself := muster.RegistryEvent{Kind: muster.EventThingGroup, Operation: op, Group: group}
	above := muster.RegistryEvent{Kind: muster.EventThingGroupHierarchy, Group: group}
	switch {
	case op == muster.Updated && before.Revision == after.Revision:
		return nil
	case op == muster.Updated || group.Parent == "":
		return []muster.RegistryEvent{itself}
	case op == muster.Created:
		above.Operation = muster.Added
		return []muster.RegistryEvent{itself, above}
	}
	above.Operation = muster.Removed
	return []muster.RegistryEvent{above, itself}
}

// complete reads the groups that an event names: that of a membership, and those
// above a group.
func (t *tx) complete(e *muster.RegistryEvent) error {
	if e.Kind == muster.EventThingGroupMembership {
		group, _, err := read[muster.ThingGroup](t, KindThingGroup, docID(KindThingGroup, e.Account, e.Group.Name))
		e.Group = group
		return err
	}
	for _, name := range e.Group.Ancestors {
		group, _, err := read[muster.ThingGroup](t, KindThingGroup, docID(KindThingGroup, e.Account, name))
		if err != nil {
			return err
		}
		e.Parents = append(e.Parents, group)
	}
	return nil
}
