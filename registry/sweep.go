package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/muster-mqtt/muster"
)

const (
	sweepEvery = time.Minute
	// sweepBatch is how many documents one transaction of a sweep deletes: few
	// enough that registrations behind it do not wait noticeably.
	sweepBatch = 100
)

// Run counts the certificates by status, and then sweeps at once and every minute
// until ctx ends, which returns nil:
// certificates past their date or PENDING_ACTIVATION for longer than PendingTTL, tombstones whose
// certificate has expired, and OCSP answers past their time. It fails if either
// does, unless the engine says so itself by Err.
func (s *Store) Run(ctx context.Context) error {
	if err := s.countCertificates(ctx); err != nil && ctx.Err() == nil && s.Err() == nil {
		return fmt.Errorf("counting certificates: %w", err)
	}
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil && s.Err() == nil {
			return fmt.Errorf("sweep: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (s *Store) sweep(ctx context.Context) error {
	now := s.now()
	accounts, err := s.sharedAccounts(ctx)
	if err != nil {
		return err
	}
	errs := []error{
		s.sweepRecords(ctx, now),
		s.sweepExpired(ctx, KindTombstone, now.Add(-tombstoneGrace)),
		s.sweepExpired(ctx, KindAnswer, now),
		s.saveKeyUses(ctx),
	}
	for _, a := range accounts {
		errs = append(errs, s.sweepPending(ctx, a.ID, now.Add(-s.pendingTTL)))
	}
	return errors.Join(errs...)
}

// sweepPending deletes what was registered before a time and is pending still.
// It leaves no tombstone: a device that comes back starts afresh.
func (s *Store) sweepPending(ctx context.Context, account string, before time.Time) error {
	prefix := Key(account, string(muster.PendingActivation))
	return s.inBatches(ctx, func(t *tx) (int, error) {
		docs, _, err := t.List(KindCert, Query{Index: IndexStatus, Prefix: prefix, Limit: sweepBatch})
		if err != nil {
			return 0, err
		}
		n := 0
		for _, d := range docs {
			_, id := split(KindCert, d.ID)
			c, err := t.anyCertificate(account, id)
			if err != nil {
				return 0, err
			}
			if !c.Created.Before(before) { // the list is in the order of creation
				break
			}
			c.outlived = "it waited for activation longer than a certificate may"
			if err := t.removeCertificate(c); err != nil {
				return 0, err
			}
			n++
		}
		return n, nil
	})
}

// sweepExpired deletes documents by the index of their expiry.
func (s *Store) sweepExpired(ctx context.Context, k Kind, before time.Time) error {
	limit := appendTime(nil, before)
	return s.inBatches(ctx, func(t *tx) (int, error) {
		docs, _, err := t.List(k, Query{Index: IndexExpiry, Limit: sweepBatch})
		if err != nil {
			return 0, err
		}
		n := 0
		for _, d := range docs {
			_, entries, err := Index(k, d.JSON)
			if err != nil {
				return 0, err
			}
			if bytes.Compare(entries[0].Key, limit) >= 0 {
				break
			}
			if err := t.remove(k, d.ID); err != nil {
				return 0, err
			}
			n++
		}
		return n, nil
	})
}

// inBatches runs a transaction until it does less than a full batch.
func (s *Store) inBatches(ctx context.Context, batch func(*tx) (int, error)) error {
	for {
		var n int
		err := s.update(ctx, func(t *tx) (err error) {
			n, err = batch(t)
			return err
		})
		if err != nil || n < sweepBatch {
			return err
		}
	}
}
