package registry

import (
	"context"
	"fmt"

	"github.com/muster-mqtt/muster"
)

// AttachThing attaches a certificate to a thing, of at most a hundred: what
// connects with it may be that thing, and has the policies of its groups. To
// attach it again changes nothing.
func (s *Store) AttachThing(ctx context.Context, account, thing, certificateID string) error {
	return s.editThings(ctx, account, thing, certificateID, with)
}

// DetachThing undoes AttachThing, and what a template attached. What is not
// attached is no error.
func (s *Store) DetachThing(ctx context.Context, account, thing, certificateID string) error {
	return s.editThings(ctx, account, thing, certificateID, without)
}

// editThings writes the certificate if edit changes the names of its things.
// Whoever follows the changes of the certificate, as live sessions do, is told.
func (s *Store) editThings(ctx context.Context, account, thing, certificateID string, edit func(names []string, name string) ([]string, bool)) error {
	return s.update(ctx, func(t *tx) error {
		if err := require(t, KindThing, docID(KindThing, account, thing)); err != nil {
			return err
		}
		c, err := t.certificate(account, certificateID)
		if err != nil {
			return err
		}
		names, changed := edit(c.Things, thing)
		if !changed {
			return nil
		}
		if len(names) > maxThings {
			return fmt.Errorf("certificate %s: more than %d things: %w", certificateID, maxThings, muster.ErrLimit)
		}
		c.Things = names
		return t.putCertificate(c)
	})
}

// maxGroups is how many groups a thing may be put into directly, as in AWS.
const maxGroups = 10

// crowded says that a template would put a thing into more groups than it may be
// in, or returns "". had is how many it is in already.
func crowded(thing string, groups []string, had int) string {
	if n := len(groups); n > max(maxGroups, had) {
		return fmt.Sprintf("the thing %q would be in %d groups, at most %d may be", thing, n, maxGroups)
	}
	return ""
}

// AddThingToGroup puts a thing into a group, of at most ten: what connects as
// that thing has the policies of the group and of its parents. To put it there
// again changes nothing.
func (s *Store) AddThingToGroup(ctx context.Context, account, thing, group string) error {
	return s.editGroups(ctx, account, thing, group, with)
}

// RemoveThingFromGroup undoes AddThingToGroup, and what a template did. A thing
// that is not in the group is no error.
func (s *Store) RemoveThingFromGroup(ctx context.Context, account, thing, group string) error {
	return s.editGroups(ctx, account, thing, group, without)
}

// editGroups writes the thing if edit changes the names of its groups. Whoever
// follows the changes of the thing, as live sessions do, is told.
func (s *Store) editGroups(ctx context.Context, account, thing, group string, edit func(names []string, name string) ([]string, bool)) error {
	return s.update(ctx, func(t *tx) error {
		if err := require(t, KindThingGroup, docID(KindThingGroup, account, group)); err != nil {
			return err
		}
		found, version, err := read[muster.Thing](t, KindThing, docID(KindThing, account, thing))
		if err != nil {
			return err
		}
		names, changed := edit(found.Groups, group)
		if !changed {
			return nil
		}
		if len(names) > max(maxGroups, len(found.Groups)) {
			return fmt.Errorf("thing %s: more than %d groups: %w", thing, maxGroups, muster.ErrLimit)
		}
		found.Groups = names
		return t.put(version, &found)
	})
}

// ListThingCertificates lists the certificates that are attached to a thing, by
// their IDs.
func (s *Store) ListThingCertificates(ctx context.Context, account, thing string, p Page) ([]muster.Certificate, Cursor, error) {
	if _, err := s.sharedThing(ctx, account, thing); err != nil {
		return nil, nil, err
	}
	return list[muster.Certificate](ctx, s, KindCert, IndexThing, Key(account, thing), p)
}

// holder returns the name of a document that has this index key, "" if none has.
func holder(r Reader, k Kind, index string, key []byte) (string, error) {
	docs, _, err := r.List(k, Query{Index: index, Prefix: key, Limit: 1})
	if err != nil || len(docs) == 0 {
		return "", err
	}
	return documentName(k, docs[0].ID), nil
}
