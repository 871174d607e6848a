package registry

import (
	"context"
	"fmt"

	"github.com/muster-mqtt/muster"
)

// AttachThing attaches a certificate to a thing, of at most a hundred: what
// connects with it may be that thing, and has the policies of its groups. To
// attach it again changes nothing. One that another thing has exclusively is an
// ErrInvalid.
func (s *Store) AttachThing(ctx context.Context, account, thing, certificateID string) error {
	return s.attach(ctx, account, thing, certificateID, false)
}

// AttachThingExclusively attaches a certificate to a thing and to no other, also
// none later: what connects with it is that thing, whatever its client ID. To
// attach it so again changes nothing; one that is attached already in another way
// is an ErrInvalid.
func (s *Store) AttachThingExclusively(ctx context.Context, account, thing, certificateID string) error {
	return s.attach(ctx, account, thing, certificateID, true)
}

// attach writes the certificate unless it is attached so. Whoever follows the
// changes of the certificate, as live sessions do, is told.
func (s *Store) attach(ctx context.Context, account, thing, certificateID string, exclusive bool) error {
	return s.update(ctx, func(t *tx) error {
		if err := require(t, KindThing, docID(KindThing, account, thing)); err != nil {
			return err
		}
		c, err := t.certificate(account, certificateID)
		if err != nil {
			return err
		}
		names, added := with(c.Things, thing)
		if !added && c.Exclusive == exclusive {
			return nil
		}
		if err := mayAttach(&c.Certificate, thing, exclusive); err != nil {
			return err
		}
		c.Things, c.Exclusive = names, exclusive
		return t.putCertificate(c)
	})
}

// mayAttach says why a certificate cannot be attached to one more thing, or to one
// of its things in another way.
func mayAttach(c *muster.Certificate, thing string, exclusive bool) error {
	switch {
	case c.Status == muster.PendingTransfer:
		return fmt.Errorf("certificate %s: offered to another account, cancel the transfer first: %w", c.ID, muster.ErrInvalid)
	case c.Exclusive && c.Things[0] == thing:
		return fmt.Errorf("certificate %s: attached to thing %s exclusively, detach it first to attach it otherwise: %w", c.ID, thing, muster.ErrInvalid)
	case c.Exclusive:
		return fmt.Errorf("certificate %s: thing %s has it exclusively, detach it first: %w", c.ID, c.Things[0], muster.ErrInvalid)
	case exclusive && len(c.Things) > 0:
		return fmt.Errorf("certificate %s: attached to thing %s, and not exclusively; detach it first: %w", c.ID, c.Things[0], muster.ErrInvalid)
	case len(c.Things) >= maxThings:
		return fmt.Errorf("certificate %s: more than %d things: %w", c.ID, maxThings, muster.ErrLimit)
	}
	return nil
}

// DetachThing undoes AttachThing, and what a template attached. What is not
// attached is no error.
func (s *Store) DetachThing(ctx context.Context, account, thing, certificateID string) error {
	return s.update(ctx, func(t *tx) error {
		if err := require(t, KindThing, docID(KindThing, account, thing)); err != nil {
			return err
		}
		c, err := t.certificate(account, certificateID)
		if err != nil {
			return err
		}
		names, removed := without(c.Things, thing)
		if !removed {
			return nil
		}
		c.Things, c.Exclusive = names, false
		return t.putCertificate(c)
	})
}

// ListThingCertificates lists the certificates that are attached to a thing, by
// their IDs: those that are so exclusively, those that are not, or, for nil, both.
func (s *Store) ListThingCertificates(ctx context.Context, account, thing string, exclusive *bool, p Page) ([]muster.Certificate, Cursor, error) {
	if _, err := s.sharedThing(ctx, account, thing); err != nil {
		return nil, nil, err
	}
	if exclusive == nil {
		return list[muster.Certificate](ctx, s, KindCert, IndexThing, Key(account, thing), p)
	}
	q := Query{Index: IndexThing, Prefix: Key(account, thing)}
	return listWhere(ctx, s, KindCert, q, p, func(c *muster.Certificate) bool { return c.Exclusive == *exclusive })
}

// holder returns the name of a document that has this index key, "" if none has.
func holder(r Reader, k Kind, index string, key []byte) (string, error) {
	docs, _, err := r.List(k, Query{Index: index, Prefix: key, Limit: 1})
	if err != nil || len(docs) == 0 {
		return "", err
	}
	return documentName(k, docs[0].ID), nil
}
