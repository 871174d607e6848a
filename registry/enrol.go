package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/muster-mqtt/muster"
)

// maxFailure bounds ProvisioningFailure, in bytes.
const maxFailure = 1024

// enrolment is an Enrolment with all that its transaction must not make itself.
type enrolment struct {
	muster.Enrolment
	store *Store
	fresh muster.Certificate // the record if there is none yet
	apply *application       // nil: there is nothing to apply
}

// Enrol registers a certificate at its first connect, or runs the template of
// one that is still PENDING_ACTIVATION. It is idempotent: any number of callers
// make one record, and a record that is past PENDING_ACTIVATION is returned as
// it is. The caller has verified that the authority's key signed the
// certificate.
//
// The authority has to be verified, ACTIVE and auto-registering, and no
// tombstone may stand; otherwise nothing is written and the error is ErrState:
// judge again. A template that cannot be applied is no error: nothing of it is
// written but the reason, in ProvisioningFailure, and the record stays
// PENDING_ACTIVATION.
//
// A record that is PENDING_ACTIVATION is not one that the template found: its
// status is set whatever StatusOverride says. A thing that exists is kept as it
// is, and fails the template if another authority's made it, unless its
// Override says otherwise.
func (s *Store) Enrol(ctx context.Context, e muster.Enrolment) (muster.Enrolled, error) {
	job, err := s.prepare(e)
	if err != nil {
		return muster.Enrolled{}, err
	}
	var out muster.Enrolled
	err = s.update(ctx, func(t *tx) error {
		c, err := job.record(t)
		if err != nil {
			return err
		}
		if c.version == 0 || c.Status == muster.PendingActivation {
			err := job.run(t, c)
			if errors.Is(err, muster.ErrExists) { // what run creates it found missing: it is IndexDefault
				return fmt.Errorf("certificate %s: another account has it by now: %w", c.ID, muster.ErrState)
			}
			if err != nil {
				return err
			}
		}
		out = muster.Enrolled{Certificate: c.Certificate, Wrote: len(t.written) > 0}
		return nil
	})
	return out, err
}

func (s *Store) prepare(e muster.Enrolment) (*enrolment, error) {
	cert, err := parsePEM("device certificate", e.PEM)
	if err != nil {
		return nil, err
	}
	now := s.now()
	job := &enrolment{Enrolment: e, store: s}
	job.fresh = muster.Certificate{
		Account:     e.Account,
		ID:          muster.Fingerprint(cert.Raw),
		PEM:         e.PEM,
		Status:      muster.PendingActivation,
		AuthorityID: e.AuthorityID,
		Created:     now,
		Modified:    now,
		Revision:    1,
		Generation:  randomUUID(),
		NotBefore:   cert.NotBefore,
		NotAfter:    cert.NotAfter,
	}
	if e.Registration == nil {
		return job, nil
	}
	job.apply, err = newApplication(e.Account, e.AuthorityID, *e.Registration, now)
	var o *obstacle
	if errors.As(err, &o) {
		job.Failure, err = cmp.Or(job.Failure, o.text), nil
	}
	return job, err
}

// record returns the record of the certificate, or one that is yet to be
// created, after it checked that the authority may register it.
func (e *enrolment) record(t *tx) (*certificateTx, error) {
	id := e.fresh.ID
	c, err := t.certificate(e.Account, id)
	missing := errors.Is(err, muster.ErrNotFound)
	if err != nil && !missing {
		return nil, err
	}
	if !missing && c.Status != muster.PendingActivation {
		return c, nil
	}
	if !missing && c.AuthorityID != e.AuthorityID {
		return nil, fmt.Errorf("certificate %s: registered under authority %q, not %q: %w", id, c.AuthorityID, e.AuthorityID, muster.ErrState)
	}
	a, err := e.store.enroller(t, docID(KindAuthority, e.Account, e.AuthorityID))
	if err != nil && !errors.Is(err, muster.ErrNotFound) {
		return nil, err
	}
	if err != nil || !a.Verified || a.Status != muster.Active || !a.AutoRegistration {
		return nil, fmt.Errorf("certificate %s: authority %s does not register devices by itself (any more): %w", id, e.AuthorityID, muster.ErrState)
	}
	if !missing {
		return c, nil
	}
	buried, err := exists(t, KindTombstone, docID(KindTombstone, e.Account, id))
	if err != nil {
		return nil, err
	}
	if buried {
		return nil, fmt.Errorf("certificate %s: it was deleted and is not to come back by itself: %w", id, muster.ErrState)
	}
	c = &certificateTx{Certificate: e.fresh}
	c.Mode = a.Mode
	return c, nil // its issuer document stands as long as the authority does
}

// enroller is what Enrol has to know of an authority.
type enroller struct {
	Status           muster.Status `json:"status"`
	Mode             muster.Mode   `json:"mode"`
	Verified         bool          `json:"verified"`
	AutoRegistration bool          `json:"autoRegistration"`
}

// enroller reads an authority within a transaction. Every registration does,
// and most of its time would go into the JSON: a text is decoded once. A
// version is written once, so that what is kept for it never grows old.
func (s *Store) enroller(t *tx, id string) (enroller, error) {
	doc, err := t.Get(KindAuthority, id)
	if err != nil {
		return enroller{}, translate(KindAuthority, id, err)
	}
	return s.enrollers.load(id+"@"+strconv.FormatUint(doc.Version, 10), func() (enroller, error) {
		var a enroller
		if err := json.Unmarshal(doc.JSON, &a); err != nil {
			return a, fmt.Errorf("authority %s: damaged document: %w", id, err)
		}
		return a, nil
	})
}

// run applies the template to a record that is pending, or notes why it cannot.
func (e *enrolment) run(t *tx, c *certificateTx) error {
	failure := e.Failure
	if failure == "" && e.apply != nil {
		plan, err := e.apply.plan(t, c)
		var o *obstacle
		switch {
		case err == nil:
			return e.apply.apply(t, c, plan, e.apply.Status)
		case !errors.As(err, &o):
			return err
		}
		failure = o.text
	}
	failure = clip(failure)
	if c.version != 0 && c.ProvisioningFailure == failure {
		return nil
	}
	c.ProvisioningFailure = failure
	return t.putCertificate(c)
}

// clip bounds a reason: it may quote what a device put into its certificate.
func clip(reason string) string {
	if len(reason) > maxFailure {
		reason = reason[:maxFailure-3] + "..."
	}
	return strings.ToValidUTF8(reason, "")
}
