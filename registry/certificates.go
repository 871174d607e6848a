package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/muster-mqtt/muster"
)

// tombstoneGrace is how long a tombstone outlasts its certificate. A clock that
// admission lets be off must not let a deleted certificate in for the last time.
const tombstoneGrace = 24 * time.Hour

// holders is what all accounts hold of one fingerprint.
type holders struct {
	certificates []muster.Certificate
	tombstones   []muster.Tombstone
}

// Find returns the records and tombstones of this fingerprint in every account,
// claims among them and what has expired and is not swept yet.
func (s *Store) Find(ctx context.Context, id string) ([]muster.Certificate, []muster.Tombstone, error) {
	h, err := s.find(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	certificates := slices.Clone(h.certificates)
	for i := range certificates {
		certificates[i] = unshared(certificates[i])
	}
	return certificates, slices.Clone(h.tombstones), nil
}

// find returns what others read too.
func (s *Store) find(ctx context.Context, id string) (holders, error) {
	return s.holders.load(id, func() (h holders, err error) {
		accounts, err := s.sharedAccounts(ctx)
		if err != nil {
			return h, err
		}
		err = s.engine.View(ctx, func(r Reader) (err error) {
			if len(accounts) > fewAccounts {
				h, err = listHolders(r, id)
			} else {
				h, err = getHolders(r, accounts, id)
			}
			return err
		})
		return h, err
	})
}

// fewAccounts is how many accounts are asked one by one: that many documents
// are read faster than one list is begun.
const fewAccounts = 8

func getHolders(r Reader, accounts []muster.Account, id string) (h holders, err error) {
	for _, a := range accounts {
		if h.certificates, err = appendFound(h.certificates, r, KindCert, docID(KindCert, a.ID, id)); err != nil {
			return h, err
		}
		if h.tombstones, err = appendFound(h.tombstones, r, KindTombstone, docID(KindTombstone, a.ID, id)); err != nil {
			return h, err
		}
	}
	return h, nil
}

func appendFound[T any](found []T, r Reader, k Kind, id string) ([]T, error) {
	v, _, err := read[T](r, k, id)
	if errors.Is(err, muster.ErrNotFound) {
		return found, nil
	}
	return append(found, v), err
}

func listHolders(r Reader, id string) (h holders, err error) {
	q := Query{Prefix: []byte(id + "/")}
	if h.certificates, err = all[muster.Certificate](r, KindCert, q); err != nil {
		return h, err
	}
	h.tombstones, err = all[muster.Tombstone](r, KindTombstone, q)
	return h, err
}

func unshared(c muster.Certificate) muster.Certificate {
	c.Things, c.Policies = slices.Clone(c.Things), slices.Clone(c.Policies)
	return c
}

// Certificate returns a certificate of the account. A claim, and one that has
// expired, is ErrNotFound.
func (s *Store) Certificate(ctx context.Context, account, id string) (muster.Certificate, error) {
	c, err := s.current(ctx, account, id)
	if err == nil && c.Claim != "" {
		return muster.Certificate{}, fmt.Errorf("certificate %s: %w", id, muster.ErrNotFound)
	}
	return c, err
}

// ListCertificates lists the account's certificates in the order of their
// registration, and among them, as OfferedCertificate has them, those that others
// offer to it. A page may be short.
func (s *Store) ListCertificates(ctx context.Context, account string, p Page) ([]muster.Certificate, Cursor, error) {
	return s.listWithOffers(ctx, account, p)
}

// ListCertificatesByAuthority lists those that the authority signed, in the
// order of their registration. The authority may be gone.
func (s *Store) ListCertificatesByAuthority(ctx context.Context, account, authorityID string, p Page) ([]muster.Certificate, Cursor, error) {
	return list[muster.Certificate](ctx, s, KindCert, IndexAuthority, Key(account, authorityID), p)
}

// ListCertificatesByStatus lists those of one status, in the order of their
// registration.
func (s *Store) ListCertificatesByStatus(ctx context.Context, account string, status muster.Status, p Page) ([]muster.Certificate, Cursor, error) {
	return list[muster.Certificate](ctx, s, KindCert, IndexStatus, Key(account, string(status)), p)
}

// CertificateFilter selects certificates of an account. The zero value of each
// other field lets all pass.
type CertificateFilter struct {
	Account     string
	AuthorityID string // that signed it; it may be gone
	Status      muster.Status
	From, To    time.Time // registered not before From, and before To
}

// query is the one index that holds what passes, and nothing else.
func (f CertificateFilter) query() Query {
	parts := []string{f.Account}
	q := Query{Index: IndexOwner}
	switch {
	case f.AuthorityID != "" && f.Status != "":
		q.Index, parts = IndexSigned, append(parts, f.AuthorityID, string(f.Status))
	case f.AuthorityID != "":
		q.Index, parts = IndexAuthority, append(parts, f.AuthorityID)
	case f.Status != "":
		q.Index, parts = IndexStatus, append(parts, string(f.Status))
	}
	q.Prefix = Key(parts...)
	if !f.From.IsZero() {
		q.From = appendTime(Key(parts...), f.From)
	}
	if !f.To.IsZero() {
		q.To = appendTime(Key(parts...), f.To)
	}
	return q
}

// SelectCertificates lists what passes a filter, in the order of registration,
// whatever else the account has. What is offered to it is not its own and does not
// pass.
func (s *Store) SelectCertificates(ctx context.Context, f CertificateFilter, p Page) (found []muster.Certificate, next Cursor, err error) {
	limit := min(cmp.Or(max(p.Limit, 0), defaultPage), maxPage)
	err = s.engine.View(ctx, func(r Reader) error {
		q := f.query()
		q.After, q.Desc = p.After, p.Desc
		for found = nil; ; q.After = next {
			q.Limit = limit - len(found)
			page, more, err := readPage[muster.Certificate](r, KindCert, q)
			if err != nil {
				return err
			}
			own := slices.DeleteFunc(page, func(c muster.Certificate) bool { return c.Account != f.Account })
			found, next = append(found, own...), more
			if next == nil || len(found) == limit {
				return nil
			}
		}
	})
	return found, next, err
}

// CountCertificates returns how many pass a filter.
func (s *Store) CountCertificates(ctx context.Context, f CertificateFilter) (n int, err error) {
	err = s.engine.View(ctx, func(r Reader) error {
		q := f.query()
		q.Limit = maxPage
		for n = 0; ; {
			docs, next, err := r.List(KindCert, q)
			n += count(docs, func(d Doc) bool { account, _ := split(KindCert, d.ID); return account == f.Account })
			if err != nil || next == nil {
				return err
			}
			q.After = next
		}
	})
	return n, err
}

// registerInactive is a status of AWS's API that is out of use: it stood for what
// is INACTIVE.
const registerInactive muster.Status = "REGISTER_INACTIVE"

// UpdateCertificateStatus sets ACTIVE, INACTIVE or REVOKED. REVOKED stays, and
// nothing leaves PENDING_TRANSFER this way. To set the present status again
// succeeds and changes nothing.
func (s *Store) UpdateCertificateStatus(ctx context.Context, account, id string, status muster.Status) (muster.Certificate, error) {
	switch status {
	case muster.Active, muster.Inactive, muster.Revoked:
	case muster.PendingActivation, muster.PendingTransfer, registerInactive:
		return muster.Certificate{}, fmt.Errorf("certificate %s: %s cannot be set: %w", id, status, muster.ErrState)
	default:
		return muster.Certificate{}, fmt.Errorf("certificate %s: status %q: want ACTIVE, INACTIVE or REVOKED: %w", id, status, muster.ErrInvalid)
	}
	return s.setStatus(ctx, account, id, status, func(from muster.Status) error {
		switch from {
		case muster.Revoked:
			return fmt.Errorf("certificate %s: it is REVOKED and cannot become %s, give the device another certificate: %w", id, status, muster.ErrState)
		case muster.PendingTransfer:
			return fmt.Errorf("certificate %s: it is PENDING_TRANSFER and cannot become %s; cancel the transfer first: %w", id, status, muster.ErrState)
		}
		return nil
	})
}

// Revoke sets REVOKED whatever the status is: the issuer said so. A transfer that
// was under way has ended by that.
func (s *Store) Revoke(ctx context.Context, account, id string) error {
	_, err := s.setStatus(ctx, account, id, muster.Revoked, func(muster.Status) error { return nil })
	return err
}

func (s *Store) setStatus(ctx context.Context, account, id string, status muster.Status, check func(from muster.Status) error) (muster.Certificate, error) {
	now := s.now()
	var out muster.Certificate
	err := s.update(ctx, func(t *tx) error {
		c, err := t.certificate(account, id)
		if err != nil {
			return err
		}
		if c.Status != status {
			if err := check(c.Status); err != nil {
				return err
			}
			c.become(status, now)
			if err := t.putCertificate(c); err != nil {
				return err
			}
		}
		out = c.Certificate
		return nil
	})
	return out, err
}

// certificateTx is a certificate within a transaction.
type certificateTx struct {
	muster.Certificate
	version uint64        // 0: to be created
	was     muster.Status // as stored
	failed  string        // ProvisioningFailure as stored

	provisioned bool   // a template sets what is put
	thing       string // that the template made or found; "" for none
	outlived    string // why it is deleted without being asked
	why         string // in one phrase, where the new status or account does not say it
}

func (c *certificateTx) become(status muster.Status, now time.Time) {
	c.Status = status
	c.Modified = now
	c.Revision++
	c.ProvisioningFailure = "" // what an operator decided needs no template
}

// certificate returns what the account may use and change: no claim, and nothing
// that has expired.
func (t *tx) certificate(account, id string) (*certificateTx, error) {
	c, err := t.anyCertificate(account, id)
	if err == nil && !own(&c.Certificate, t.now) {
		return &certificateTx{}, fmt.Errorf("certificate %s: %w", id, muster.ErrNotFound)
	}
	return c, err
}

func (t *tx) anyCertificate(account, id string) (*certificateTx, error) {
	c, version, err := read[muster.Certificate](t, KindCert, docID(KindCert, account, id))
	return &certificateTx{Certificate: c, version: version, was: c.Status, failed: c.ProvisioningFailure}, err
}

// putCertificate writes a certificate. What is offered to another account stays
// attached to nothing: names of things and policies mean nothing there.
func (t *tx) putCertificate(c *certificateTx) error {
	if c.Status == muster.PendingTransfer && len(c.Things)+len(c.Policies) > 0 {
		return fmt.Errorf("certificate %s: it is PENDING_TRANSFER and nothing can be attached to it, cancel the transfer first: %w", c.ID, muster.ErrInvalid)
	}
	c.settle()
	t.count(&c.Certificate, c.was, c.Status)
	t.tell(c)
	return t.put(c.version, &c.Certificate)
}

func (t *tx) removeCertificate(c *certificateTx) error {
	return t.dropCertificate(c, muster.Event{Type: muster.EventDeleted, PreviousStatus: c.was, Detail: c.outlived})
}

// dropCertificate removes a record, of which the event tells.
func (t *tx) dropCertificate(c *certificateTx, told muster.Event) error {
	t.count(&c.Certificate, c.was, "")
	t.note(c, told)
	if err := t.remove(KindCert, docID(KindCert, c.Account, c.ID)); err != nil {
		return err
	}
	return dropIssuer(t, c.Account, c.AuthorityID)
}

// count notes what a change of status does to the figures: of all certificates,
// and of those of the authority that wait.
func (t *tx) count(c *muster.Certificate, from, to muster.Status) {
	if c.Claim != "" { // as IndexStatus, from which they are counted
		return
	}
	t.status.add(from, -1)
	t.status.add(to, 1)
	var n int64
	if from == muster.PendingActivation {
		n--
	}
	if to == muster.PendingActivation {
		n++
	}
	if n == 0 {
		return
	}
	if t.pending == nil {
		t.pending = map[pendingKey]int64{}
	}
	t.pending[pendingKey{c.Account, c.AuthorityID}] += n
}

// DeleteCertificate deletes a certificate that is neither ACTIVE nor offered to
// another account (ErrState) and is attached to no thing (ErrInUse). Attached
// policies are in the way too, unless force detaches them. A tombstone keeps the
// device from coming back by itself, except for one that was PENDING_ACTIVATION:
// it may start afresh.
func (s *Store) DeleteCertificate(ctx context.Context, account, id string, force bool) error {
	now := s.now()
	return s.update(ctx, func(t *tx) error {
		c, err := t.certificate(account, id)
		if err != nil {
			return err
		}
		switch {
		case c.Status == muster.Active:
			return fmt.Errorf("certificate %s: it is ACTIVE, set it INACTIVE or REVOKED first: %w", id, muster.ErrState)
		case c.Status == muster.PendingTransfer:
			return fmt.Errorf("certificate %s: it is PENDING_TRANSFER, cancel the transfer first: %w", id, muster.ErrState)
		case len(c.Things) > 0:
			return fmt.Errorf("certificate %s: attached to thing %s, detach it first: %w", id, c.Things[0], muster.ErrInUse)
		case len(c.Policies) > 0 && !force:
			return fmt.Errorf("certificate %s: policy %s is attached, detach it first: %w", id, c.Policies[0], muster.ErrInUse)
		}
		if err := t.removeCertificate(c); err != nil {
			return err
		}
		if c.Status == muster.PendingActivation {
			return nil
		}
		return t.bury(c, muster.TombstoneDeleted, "", now)
	})
}

// bury leaves a tombstone of a record that is gone, unless it could not stand any
// more. to is the account that has the certificate now.
func (t *tx) bury(c *certificateTx, kind muster.TombstoneKind, to string, now time.Time) error {
	if now.After(c.NotAfter.Add(tombstoneGrace)) {
		return nil
	}
	return t.put(0, &muster.Tombstone{
		Account: c.Account, ID: c.ID, Mode: c.Mode, Kind: kind, To: to, Created: now, NotAfter: c.NotAfter,
	})
}

// ForgetCertificate removes the tombstone of a deleted or transferred
// certificate, so that its next connect may register it again. While another
// account alone may have the certificate that could not be (ErrState).
func (s *Store) ForgetCertificate(ctx context.Context, account, id string) error {
	return s.update(ctx, func(t *tx) error {
		key := docID(KindTombstone, account, id)
		if err := require(t, KindTombstone, key); err != nil {
			return err
		}
		elsewhere, err := holder(t, KindCert, IndexDefault, []byte(id))
		if err != nil {
			return err
		}
		if elsewhere != "" {
			return fmt.Errorf("certificate %s: another account has it, and no second one may: %w", id, muster.ErrState)
		}
		return t.remove(KindTombstone, key)
	})
}
