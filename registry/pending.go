package registry

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/muster-mqtt/muster"
)

type pendingKey struct{ account, authority string }

// pendingFigures counts the certificates that are PENDING_ACTIVATION by
// authority, for the cap that admission sets on them. The figures of an account
// are counted from the index once and kept by what updates report.
type pendingFigures struct {
	// mu is held for reading from before an update's closure runs until its
	// figure is added, and for writing while an account is counted: each change
	// is either in the count or added to it, never both.
	mu      sync.RWMutex
	counted map[string]bool // accounts
	figures sync.Map        // pendingKey → *atomic.Int64
}

func (p *pendingFigures) begin() { p.mu.RLock() }
func (p *pendingFigures) end()   { p.mu.RUnlock() }

// apply adds what an update did. It is called between begin and end.
func (p *pendingFigures) apply(changes map[pendingKey]int64) {
	for key, n := range changes {
		if p.counted[key.account] {
			p.add(key, n)
		}
	}
}

func (p *pendingFigures) add(key pendingKey, n int64) {
	figure, ok := p.figures.Load(key)
	if !ok {
		figure, _ = p.figures.LoadOrStore(key, new(atomic.Int64))
	}
	figure.(*atomic.Int64).Add(n)
}

func (p *pendingFigures) figure(key pendingKey) int {
	figure, ok := p.figures.Load(key)
	if !ok {
		return 0
	}
	return int(figure.(*atomic.Int64).Load())
}

// PendingCount returns how many certificates that this authority signed wait
// for activation. It is a figure in memory: registrations under way at the same
// moment are not in it yet. The first call for an account counts it, while
// updates wait.
func (s *Store) PendingCount(ctx context.Context, account, authorityID string) (int, error) {
	p := &s.pending
	p.mu.RLock()
	counted := p.counted[account]
	p.mu.RUnlock()
	if !counted {
		if err := s.countPending(ctx, account); err != nil {
			return 0, err
		}
	}
	return p.figure(pendingKey{account, authorityID}), nil
}

func (s *Store) countPending(ctx context.Context, account string) error {
	p := &s.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counted[account] {
		return nil
	}
	found := map[pendingKey]int64{}
	err := s.engine.View(ctx, func(r Reader) error {
		clear(found)
		q := Query{Index: IndexStatus, Prefix: Key(account, string(muster.PendingActivation)), Limit: maxPage}
		for {
			page, next, err := readPage[struct {
				AuthorityID string `json:"authorityId"`
			}](r, KindCert, q)
			if err != nil {
				return err
			}
			for _, c := range page {
				found[pendingKey{account, c.AuthorityID}]++
			}
			if next == nil {
				return nil
			}
			q.After = next
		}
	})
	if err != nil {
		return err
	}
	for key, n := range found {
		p.add(key, n)
	}
	if p.counted == nil {
		p.counted = map[string]bool{}
	}
	p.counted[account] = true
	return nil
}
