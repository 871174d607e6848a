package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/muster-mqtt/muster"
)

// CreateThingType creates a thing type; its ID and Created are set here. The same
// type once more is no error.
func (s *Store) CreateThingType(ctx context.Context, kind muster.ThingType) (muster.ThingType, error) {
	none := muster.ThingType{}
	if err := checkThingType(kind); err != nil {
		return none, err
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

func checkThingType(kind muster.ThingType) error {
	if err := checkName("thing type", thingName, kind.Name); err != nil {
		return err
	}
	what := "thing type " + kind.Name
	if err := checkDescription(what, kind.Description); err != nil {
		return err
	}
	if n := len(kind.SearchableAttributes); n > maxSearchable {
		return fmt.Errorf("%s: %d searchable attributes, want at most %d: %w", what, n, maxSearchable, muster.ErrInvalid)
	}
	for _, name := range kind.SearchableAttributes {
		if err := checkName("searchable attribute", attributeName, name); err != nil {
			return err
		}
	}
	return nil
}

// ThingType returns a thing type of the account.
func (s *Store) ThingType(ctx context.Context, account, name string) (muster.ThingType, error) {
	return get[muster.ThingType](ctx, s, KindThingType, docID(KindThingType, account, name))
}

// ListThingTypes lists the account's thing types by name, or, with a name, that one
// if there is it.
func (s *Store) ListThingTypes(ctx context.Context, account, name string, p Page) ([]muster.ThingType, Cursor, error) {
	if name == "" {
		return list[muster.ThingType](ctx, s, KindThingType, "", []byte(account+"/"), p)
	}
	kind, err := s.ThingType(ctx, account, name)
	if errors.Is(err, muster.ErrNotFound) {
		return nil, nil, nil
	}
	return []muster.ThingType{kind}, nil, err
}

// ThingTypeUpdate is what UpdateThingType changes; a nil field stays as it is.
type ThingTypeUpdate struct {
	Description          *string
	SearchableAttributes []string // empty and not nil takes all away
}

// UpdateThingType changes what a thing type says of itself. The things of the type
// are not touched.
func (s *Store) UpdateThingType(ctx context.Context, account, name string, u ThingTypeUpdate) error {
	return s.editThingType(ctx, account, name, func(kind *muster.ThingType) error {
		if u.Description != nil {
			kind.Description = *u.Description
		}
		if u.SearchableAttributes != nil {
			kind.SearchableAttributes = u.SearchableAttributes
		}
		return checkThingType(*kind)
	})
}

// DeprecateThingType keeps a thing type from being given to any more things, or
// undoes that. Things that have it keep it. To deprecate it again leaves the date
// as it is.
func (s *Store) DeprecateThingType(ctx context.Context, account, name string, undo bool) error {
	now := s.now()
	return s.editThingType(ctx, account, name, func(kind *muster.ThingType) error {
		switch {
		case undo:
			kind.Deprecated = muster.ThingType{}.Deprecated
		case kind.Deprecated.IsZero():
			kind.Deprecated = now
		}
		return nil
	})
}

// editThingType writes a thing type if edit changes it.
func (s *Store) editThingType(ctx context.Context, account, name string, edit func(*muster.ThingType) error) error {
	return s.update(ctx, func(t *tx) error {
		have, version, err := read[muster.ThingType](t, KindThingType, docID(KindThingType, account, name))
		if err != nil {
			return err
		}
		kind := have
		if err := edit(&kind); err != nil {
			return err
		}
		if kind.Description == have.Description && kind.Deprecated.Equal(have.Deprecated) &&
			slices.Equal(kind.SearchableAttributes, have.SearchableAttributes) {
			return nil
		}
		return t.put(version, &kind)
	})
}

// DeleteThingType deletes a thing type that is deprecated and that no thing has
// (ErrInvalid, as in AWS). AWS has its caller wait for five minutes after the
// deprecation, until all of it knows; here every later transaction does.
func (s *Store) DeleteThingType(ctx context.Context, account, name string) error {
	id := docID(KindThingType, account, name)
	return s.update(ctx, func(t *tx) error {
		kind, _, err := read[muster.ThingType](t, KindThingType, id)
		if err != nil {
			return err
		}
		if kind.Deprecated.IsZero() {
			return fmt.Errorf("thing type %s: not deprecated, deprecate it first: %w", name, muster.ErrInvalid)
		}
		thing, err := holder(t, KindThing, IndexType, Key(account, name))
		if err != nil {
			return err
		}
		if thing != "" {
			return fmt.Errorf("thing type %s: thing %s has it, give that another type or none first: %w", name, thing, muster.ErrInvalid)
		}
		return t.remove(KindThingType, id)
	})
}

// mayHaveType requires the type of a thing, which must not be deprecated unless the
// thing has it already.
func mayHaveType(r Reader, thing *muster.Thing) error {
	kind, _, err := read[muster.ThingType](r, KindThingType, docID(KindThingType, thing.Account, thing.Type))
	if err != nil || kind.Deprecated.IsZero() {
		return err
	}
	have, _, err := read[muster.Thing](r, KindThing, docID(KindThing, thing.Account, thing.Name))
	if err == nil && have.Type == thing.Type {
		return nil
	}
	if err != nil && !errors.Is(err, muster.ErrNotFound) {
		return err
	}
	return fmt.Errorf("thing type %s: deprecated, no more things may have it: %w", thing.Type, muster.ErrInvalid)
}
