package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/muster-mqtt/muster"
)

// maxMessage is how many characters the message of a transfer may have, and the
// reason of its rejection.
const maxMessage = 128

// TransferCertificate offers a certificate to another account, which accepts or
// rejects it; until then it is PENDING_TRANSFER, admits nobody, and belongs where
// it was. It must not be ACTIVE or REVOKED (ErrState), not be offered already, and
// be attached to nothing (ErrTransfer). The message has at most 128 characters.
//
// Whether the target exists is told last, and whether it has a record of the
// certificate never: that is the target's business, and comes up when it accepts.
func (s *Store) TransferCertificate(ctx context.Context, account, id, target, message string) (muster.Certificate, error) {
	if err := checkOffer(account, target, message); err != nil {
		return muster.Certificate{}, fmt.Errorf("certificate %s: %w", id, err)
	}
	now := s.now()
	var out muster.Certificate
	err := s.update(ctx, func(t *tx) error {
		c, err := t.certificate(account, id)
		if err != nil {
			return err
		}
		if err := checkTransferable(&c.Certificate); err != nil {
			return err
		}
		if err := require(t, KindAccount, target); err != nil {
			return err
		}
		c.become(muster.PendingTransfer, now)
		c.Transfer = muster.Transfer{To: target, Message: message, Offered: now}
		c.why = "offered to account " + target
		out = c.Certificate
		return t.putCertificate(c)
	})
	return out, err
}

func checkOffer(account, target, message string) error {
	if !muster.ValidAccountID(target) {
		return fmt.Errorf("target account %.40q: want 12 digits: %w", target, muster.ErrInvalid)
	}
	if target == account {
		return fmt.Errorf("it belongs to account %s already: %w", target, muster.ErrInvalid)
	}
	return checkMessage("transfer message", message)
}

func checkMessage(what, text string) error {
	if n := utf8.RuneCountInString(text); n > maxMessage || !utf8.ValidString(text) {
		return fmt.Errorf("%s: %d characters, want at most %d of UTF-8: %w", what, n, maxMessage, muster.ErrInvalid)
	}
	return nil
}

func checkTransferable(c *muster.Certificate) error {
	switch {
	case c.Status == muster.Active:
		return fmt.Errorf("certificate %s: it is ACTIVE, set it INACTIVE first: %w", c.ID, muster.ErrState)
	case c.Status == muster.Revoked:
		return fmt.Errorf("certificate %s: it is REVOKED, and that is final: %w", c.ID, muster.ErrState)
	case !c.Expires.IsZero():
		return fmt.Errorf("certificate %s: its device has not provisioned itself yet, and it expires: %w", c.ID, muster.ErrState)
	case c.Status == muster.PendingTransfer:
		return fmt.Errorf("certificate %s: it is offered to account %s already, cancel that first: %w", c.ID, c.Transfer.To, muster.ErrTransfer)
	case len(c.Things) > 0:
		return fmt.Errorf("certificate %s: attached to thing %s, detach it first: %w", c.ID, c.Things[0], muster.ErrTransfer)
	case len(c.Policies) > 0:
		return fmt.Errorf("certificate %s: policy %s is attached, detach it first: %w", c.ID, c.Policies[0], muster.ErrTransfer)
	}
	return nil
}

// AcceptTransfer makes a certificate that was offered to the account its own, in
// one transaction: the record is here, INACTIVE or ACTIVE, and where it was there
// is a tombstone. The issuer document comes with it, with its OCSP settings, unless
// the account has one. A tombstone of the certificate goes.
//
// A transfer that has ended, however, is ErrTransferDone. An account that has a
// record of the certificate already, as those that share an SNI_ONLY authority may,
// has to delete that or reject the transfer (ErrInvalid).
func (s *Store) AcceptTransfer(ctx context.Context, account, id string, active bool) (muster.Certificate, error) {
	now, generation := s.now(), randomUUID()
	var out muster.Certificate
	err := s.update(ctx, func(t *tx) error {
		given, err := t.offered(account, id)
		if err != nil {
			return err
		}
		found, err := exists(t, KindCert, docID(KindCert, account, id))
		if err != nil {
			return err
		}
		if found {
			return fmt.Errorf("certificate %s: account %s has a record of it; delete that first, or reject the transfer: %w", id, account, muster.ErrInvalid)
		}
		taken := &certificateTx{Certificate: given.Certificate, why: "transferred from account " + given.Account}
		taken.become(statusOf(active), now)
		taken.Account, taken.PreviousOwner, taken.Generation = account, given.Account, generation
		taken.Transfer.Accepted = now
		if err := handOver(t, given, account, now); err != nil {
			return err
		}
		out = taken.Certificate
		return t.putCertificate(taken)
	})
	return out, err
}

