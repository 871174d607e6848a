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
