package registry

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/muster-mqtt/muster"
)

// statuses returns the status of every certificate and authority there can be.
func statuses() [5]muster.Status {
	return [...]muster.Status{
		muster.Active, muster.Inactive, muster.Revoked, muster.PendingTransfer, muster.PendingActivation,
	}
}

// byStatus holds a figure for each of statuses.
type byStatus [5]int64

func (n *byStatus) add(status muster.Status, change int64) {
	known := statuses()
	if i := slices.Index(known[:], status); i >= 0 { // none before a record is written and after it is gone
		n[i] += change
	}
}

// certificateFigures counts the certificates of all accounts by status: once
// from the index, and from then on by what updates report.
type certificateFigures struct {
	// kept says that updates add what they do. It is set and read under
	// pendingFigures.mu, which update holds for reading all along: each change is
	// either in the state that is counted or added, never both.
	kept    bool
	counted atomic.Bool
	figures [len(byStatus{})]atomic.Int64
}

func (c *certificateFigures) add(n byStatus) {
	for i, change := range n {
		if change != 0 {
			c.figures[i].Add(change)
		}
	}
}

// CertificateFigures returns how many certificates of all accounts have each
// status; false until Run has counted them, which takes about a second for a
// million.
func (s *Store) CertificateFigures() (map[muster.Status]int, bool) {
	c := &s.certificates
	if !c.counted.Load() {
		return nil, false
	}
	figures := make(map[muster.Status]int, len(c.figures))
	for i, status := range statuses() {
		figures[status] = int(c.figures[i].Load())
	}
	return figures, true
}

// countCertificates counts in one state, while updates go on: they wait only
// until that state is chosen.
func (s *Store) countCertificates(ctx context.Context) error {
	c := &s.certificates
	s.pending.mu.Lock()
	choose := sync.OnceFunc(s.pending.mu.Unlock)
	defer choose()
	return s.engine.View(ctx, func(r Reader) error {
		r.Seq() // an engine chooses the state no later than now
		if c.kept {
			return nil
		}
		c.kept = true
		choose()
		n, err := countStatuses(r)
		if err == nil {
			c.add(n)
			c.counted.Store(true)
		}
		return err
	})
}

// countStatuses walks the keys of the index, and reads no certificate.
func countStatuses(r Reader) (n byStatus, err error) {
	accounts, err := all[muster.Account](r, KindAccount, Query{})
	if err != nil {
		return n, err
	}
	for _, a := range accounts {
		for _, status := range statuses() {
			q := Query{Index: IndexStatus, Prefix: Key(a.ID, string(status)), Limit: maxPage, OnlyIDs: true}
			for more := true; more; more = q.After != nil {
				docs, next, err := r.List(KindCert, q)
				if err != nil {
					return n, err
				}
				n.add(status, int64(len(docs)))
				q.After = next
			}
		}
	}
	return n, nil
}

// authorityFigures counts the authorities by status when it is asked after one
// was written: they are few and change seldom.
type authorityFigures struct {
	written atomic.Uint64 // goes up when one was

	mu      sync.Mutex // held while they are counted
	counted bool
	at      uint64 // what written was before that
	figures map[muster.Status]int
}

// AuthorityFigures returns how many authorities of all accounts have each
// status. The map is not to be changed.
func (s *Store) AuthorityFigures(ctx context.Context) (map[muster.Status]int, error) {
	a := &s.authorityFigures
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.written.Load()
	if a.counted && a.at == at {
		return a.figures, nil
	}
	figures := map[muster.Status]int{muster.Active: 0, muster.Inactive: 0}
	err := s.engine.View(ctx, func(r Reader) error {
		q := Query{Limit: maxPage}
		for more := true; more; more = q.After != nil {
			page, next, err := readPage[struct{ Status muster.Status }](r, KindAuthority, q)
			if err != nil {
				return err
			}
			for _, authority := range page {
				figures[authority.Status]++
			}
			q.After = next
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	a.counted, a.at, a.figures = true, at, figures
	return figures, nil
}

// PendingHighest returns the largest of the figures that PendingCount keeps: of
// the accounts that it was asked about.
func (s *Store) PendingHighest() int {
	var highest int64
	s.pending.figures.Range(func(_, figure any) bool {
		highest = max(highest, figure.(*atomic.Int64).Load())
		return true
	})
	return int(highest)
}

// Beat returns when the engine's writer has taken a turn, or ctx ends: who calls
// it from time to time knows that the writer does not hang. That it writes no
// more is no failure here, for Err tells that.
func (s *Store) Beat(ctx context.Context) error {
	err := s.engine.Update(ctx, func(Tx) error { return nil })
	if s.engine.Err() != nil {
		return nil
	}
	return err
}
