package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/muster-mqtt/muster"
)

// CreateThing creates a thing; its ID, Created and Revision are set here. Its
// type and groups, of which there are ten at most (ErrLimit), must exist, and the
// type must not be deprecated. The same thing once more is no error: the one that
// is there is returned, whatever groups it came into since, unless groups are asked
// for.
func (s *Store) CreateThing(ctx context.Context, thing muster.Thing) (muster.Thing, error) {
	if err := checkThing(thing); err != nil {
		return muster.Thing{}, err
	}
	thing.ID, thing.Created, thing.Revision = randomUUID(), s.now(), 1
	thing.Authority = "" // an operator's
	thing.Groups = sortedNames(thing.Groups)
	if reason := crowded(thing.Name, thing.Groups, 0); reason != "" {
		return muster.Thing{}, fmt.Errorf("%s: %w", reason, muster.ErrLimit)
	}
	return create(ctx, s, KindThing, thing.Name, creation[muster.Thing]{
		account: thing.Account,
		value:   thing,
		check:   checkThingTargets,
		equal: func(have muster.Thing) bool {
			return have.Type == thing.Type && have.Billing == thing.Billing && maps.Equal(have.Attributes, thing.Attributes) &&
				(len(thing.Groups) == 0 || slices.Equal(have.Groups, thing.Groups))
		},
	})
}

func checkThing(thing muster.Thing) error {
	if err := checkName("thing", thingName, thing.Name); err != nil {
		return err
	}
	if thing.Billing != "" {
		if err := checkName("billing group", thingName, thing.Billing); err != nil {
			return err
		}
	}
	if err := checkAttributes(thing.Attributes, thing.Type != ""); err != nil {
		return fmt.Errorf("thing %s: %w", thing.Name, err)
	}
	return nil
}

// checkThingTargets requires the type and groups that a thing names. The type may
// be deprecated (ErrInvalid) only if the thing, as it is stored, has it already.
func checkThingTargets(r Reader, thing *muster.Thing) error {
	if thing.Type != "" {
		if err := mayHaveType(r, thing); err != nil {
			return err
		}
	}
	for _, group := range thing.Groups {
		if err := require(r, KindThingGroup, docID(KindThingGroup, thing.Account, group)); err != nil {
			return err
		}
	}
	return nil
}

func sortedNames(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// Thing returns a thing of the account.
func (s *Store) Thing(ctx context.Context, account, name string) (muster.Thing, error) {
	thing, err := s.sharedThing(ctx, account, name)
	return unsharedThing(thing), err
}

func unsharedThing(thing muster.Thing) muster.Thing {
	thing.Groups, thing.Attributes = slices.Clone(thing.Groups), maps.Clone(thing.Attributes)
	return thing
}

func (s *Store) sharedThing(ctx context.Context, account, name string) (muster.Thing, error) {
	id := docID(KindThing, account, name)
	return s.things.load(id, func() (muster.Thing, error) { return get[muster.Thing](ctx, s, KindThing, id) })
}

// ThingFilter selects things; an empty field selects all.
type ThingFilter struct {
	Type      string // found by an index
	Attribute string // its name; without Value any value will do
	Value     string
	Prefix    bool // Value is the beginning of the attribute's
}

func (f ThingFilter) selects(t *muster.Thing) bool {
	value, ok := t.Attributes[f.Attribute]
	if f.Prefix {
		return ok && strings.HasPrefix(value, f.Value)
	}
	return ok && (f.Value == "" || value == f.Value)
}

// ListThings lists the account's things by name. By Attribute it looks at all
// those of the type, or of the account: at 10,000 at most for one page, which may
// then come out short, or empty, with more to follow.
func (s *Store) ListThings(ctx context.Context, account string, f ThingFilter, p Page) ([]muster.Thing, Cursor, error) {
	index, prefix := "", []byte(account+"/")
	if f.Type != "" {
		index, prefix = IndexType, Key(account, f.Type)
	}
	if f.Attribute == "" {
		return list[muster.Thing](ctx, s, KindThing, index, prefix, p)
	}
	return listWhere(ctx, s, KindThing, Query{Index: index, Prefix: prefix}, p, f.selects)
}

// ThingUpdate is what UpdateThing changes; a nil field stays as it is.
type ThingUpdate struct {
	Type *string // "" takes the type away
	// Attributes take the place of those that there are or, with Merge, are added
	// to them. One with an empty value is removed.
	Attributes map[string]string
	Merge      bool
	Expected   *int // the Revision that the thing must have (ErrVersion); nil: any
}

// UpdateThing changes a thing, and raises its Revision if that makes a difference.
// A deprecated type is not given to it (ErrInvalid).
func (s *Store) UpdateThing(ctx context.Context, account, name string, u ThingUpdate) (muster.Thing, error) {
	var out muster.Thing
	err := s.update(ctx, func(t *tx) error {
		have, version, err := read[muster.Thing](t, KindThing, docID(KindThing, account, name))
		if err != nil {
			return err
		}
		if err := expect("thing "+name, u.Expected, have.Revision); err != nil {
			return err
		}
		out = have
		if u.Type != nil {
			out.Type = *u.Type
		}
		out.Attributes = editedAttributes(have.Attributes, u.Attributes, u.Merge)
		if sameThing(out, have) {
			return nil
		}
		if err := checkThing(out); err != nil {
			return err
		}
		if err := checkThingTargets(t, &out); err != nil {
			return err
		}
		out.Revision++
		return t.put(version, &out)
	})
	if err != nil {
		return muster.Thing{}, err
	}
	return out, nil
}

// editedAttributes returns what becomes of the attributes of a thing or group when
// others are given; nil leaves them as they are.
func editedAttributes(have, given map[string]string, merge bool) map[string]string {
	if given == nil {
		return have
	}
	edited := map[string]string{}
	if merge {
		maps.Copy(edited, have)
	}
	for name, value := range given {
		if value == "" {
			delete(edited, name)
		} else {
			edited[name] = value
		}
	}
	return edited
}

// expect fails unless a revision is the one that the caller expects, if any.
func expect(what string, want *int, have int) error {
	if want != nil && *want != have {
		return fmt.Errorf("%s: version %d, not %d: %w", what, have, *want, muster.ErrVersion)
	}
	return nil
}

// DeleteThing deletes a thing, which leaves its groups by that. expected is the
// Revision that it must have (ErrVersion); nil for any. As AWS has it, one with a
// certificate attached is an ErrInvalid, not an ErrInUse.
func (s *Store) DeleteThing(ctx context.Context, account, name string, expected *int) error {
	id := docID(KindThing, account, name)
	return s.update(ctx, func(t *tx) error {
		thing, _, err := read[muster.Thing](t, KindThing, id)
		if err != nil {
			return err
		}
		if err := expect("thing "+name, expected, thing.Revision); err != nil {
			return err
		}
		certificate, err := holder(t, KindCert, IndexThing, Key(account, name))
		if err != nil {
			return err
		}
		if certificate != "" {
			return fmt.Errorf("thing %s: certificate %s is attached, detach it first: %w", name, certificate, muster.ErrInvalid)
		}
		return t.remove(KindThing, id)
	})
}
