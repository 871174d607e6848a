package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/muster-mqtt/muster"
)

// CreateThingGroup creates a thing group; its ID, Created, Revision and Ancestors
// are set here and its policies are attached later. Its parent must exist, and no
// more than seven groups may stand one in another. The same group once more is no
// error.
func (s *Store) CreateThingGroup(ctx context.Context, group muster.ThingGroup) (muster.ThingGroup, error) {
	none := muster.ThingGroup{}
	if err := checkThingGroup(group); err != nil {
		return none, err
	}
	tags, err := sortedTags(group.Tags)
	if err != nil {
		return none, err
	}
	group.ID, group.Created, group.Revision = randomUUID(), s.now(), 1
	group.Tags, group.Policies = tags, nil
	return create(ctx, s, KindThingGroup, group.Name, creation[muster.ThingGroup]{
		account: group.Account,
		value:   group,
		check: func(r Reader, group *muster.ThingGroup) (err error) {
			if group.Ancestors, err = ancestors(r, group.Account, group.Parent); err == nil && len(group.Ancestors) >= maxGroupLevels {
				err = fmt.Errorf("thing group %s: more than %d levels: %w", group.Name, maxGroupLevels, muster.ErrLimit)
			}
			return err
		},
		equal: func(have muster.ThingGroup) bool {
			return have.Parent == group.Parent && have.Description == group.Description &&
				maps.Equal(have.Attributes, group.Attributes) && slices.Equal(have.Tags, group.Tags)
		},
	})
}

func checkThingGroup(group muster.ThingGroup) error {
	if err := checkName("thing group", thingName, group.Name); err != nil {
		return err
	}
	if err := checkDescription("thing group "+group.Name, group.Description); err != nil {
		return err
	}
	if err := checkAttributes(group.Attributes, true); err != nil {
		return fmt.Errorf("thing group %s: %w", group.Name, err)
	}
	return nil
}

// ancestors returns the names of the groups above one that has this parent, from
// the root on; nil if it has none.
func ancestors(r Reader, account, parent string) ([]string, error) {
	if parent == "" {
		return nil, nil
	}
	g, _, err := read[muster.ThingGroup](r, KindThingGroup, docID(KindThingGroup, account, parent))
	return append(g.Ancestors, parent), err
}

// ThingGroup returns a thing group of the account.
func (s *Store) ThingGroup(ctx context.Context, account, name string) (muster.ThingGroup, error) {
	g, err := s.sharedGroup(ctx, account, name)
	g.Attributes, g.Policies, g.Tags = maps.Clone(g.Attributes), slices.Clone(g.Policies), slices.Clone(g.Tags)
	g.Ancestors = slices.Clone(g.Ancestors)
	return g, err
}

func (s *Store) sharedGroup(ctx context.Context, account, name string) (muster.ThingGroup, error) {
	id := docID(KindThingGroup, account, name)
	return s.groups.load(id, func() (muster.ThingGroup, error) { return get[muster.ThingGroup](ctx, s, KindThingGroup, id) })
}

// GroupFilter selects thing groups. The zero value selects those that have no
// parent.
type GroupFilter struct {
	Parent    string // those below this one; it must exist
	Recursive bool   // also those below these
	Prefix    string // whose names begin so
}

// ListThingGroups lists the account's thing groups by name.
func (s *Store) ListThingGroups(ctx context.Context, account string, f GroupFilter, p Page) ([]muster.ThingGroup, Cursor, error) {
	if f.Parent != "" {
		if _, err := s.sharedGroup(ctx, account, f.Parent); err != nil {
			return nil, nil, err
		}
	}
	index, prefix := IndexParent, Key(account, f.Parent)
	switch {
	case f.Recursive && f.Parent == "":
		index, prefix = "", []byte(account+"/")
	case f.Recursive:
		index = IndexAncestor
	}
	return list[muster.ThingGroup](ctx, s, KindThingGroup, index, append(prefix, f.Prefix...), p)
}

