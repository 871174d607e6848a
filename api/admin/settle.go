package admin

import (
	"context"
	"fmt"
	"slices"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

// MaxNames is how many certificates one request may name.
const MaxNames = 1000

// Names are certificates of an account.
type Names struct {
	OfAccount
	IDs []string `json:"ids"` // or their first digits
}

// ResolveCertificates completes names. One that is wrong fails them all, before
// anything is done to the others.
func (a *Admin) ResolveCertificates(ctx context.Context, in Names) (out Names, err error) {
	if len(in.IDs) > MaxNames {
		return out, fmt.Errorf("%d certificates at once, want at most %d: %w", len(in.IDs), MaxNames, muster.ErrInvalid)
	}
	if out.Account, err = a.account(ctx, in.Account); err != nil {
		return Names{}, err
	}
	for _, name := range in.IDs {
		id, err := a.config.Registry.CertificateID(ctx, out.Account, name)
		if err != nil {
			return Names{}, err
		}
		out.IDs = append(out.IDs, id)
	}
	return out, nil
}

// Settling decides on certificates that are PENDING_ACTIVATION, or that are to be
// revoked: those that IDs names, in full, or some of a selection, the oldest
// first. One call is one transaction; who wants to do more, goes on after Next.
type Settling struct {
	Selection                 // without a Status
	From      []muster.Status `json:"from,omitempty"` // as of registry.Settlement; one alone for a selection
	IDs       []string        `json:"ids,omitempty"`
	Become    muster.Status   `json:"become,omitempty"` // ACTIVE, INACTIVE or REVOKED
	Delete    bool            `json:"delete,omitempty"` // instead of Become: the record is deleted
	Policies  []string        `json:"policies,omitempty"`
	DryRun    bool            `json:"dryRun,omitempty"`
	After     registry.Cursor `json:"after,omitempty"`
	Limit     int             `json:"limit,omitempty"` // 0: as many as a transaction takes
}

// Settled is what became of one certificate: its record as it is now.
type Settled struct {
	Record
	Outcome registry.Outcome `json:"outcome"`
	Detail  string           `json:"detail,omitempty"`
	DryRun  bool             `json:"dryRun,omitempty"`
}

// Settlement is what one call did.
type Settlement struct {
	Settled []Settled       `json:"settled"`
	Next    registry.Cursor `json:"next,omitempty"` // nil: the selection has no more
}

// SettleCertificates decides as it is told. What is in another state by then is
// skipped, or has failed if it was named and is not as it was meant to be.
func (a *Admin) SettleCertificates(ctx context.Context, in Settling) (out Settlement, err error) {
	if in.Status != "" || in.Limit < 0 || in.IDs == nil && len(in.From) > 1 {
		return out, fmt.Errorf("status %q, from %q, limit %d: a selection is settled from one state, and a part of it: %w",
			in.Status, in.From, in.Limit, muster.ErrInvalid)
	}
	f, err := a.filter(ctx, in.Selection)
	if err != nil {
		return out, err
	}
	ids := in.IDs
	if ids == nil { // an empty list names nothing, and not everything
		f.Status = muster.PendingActivation
		if len(in.From) > 0 {
			f.Status = in.From[0]
		}
		p := registry.Page{After: in.After, Limit: registry.MaxSettle}
		if in.Limit > 0 {
			p.Limit = min(in.Limit, p.Limit)
		}
		var page []muster.Certificate
		if page, out.Next, err = a.config.Registry.SelectCertificates(ctx, f, p); err != nil {
			return out, err
		}
		for _, c := range page {
			ids = append(ids, c.ID)
		}
	}
	settled, err := a.config.Registry.Settle(ctx, f.Account, ids,
		registry.Settlement{Status: in.Become, Delete: in.Delete, Policies: in.Policies, From: in.From, DryRun: in.DryRun})
	if err != nil {
		return Settlement{}, err
	}
	out.Settled, err = a.tellSettled(ctx, f.Account, in, settled)
	return out, err
}

func (a *Admin) tellSettled(ctx context.Context, account string, in Settling, settled []registry.Settled) ([]Settled, error) {
	records := a.recorder()
	out := make([]Settled, len(settled))
	for i, s := range settled {
		out[i] = Settled{Record: Record{Account: account, ID: s.ID}, Outcome: s.Outcome, Detail: s.Detail, DryRun: in.DryRun}
		if in.IDs != nil && s.Outcome == registry.OutcomeSkipped && !in.reached(s.Certificate) {
			out[i].Outcome = registry.OutcomeFailed
		}
		if s.Certificate.ID == "" {
			continue
		}
		var err error
		if out[i].Record, err = records.record(ctx, s.Certificate); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// reached says that a certificate is already as it is meant to be.
func (in *Settling) reached(c muster.Certificate) bool {
	return c.Status == in.Become && !slices.ContainsFunc(in.Policies, func(name string) bool {
		return !slices.Contains(c.Policies, name)
	})
}
