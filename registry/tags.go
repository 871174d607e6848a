package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/muster-mqtt/muster"
)

// Tags returns the tags of an authority, policy, thing type, thing group or
// template, sorted by key; id is its ID or name.
func (s *Store) Tags(ctx context.Context, account string, kind muster.ResourceKind, id string) ([]muster.Tag, error) {
	k, err := taggedKind(kind)
	if err != nil {
		return nil, err
	}
	doc, err := get[struct {
		Tags []muster.Tag `json:"tags"`
	}](ctx, s, k, docID(k, account, id))
	return doc.Tags, err
}

// TagResource adds tags, or sets those that are there, up to fifty (ErrLimit). On
// an authority the tag TagOCSP sets the OCSP mode.
func (s *Store) TagResource(ctx context.Context, account string, kind muster.ResourceKind, id string, tags []muster.Tag) error {
	if _, err := sortedTags(tags); err != nil {
		return err
	}
	return s.editTags(ctx, account, kind, id, func(have []muster.Tag) ([]muster.Tag, error) {
		merged := slices.Clone(tags)
		for _, tag := range have {
			if !slices.ContainsFunc(tags, func(t muster.Tag) bool { return t.Key == tag.Key }) {
				merged = append(merged, tag)
			}
		}
		if len(merged) > maxTags {
			return nil, fmt.Errorf("%s %s: it would have %d tags, at most %d may be: %w", kind, id, len(merged), maxTags, muster.ErrLimit)
		}
		return sortedTags(merged)
	})
}

// UntagResource removes tags by key; one that is not there is no error. To
// remove TagOCSP from an authority sets its OCSP mode back to off.
func (s *Store) UntagResource(ctx context.Context, account string, kind muster.ResourceKind, id string, keys []string) error {
	return s.editTags(ctx, account, kind, id, func(have []muster.Tag) ([]muster.Tag, error) {
		return slices.DeleteFunc(slices.Clone(have), func(t muster.Tag) bool { return slices.Contains(keys, t.Key) }), nil
	})
}

func taggedKind(kind muster.ResourceKind) (Kind, error) {
	switch kind {
	case muster.KindAuthority:
		return KindAuthority, nil
	case muster.KindPolicy:
		return KindPolicy, nil
	case muster.KindThingType:
		return KindThingType, nil
	case muster.KindThingGroup:
		return KindThingGroup, nil
	case muster.KindTemplate:
		return KindTemplate, nil
	}
	return "", fmt.Errorf("resources of kind %q have no tags: %w", kind, muster.ErrInvalid)
}

type tagEdit func(have []muster.Tag) ([]muster.Tag, error)

func (s *Store) editTags(ctx context.Context, account string, kind muster.ResourceKind, id string, edit tagEdit) error {
	k, err := taggedKind(kind)
	if err != nil {
		return err
	}
	doc := docID(k, account, id)
	err = s.update(ctx, func(t *tx) error {
		switch k {
		case KindAuthority:
			return retagAuthority(t, doc, edit)
		case KindPolicy:
			return retag(t, k, doc, edit, func(p *muster.Policy) *[]muster.Tag { return &p.Tags })
		case KindThingType:
			return retag(t, k, doc, edit, func(p *muster.ThingType) *[]muster.Tag { return &p.Tags })
		case KindThingGroup:
			return retag(t, k, doc, edit, func(p *muster.ThingGroup) *[]muster.Tag { return &p.Tags })
		}
		return retag(t, k, doc, edit, func(p *muster.Template) *[]muster.Tag { return &p.Tags })
	})
	if errors.Is(err, ErrTooLarge) { // the versions of a policy may leave little room
		return fmt.Errorf("%s %s: it is too large with these tags, take fewer or delete a version of it: %w", kind, id, muster.ErrInvalid)
	}
	return err
}

// retag edits the tags of a document and writes it if that changed them.
func retag[T any](t *tx, k Kind, id string, edit tagEdit, tags func(*T) *[]muster.Tag) error {
	doc, version, err := read[T](t, k, id)
	if err != nil {
		return err
	}
	have := tags(&doc)
	edited, err := edit(*have)
	if err != nil || slices.Equal(*have, edited) {
		return err
	}
	*have = edited
	return t.put(version, &doc)
}

// retagAuthority keeps the OCSP settings of authority and issuer with the tag.
func retagAuthority(t *tx, id string, edit tagEdit) error {
	a, version, err := read[authorityDoc](t, KindAuthority, id)
	if err != nil {
		return err
	}
	edited, err := edit(a.Tags)
	if err != nil || slices.Equal(a.Tags, edited) {
		return err
	}
	_, tagged, err := ocspMode(a.Tags)
	if err != nil {
		return err
	}
	mode, set, err := ocspMode(edited)
	switch {
	case err != nil:
		return err
	case set:
		a.OCSP.Mode = mode
	case tagged: // without the tag it was set by other means, which keep it
		a.OCSP.Mode = muster.OCSPOff
	}
	a.Tags = edited
	if err := t.put(version, &a); err != nil {
		return err
	}
	return ensureIssuer(t, a.Authority)
}