// handOver takes a certificate out of its account and makes room for it in
// another: what is unique by its fingerprint is free afterwards.
func handOver(t *tx, given *certificateTx, to string, now time.Time) error {
	if err := handOverIssuer(t, given, to); err != nil { // it may go with the record
		return err
	}
	err := t.dropCertificate(given, muster.Event{
		Type: muster.EventTransferred, PreviousStatus: given.was, Detail: "to account " + to,
	})
	if err != nil {
		return err
	}
	if err := t.bury(given, muster.TombstoneTransferred, to, now); err != nil {
		return err
	}
	return dropTombstone(t, to, given.ID)
}

func handOverIssuer(t *tx, given *certificateTx, to string) error {
	if given.AuthorityID == "" {
		return nil
	}
	found, err := exists(t, KindIssuer, docID(KindIssuer, to, given.AuthorityID))
	if err != nil || found {
		return err
	}
	issuer, _, err := read[muster.Issuer](t, KindIssuer, docID(KindIssuer, given.Account, given.AuthorityID))
	if err != nil {
		return err
	}
	issuer.Account = to
	return t.put(0, &issuer)
}

// RejectTransfer gives a certificate that was offered to the account back: it is
// INACTIVE where it was. The reason has at most 128 characters. A transfer that
// has ended, however, is ErrTransferDone.
func (s *Store) RejectTransfer(ctx context.Context, account, id, reason string) error {
	if err := checkMessage("reject reason", reason); err != nil {
		return fmt.Errorf("certificate %s: %w", id, err)
	}
	now := s.now()
	return s.update(ctx, func(t *tx) error {
		c, err := t.offered(account, id)
		if err != nil {
			return err
		}
		c.become(muster.Inactive, now)
		c.Transfer.Rejected, c.Transfer.RejectReason = now, reason
		c.why = "account " + account + " rejected the transfer"
		if reason != "" {
			c.why += ": " + reason
		}
		return t.putCertificate(c)
	})
}

// CancelTransfer takes back what the account offered: it is INACTIVE. A transfer
// that is not under way, or not any more, is ErrTransferDone.
func (s *Store) CancelTransfer(ctx context.Context, account, id string) error {
	now := s.now()
	return s.update(ctx, func(t *tx) error {
		c, err := t.certificate(account, id)
		if errors.Is(err, muster.ErrNotFound) {
			return transferredAway(t, account, id, err)
		}
		if err != nil {
			return err
		}
		if c.Status != muster.PendingTransfer {
			return fmt.Errorf("certificate %s: it is %s and offered to nobody: %w", id, c.Status, muster.ErrTransferDone)
		}
		c.become(muster.Inactive, now)
		c.why = "the transfer was cancelled"
		return t.putCertificate(c)
	})
}

// transferredAway says that a certificate is in another account by now, if it is.
func transferredAway(r Reader, account, id string, missing error) error {
	gone, _, err := read[muster.Tombstone](r, KindTombstone, docID(KindTombstone, account, id))
	switch {
	case errors.Is(err, muster.ErrNotFound):
		return missing
	case err != nil:
		return err
	case gone.Kind == muster.TombstoneTransferred:
		return fmt.Errorf("certificate %s: account %s accepted it: %w", id, gone.To, muster.ErrTransferDone)
	}
	return missing
}

// offered returns the certificate that is offered to an account. It is
// ErrTransferDone if it was, or is the account's own, and else ErrNotFound: what
// other accounts have is not this one's business.
func (t *tx) offered(account, id string) (*certificateTx, error) {
	held, err := all[muster.Certificate](t, KindCert, Query{Prefix: []byte(id + "/")})
	if err != nil {
		return nil, err
	}
	if c, ok := firstOffer(held, account); ok {
		return t.certificate(c.Account, id)
	}
	if slices.ContainsFunc(held, func(c muster.Certificate) bool {
		return c.Account == account && own(&c, t.now) || c.Transfer.To == account
	}) {
		return nil, fmt.Errorf("certificate %s: it is not offered to account %s (any more): %w", id, account, muster.ErrTransferDone)
	}
	return nil, fmt.Errorf("certificate %s: %w", id, muster.ErrNotFound)
}

