package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/muster-mqtt/muster"
)

// MaxSettle is how many certificates one Settle decides on: few enough
// that registrations behind it do not wait noticeably. Who has more, loops.
const MaxSettle = 50

// Settlement is what becomes of certificates that wait for activation, or of
// those in other states that are revoked.
type Settlement struct {
	Status muster.Status // Active, Inactive or Revoked
	// Delete, instead of a Status, deletes the record, so that the device starts
	// afresh at its next connect.
	Delete bool
	// Policies are attached in the transaction that activates: no device is let
	// in without what it was approved with. Only with Active.
	Policies []string
	// From are the states that are decided on: Active, Inactive and
	// PendingActivation. nil is PendingActivation; others only for Revoked.
	From   []muster.Status
	DryRun bool // judge, and write nothing
}

// Outcome is what Settle did to one certificate.
type Outcome string

// The outcomes.
const (
	OutcomeDone    Outcome = "done"
	OutcomeSkipped Outcome = "skipped" // it is in none of the states (any more)
	OutcomeFailed  Outcome = "failed"  // it is as it was
)

// Settled tells what became of one certificate.
type Settled struct {
	ID      string
	Outcome Outcome
	Detail  string // why it is not done; "" if it is
	// Certificate is the record as it is now; as it was, if it was deleted; the
	// zero value if there is none.
	Certificate muster.Certificate
}

// Settle decides on certificates that are PENDING_ACTIVATION, or in the states
// that the settlement names, at most MaxSettle, in one transaction, or several if they are larger than one takes.
// Each is judged within it: what is in another state by then, because its
// device, an operator or its issuer was faster, is skipped and stays as it is. A
// policy that does not exist is ErrNotFound, and nothing is written.
func (s *Store) Settle(ctx context.Context, account string, ids []string, how Settlement) ([]Settled, error) {
	if len(ids) > MaxSettle {
		return nil, fmt.Errorf("%d certificates at once, want at most %d: %w", len(ids), MaxSettle, muster.ErrInvalid)
	}
	if err := checkSettlement(&how); err != nil {
		return nil, err
	}
	j := &settling{Settlement: how, account: account, now: s.now()}
	if how.DryRun {
		err := s.engine.View(ctx, func(r Reader) error { return j.judge(r, ids, nil) })
		return j.settled, err
	}
	err := s.update(ctx, func(t *tx) error { return j.judge(t, ids, t) })
	if !errors.Is(err, ErrTooLarge) || len(ids) < 2 {
		return j.settled, err
	}
	first, err := s.Settle(ctx, account, ids[:len(ids)/2], how)
	if err != nil {
		return first, err
	}
	rest, err := s.Settle(ctx, account, ids[len(ids)/2:], how)
	return append(first, rest...), err
}

func checkSettlement(how *Settlement) error {
	switch status := how.Status; {
	case how.Delete && status != "":
		return fmt.Errorf("status %s: what is deleted has none: %w", status, muster.ErrInvalid)
	case !how.Delete && status != muster.Active && status != muster.Inactive && status != muster.Revoked:
		return fmt.Errorf("status %q: want ACTIVE, INACTIVE or REVOKED: %w", status, muster.ErrInvalid)
	case status != muster.Active && len(how.Policies) > 0:
		return fmt.Errorf("policies are attached to what is activated only: %w", muster.ErrInvalid)
	}
	if how.From == nil {
		how.From = []muster.Status{muster.PendingActivation}
	}
	for _, from := range how.From {
		switch {
		case from == muster.PendingActivation:
		case how.Status != muster.Revoked:
			return fmt.Errorf("status %s is to be settled: what does not wait can be revoked only: %w", from, muster.ErrInvalid)
		case from != muster.Active && from != muster.Inactive:
			return fmt.Errorf("status %q is to be settled: want ACTIVE, INACTIVE or PENDING_ACTIVATION: %w", from, muster.ErrInvalid)
		}
	}
	how.Policies = sortedNames(how.Policies)
	if n := len(how.Policies); n > maxPolicies {
		return fmt.Errorf("%d policies, want at most %d: %w", n, maxPolicies, muster.ErrLimit)
	}
	return nil
}

// settling is one run of Settle.
type settling struct {
	Settlement
	account string
	now     time.Time
	settled []Settled
}