// GroupUpdate is what UpdateThingGroup changes; a nil field stays as it is.
type GroupUpdate struct {
	Description *string
	Attributes  map[string]string // as in ThingUpdate
	Merge       bool
	Expected    *int // the Revision that the group must have (ErrVersion); nil: any
}

// UpdateThingGroup changes a thing group, and raises its Revision if that makes a
// difference.
func (s *Store) UpdateThingGroup(ctx context.Context, account, name string, u GroupUpdate) (muster.ThingGroup, error) {
	var out muster.ThingGroup
	err := s.update(ctx, func(t *tx) error {
		have, version, err := read[muster.ThingGroup](t, KindThingGroup, docID(KindThingGroup, account, name))
		if err != nil {
			return err
		}
		if err := expect("thing group "+name, u.Expected, have.Revision); err != nil {
			return err
		}
		out = have
		if u.Description != nil {
			out.Description = *u.Description
		}
		out.Attributes = editedAttributes(have.Attributes, u.Attributes, u.Merge)
		if out.Description == have.Description && maps.Equal(out.Attributes, have.Attributes) {
			return nil
		}
		if err := checkThingGroup(out); err != nil {
			return err
		}
		out.Revision++
		return t.put(version, &out)
	})
	if err != nil {
		return muster.ThingGroup{}, err
	}
	return out, nil
}

// DeleteThingGroup deletes a thing group that has no groups in it (ErrInvalid), with
// what was attached to it. Its things stay, and leave it first, a hundred in one
// transaction: if something comes between, the group remains with those that are
// left. expected is the Revision that it must have (ErrVersion); nil for any.
func (s *Store) DeleteThingGroup(ctx context.Context, account, name string, expected *int) error {
	id := docID(KindThingGroup, account, name)
	gone, place := false, Cursor(nil) // a list from the start would pass over all that has left
	for !gone {
		after := place
		err := s.update(ctx, func(t *tx) error {
			g, _, err := read[muster.ThingGroup](t, KindThingGroup, id)
			if err != nil {
				return err
			}
			if err := expect("thing group "+name, expected, g.Revision); err != nil {
				return err
			}
			child, err := holder(t, KindThingGroup, IndexParent, Key(account, name))
			if err != nil {
				return err
			}
			if child != "" {
				return fmt.Errorf("thing group %s: group %s is in it, delete that first: %w", name, child, muster.ErrInvalid)
			}
			if place, err = dismiss(t, account, name, after); err != nil {
				return err
			}
			if gone = after == nil && place == nil; !gone { // who came meanwhile may stand further up
				return nil
			}
			return t.remove(KindThingGroup, id)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	// maxDismissed is how many things one transaction takes out of a group: few
	// enough that registrations behind it do not wait noticeably.
	maxDismissed = 100
	// maxDismissedBytes bounds their documents. Their index entries come on top,
	// and MaxTxBytes is for both.
	maxDismissedBytes = MaxTxBytes / 4
)

// dismiss takes things out of a group, from a place on and as many as one
// transaction may, and returns the place after them; nil at the end.
func dismiss(t *tx, account, group string, after Cursor) (place Cursor, err error) {
	q := Query{Index: IndexGroup, Prefix: Key(account, group), After: after, Limit: maxDismissed}
	docs, place, err := t.List(KindThing, q)
	if err != nil {
		return nil, err
	}
	size := 0
	for i, d := range docs {
		if size += len(d.JSON); size > maxDismissedBytes {
			q.Limit = i
			if docs, place, err = t.List(KindThing, q); err != nil {
				return nil, err
			}
			break
		}
	}
	for _, d := range docs {
		thing, version, err := read[muster.Thing](t, KindThing, d.ID)
		if err != nil {
			return nil, err
		}
		thing.Groups, _ = without(thing.Groups, group)
		if err := t.put(version, &thing); err != nil {
			return nil, err
		}
	}
	return place, nil
}
