package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/muster-mqtt/muster"
)

// gone reports whether a record has expired and waits for the sweep: nothing uses
// it any more.
func gone(c *muster.Certificate, now time.Time) bool {
	return !c.Expires.IsZero() && !now.Before(c.Expires)
}

// own reports whether a record is one that an account may use and change by its
// ID. A claim is not, whatever the operation: it has nothing but its purpose.
func own(c *muster.Certificate, now time.Time) bool {
	return c.Claim == "" && !gone(c, now)
}

// settle takes the date from a record that has left PENDING_ACTIVATION, in
// whichever way: it is used, and stays.
func (c *certificateTx) settle() {
	if c.Claim == "" && c.Status != muster.PendingActivation {
		c.Expires = time.Time{}
	}
}

// sweepRecords deletes certificates whose date has come: claims, and what fleet
// provisioning made and nobody used. They leave no tombstone: no authority would
// let them in again.
func (s *Store) sweepRecords(ctx context.Context, now time.Time) error {
	return s.inBatches(ctx, func(t *tx) (int, error) {
		docs, _, err := t.List(KindCert, Query{Index: IndexExpiry, To: appendTime(nil, now.Add(time.Microsecond)), Limit: sweepBatch, OnlyIDs: true})
		if err != nil {
			return 0, err
		}
		for _, d := range docs {
			account, id := split(KindCert, d.ID)
			c, err := t.anyCertificate(account, id)
			if err != nil {
				return 0, err
			}
			c.outlived = fmt.Sprintf("it was %s at %s, when it expired", c.Status, c.Expires.Format(time.RFC3339))
			if err := t.removeCertificate(c); err != nil {
				return 0, err
			}
		}
		return len(docs), nil
	})
}
