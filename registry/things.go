package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/muster-mqtt/muster"
)

// CreateThing creates a thing; its ID, Created and Revision are set here. Its
// type and groups must exist. The same thing once more is no error: the one
// that is there is returned.
func (s *Store) CreateThing(ctx context.Context, thing muster.Thing) (muster.Thing, error) {
	if err := checkThing(thing); err != nil {
		return muster.Thing{}, err
	}
	thing.ID, thing.Created, thing.Revision = randomUUID(), s.now(), 1
	thing.Authority = "" // an operator's
	thing.Groups = sortedNames(thing.Groups)
	return create(ctx, s, KindThing, thing.Name, creation[muster.Thing]{
		account: thing.Account,
		value:   thing,
		check:   func(r Reader) error { return checkThingTargets(r, &thing) },
		equal: func(have muster.Thing) bool {
			return have.Type == thing.Type && have.Billing == thing.Billing &&
				slices.Equal(have.Groups, thing.Groups) && maps.Equal(have.Attributes, thing.Attributes)
		},
	})
}

// creation is a named resource to create.
type creation[T any] struct {
	account string
	value   T
	check   func(Reader) error // what value refers to exists; nil: it refers to nothing
	equal   func(have T) bool  // have is as good as value; nil: nothing is
}

// create writes a resource, or returns the equal one that there is.
func create[T any](ctx context.Context, s *Store, k Kind, name string, c creation[T]) (T, error) {
	var out T
	err := s.update(ctx, func(t *tx) error {
		if err := require(t, KindAccount, c.account); err != nil {
			return err
		}
		have, _, err := read[T](t, k, docID(k, c.account, name))
		if err == nil {
			if c.equal == nil || !c.equal(have) {
				return &muster.ExistsError{Resource: resource(k, name)}
			}
			out = have
			return nil
		}
		if !errors.Is(err, muster.ErrNotFound) {
			return err
		}
		if c.check != nil {
			if err := c.check(t); err != nil {
				return err
			}
		}
		out = c.value
		return t.put(0, &c.value)
	})
	if err != nil {
		var none T
		return none, err
	}
	return out, nil
}

// resource is how an ARN calls it.
func resource(k Kind, name string) string {
	kind, _ := resourceKind(k)
	return string(kind) + "/" + name
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

// checkThingTargets requires the type and groups that a thing names.
func checkThingTargets(r Reader, thing *muster.Thing) error {
	if thing.Type != "" {
		if err := require(r, KindThingType, docID(KindThingType, thing.Account, thing.Type)); err != nil {
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

// ListThings lists the account's things by name.
func (s *Store) ListThings(ctx context.Context, account string, p Page) ([]muster.Thing, Cursor, error) {
	return list[muster.Thing](ctx, s, KindThing, "", []byte(account+"/"), p)
}

// DeleteThing deletes a thing. As AWS has it, one with a certificate attached is
// an ErrInvalid, not an ErrInUse.
func (s *Store) DeleteThing(ctx context.Context, account, name string) error {
	return s.update(ctx, func(t *tx) error {
		certificate, err := holder(t, KindCert, IndexThing, Key(account, name))
		if err != nil {
			return err
		}
		if certificate != "" {
			return fmt.Errorf("thing %s: certificate %s is attached, detach it first: %w", name, certificate, muster.ErrInvalid)
		}
		return t.remove(KindThing, docID(KindThing, account, name))
	})
}

// CreateThingType creates a thing type; its ID and Created are set here. The
// same type once more is no error.
func (s *Store) CreateThingType(ctx context.Context, kind muster.ThingType) (muster.ThingType, error) {
	none := muster.ThingType{}
	if err := checkName("thing type", thingName, kind.Name); err != nil {
		return none, err
	}
	what := "thing type " + kind.Name
	if err := checkDescription(what, kind.Description); err != nil {
		return none, err
	}
	if n := len(kind.SearchableAttributes); n > maxSearchable {
		return none, fmt.Errorf("%s: %d searchable attributes, want at most %d: %w", what, n, maxSearchable, muster.ErrInvalid)
	}
	for _, name := range kind.SearchableAttributes {
		if err := checkName("searchable attribute", attributeName, name); err != nil {
			return none, err
		}
	}
	tags, err := sortedTags(kind.Tags)
	if err != nil {
		return none, err
	}
	kind.ID, kind.Created, kind.Tags = randomUUID(), s.now(), tags
	return create(ctx, s, KindThingType, kind.Name, creation[muster.ThingType]{
		account: kind.Account,
		value:   kind,
		equal: func(have muster.ThingType) bool {
			return have.Description == kind.Description && slices.Equal(have.Tags, kind.Tags) &&
				slices.Equal(have.SearchableAttributes, kind.SearchableAttributes)
		},
	})
}

// ThingType returns a thing type of the account.
func (s *Store) ThingType(ctx context.Context, account, name string) (muster.ThingType, error) {
	return get[muster.ThingType](ctx, s, KindThingType, docID(KindThingType, account, name))
}

// CreateThingGroup creates a thing group; its ID, Created and Revision are set
// here and its policies are attached later. Its parent must exist, and no more
// than seven groups may stand one in another. The same group once more is no
// error.
func (s *Store) CreateThingGroup(ctx context.Context, group muster.ThingGroup) (muster.ThingGroup, error) {
	none := muster.ThingGroup{}
	if err := checkName("thing group", thingName, group.Name); err != nil {
		return none, err
	}
	if err := checkDescription("thing group "+group.Name, group.Description); err != nil {
		return none, err
	}
	if err := checkAttributes(group.Attributes, true); err != nil {
		return none, fmt.Errorf("thing group %s: %w", group.Name, err)
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
		check:   func(r Reader) error { return checkParents(r, group) },
		equal: func(have muster.ThingGroup) bool {
			return have.Parent == group.Parent && have.Description == group.Description &&
				maps.Equal(have.Attributes, group.Attributes) && slices.Equal(have.Tags, group.Tags)
		},
	})
}

func checkParents(r Reader, group muster.ThingGroup) error {
	parent := group.Parent
	for level := 1; parent != ""; level++ {
		if level >= maxGroupLevels {
			return fmt.Errorf("thing group %s: more than %d levels: %w", group.Name, maxGroupLevels, muster.ErrLimit)
		}
		g, _, err := read[muster.ThingGroup](r, KindThingGroup, docID(KindThingGroup, group.Account, parent))
		if err != nil {
			return err
		}
		parent = g.Parent
	}
	return nil
}

// ThingGroup returns a thing group of the account.
func (s *Store) ThingGroup(ctx context.Context, account, name string) (muster.ThingGroup, error) {
	g, err := s.sharedGroup(ctx, account, name)
	g.Attributes, g.Policies, g.Tags = maps.Clone(g.Attributes), slices.Clone(g.Policies), slices.Clone(g.Tags)
	return g, err
}

func (s *Store) sharedGroup(ctx context.Context, account, name string) (muster.ThingGroup, error) {
	id := docID(KindThingGroup, account, name)
	return s.groups.load(id, func() (muster.ThingGroup, error) { return get[muster.ThingGroup](ctx, s, KindThingGroup, id) })
}