// firstOffer returns the record that an account is offered. Several accounts may
// offer the same certificate: the one that has it as DEFAULT, for its authority's
// key was shown to it, comes before those that merely know the certificate, and of
// these the earliest offer. Else a stranger who offers it first would take the
// place of the owner.
func firstOffer(held []muster.Certificate, account string) (muster.Certificate, bool) {
	offers := slices.DeleteFunc(slices.Clone(held), func(c muster.Certificate) bool {
		return c.Status != muster.PendingTransfer || c.Transfer.To != account
	})
	if len(offers) == 0 {
		return muster.Certificate{}, false
	}
	return slices.MinFunc(offers, func(a, b muster.Certificate) int {
		return cmp.Or(proof(a)-proof(b), a.Transfer.Offered.Compare(b.Transfer.Offered), cmp.Compare(a.Account, b.Account))
	}), true
}

func proof(c muster.Certificate) int {
	if c.Mode == muster.ModeDefault {
		return 0
	}
	return 1
}

// OfferedCertificate returns the certificate that another account offers to this
// one, as it stands there.
func (s *Store) OfferedCertificate(ctx context.Context, account, id string) (muster.Certificate, error) {
	h, err := s.find(ctx, id)
	if err != nil {
		return muster.Certificate{}, err
	}
	c, ok := firstOffer(h.certificates, account)
	if !ok {
		return muster.Certificate{}, fmt.Errorf("certificate %s: %w", id, muster.ErrNotFound)
	}
	return unshared(c), nil
}

// listWithOffers lists each certificate once, as Certificate or else
// OfferedCertificate has it: what a stranger offers must not stand beside the
// account's own under the same ID, for who acts on the ID acts on that.
func (s *Store) listWithOffers(ctx context.Context, account string, p Page) (found []muster.Certificate, next Cursor, err error) {
	now := s.now()
	err = s.engine.View(ctx, func(r Reader) error {
		q := Query{Index: IndexOwner, Prefix: Key(account), After: p.After, Desc: p.Desc, Limit: min(p.Limit, maxPage)}
		page, more, err := readPage[muster.Certificate](r, KindCert, q)
		if err != nil {
			return err
		}
		found, next = make([]muster.Certificate, 0, len(page)), more
		for _, c := range page {
			shown, err := c.Account == account, error(nil)
			if !shown {
				shown, err = offeredFirst(r, account, &c, now)
			}
			if err != nil {
				return err
			}
			if shown {
				found = append(found, c)
			}
		}
		return nil
	})
	return found, next, err
}

// offeredFirst reports whether an offer is the one that the account sees: it has no
// record of its own, and no offer comes before.
func offeredFirst(r Reader, account string, offer *muster.Certificate, now time.Time) (bool, error) {
	held, err := all[muster.Certificate](r, KindCert, Query{Prefix: []byte(offer.ID + "/")})
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(held, func(c muster.Certificate) bool { return c.Account == account && own(&c, now) }) {
		return false, nil
	}
	first, ok := firstOffer(held, account)
	return ok && first.Account == offer.Account, nil
}

// transfer holds a certificate to the rules of transfers: what is offered has an
// account to go to and is attached to nothing, and what has a previous owner was
// accepted here.
func (c *checker) transfer(what string, d *muster.Certificate) {
	t := d.Transfer
	if d.Status == muster.PendingTransfer {
		c.require(what+", offered to "+t.To, KindAccount, t.To, t.To)
		if t.To == "" || t.To == d.Account || t.Offered.IsZero() || !t.Accepted.IsZero() || !t.Rejected.IsZero() {
			c.breaks("%s: PENDING_TRANSFER, and its transfer is %+v", what, t)
		}
		if len(d.Things)+len(d.Policies) > 0 {
			c.breaks("%s: PENDING_TRANSFER, and attached to things %q and policies %q", what, d.Things, d.Policies)
		}
	}
	if accepted := !t.Accepted.IsZero(); accepted != (t.To == d.Account) || accepted && (d.PreviousOwner == "" || !t.Rejected.IsZero()) {
		c.breaks("%s: it was owned by %q before, and its transfer is %+v", what, d.PreviousOwner, t)
	}
	if d.PreviousOwner == d.Account {
		c.breaks("%s: it was owned by the same account before", what)
	}
}

// tombstone demands that what was transferred says where to.
func (c *checker) tombstone(d *muster.Tombstone) {
	what := c.owned("tombstone "+d.ID, d.Account)
	c.require(what, KindAccount, d.To, d.To)
	switch {
	case d.Kind == muster.TombstoneDeleted && d.To == "":
	case d.Kind == muster.TombstoneTransferred && d.To != "" && d.To != d.Account:
	default:
		c.breaks("%s: kind %q, to account %q", what, d.Kind, d.To)
	}
}