// judge decides on each certificate. t is nil in a dry run. It may run again.
func (j *settling) judge(r Reader, ids []string, t *tx) error {
	j.settled = make([]Settled, 0, len(ids))
	for _, name := range j.Policies {
		if err := require(r, KindPolicy, docID(KindPolicy, j.account, name)); err != nil {
			return fmt.Errorf("account %s: %w; create it first", j.account, err)
		}
	}
	for _, id := range ids {
		c, version, err := read[muster.Certificate](r, KindCert, docID(KindCert, j.account, id))
		if errors.Is(err, muster.ErrNotFound) || err == nil && !own(&c, j.now) {
			j.tell(id, OutcomeSkipped, "it is not registered (any more)", muster.Certificate{})
			continue
		}
		if err != nil {
			return err
		}
		if err := j.decide(&certificateTx{Certificate: c, version: version, was: c.Status}, t); err != nil {
			return err
		}
	}
	return nil
}

func (j *settling) tell(id string, o Outcome, detail string, c muster.Certificate) {
	j.settled = append(j.settled, Settled{ID: id, Outcome: o, Detail: detail, Certificate: c})
}

func (j *settling) decide(c *certificateTx, t *tx) error {
	if !slices.Contains(j.From, c.Status) {
		detail := fmt.Sprintf("it is %s", c.Status)
		if len(j.From) == 1 && j.From[0] == muster.PendingActivation {
			detail += " and does not wait"
		}
		j.tell(c.ID, OutcomeSkipped, detail, c.Certificate)
		return nil
	}
	policies := sortedNames(slices.Concat(c.Policies, j.Policies))
	if n := len(policies); n > maxPolicies {
		j.tell(c.ID, OutcomeFailed, fmt.Sprintf("%d policies would be attached to it, at most %d may", n, maxPolicies), c.Certificate)
		return nil
	}
	if j.Delete {
		j.tell(c.ID, OutcomeDone, "", c.Certificate)
		if t == nil {
			return nil
		}
		return t.removeCertificate(c)
	}
	c.become(j.Status, j.now)
	c.Policies = policies
	j.tell(c.ID, OutcomeDone, "", c.Certificate)
	if t == nil {
		return nil
	}
	return t.putCertificate(c)
}

// The candidates of an abbreviation.
const (
	minAbbreviation = 8
	maxCandidates   = 10 // that an error names
)

// CertificateID returns the ID of the one certificate or tombstone of the
// account that begins so: at least eight hex digits, of either case. It is
// ErrNotFound if there is none, ErrAmbiguous if there are several, which it names.
func (s *Store) CertificateID(ctx context.Context, account, abbreviation string) (string, error) {
	return s.complete(ctx, account, abbreviation, KindCert, KindTombstone)
}

// AuthorityID is CertificateID for authorities, and for those that are gone
// while a certificate names them.
func (s *Store) AuthorityID(ctx context.Context, account, abbreviation string) (string, error) {
	return s.complete(ctx, account, abbreviation, KindAuthority, KindIssuer)
}

func (s *Store) complete(ctx context.Context, account, abbreviation string, kinds ...Kind) (string, error) {
	what, prefix := noun(kinds[0]), strings.ToLower(abbreviation)
	switch {
	case strings.Trim(prefix, "0123456789abcdef") != "" || len(prefix) > 64:
		return "", fmt.Errorf("%s %.80q: an ID has 64 hex digits: %w", what, abbreviation, muster.ErrInvalid)
	case len(prefix) < minAbbreviation:
		return "", fmt.Errorf("%s %q: too short for an ID, give at least %d hex digits: %w", what, abbreviation, minAbbreviation, muster.ErrInvalid)
	}
	var found []string
	err := s.engine.View(ctx, func(r Reader) error {
		found = nil
		for _, k := range kinds {
			if err := candidates(r, k, account, prefix, &found); err != nil {
				return err
			}
		}
		return nil
	})
	found = sortedNames(found)
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("%s %s: account %s has none that begins so: %w", what, prefix, account, muster.ErrNotFound)
	case len(found) > 1:
		return "", fmt.Errorf("%s %s: it may be %s: %w", what, prefix, strings.Join(found[:min(len(found), maxCandidates)], ", "), muster.ErrAmbiguous)
	}
	return found[0], nil
}

// candidates adds the account's documents whose fingerprint begins so, until
// there are more than an error names.
func candidates(r Reader, k Kind, account, prefix string, found *[]string) error {
	for q := (Query{Prefix: []byte(prefix)}); ; {
		docs, next, err := r.List(k, q)
		if err != nil {
			return err
		}
		for _, d := range docs {
			if owner, id := split(k, d.ID); owner == account {
				*found = append(*found, id)
			}
		}
		if next == nil || len(*found) > maxCandidates {
			return nil
		}
		q.After = next
	}
}
