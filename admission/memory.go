package admission

import (
	"cmp"
	"container/list"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
)

// RefusalStore keeps refusals over restarts.
type RefusalStore interface {
	Refusals(ctx context.Context) ([]muster.Refusal, error)
	// SaveRefusals puts some and drops others in one transaction.
	SaveRefusals(ctx context.Context, put, drop []muster.Refusal) error
}

// Bounds of what is remembered. A refusal is about 1.5 KB.
const (
	ringSize  = 1000 // refusals an authority, and of all strangers together
	flushSize = 400  // refusals one transaction stores
	flushTime = 10 * time.Second
)

// Memory remembers the latest refusal of each certificate: a ring for each
// authority, so that a storm under one does not push out the others, and one
// for strangers, whose number nobody bounds and who are never stored.
type Memory struct {
	store RefusalStore
	log   zerolog.Logger

	mu    sync.Mutex
	rings map[ringKey]*ring
	dirty map[refusalKey]bool // to be put; false: to be dropped
	gone  map[refusalKey]muster.Refusal
}

type ringKey struct{ account, authority string }

type refusalKey struct {
	ringKey
	certificate string
}

type ring struct {
	order   *list.List // of muster.Refusal, the latest first
	entries map[string]*list.Element
}

// NewMemory makes an empty memory. store may be nil: then nothing outlives the
// process.
func NewMemory(store RefusalStore, log zerolog.Logger) *Memory {
	return &Memory{
		store: store, log: log, rings: map[ringKey]*ring{},
		dirty: map[refusalKey]bool{}, gone: map[refusalKey]muster.Refusal{},
	}
}

// Load brings back what was stored.
func (m *Memory) Load(ctx context.Context) error {
	if m.store == nil {
		return nil
	}
	stored, err := m.store.Refusals(ctx)
	if err != nil {
		return fmt.Errorf("reading the remembered refusals: %w", err)
	}
	slices.SortFunc(stored, func(a, b muster.Refusal) int { return a.Time.Compare(b.Time) })
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range stored {
		m.put(r)
	}
	clear(m.dirty)
	return nil
}

// Run stores what is new every ten seconds, and once more when ctx ends. What
// cannot be stored is logged and given up: it stays in memory, and the
// registry's own health says that something is wrong.
func (m *Memory) Run(ctx context.Context) {
	tick := time.NewTicker(flushTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
			m.flush(last)
			cancel()
			return
		case <-tick.C:
			m.flush(ctx)
		}
	}
}

func (m *Memory) flush(ctx context.Context) {
	if err := m.Flush(ctx); err != nil {
		m.log.Error().Err(err).Msg("refusals were not stored")
	}
}

// Flush stores what is new, at most flushSize refusals.
func (m *Memory) Flush(ctx context.Context) error {
	if m.store == nil {
		return nil
	}
	put, drop := m.takeDirty()
	if len(put)+len(drop) == 0 {
		return nil
	}
	if err := m.store.SaveRefusals(ctx, put, drop); err != nil {
		return fmt.Errorf("storing %d refusals: %w", len(put), err)
	}
	return nil
}

func (m *Memory) takeDirty() (put, drop []muster.Refusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, present := range m.dirty {
		if len(put)+len(drop) == flushSize {
			break
		}
		if present {
			if r, ok := m.rings[k.ringKey]; ok {
				if e, ok := r.entries[k.certificate]; ok {
					put = append(put, e.Value.(muster.Refusal))
				}
			}
		} else {
			drop = append(drop, m.gone[k])
			delete(m.gone, k)
		}
		delete(m.dirty, k)
	}
	return put, drop
}

// Remember adds one refusal.
func (m *Memory) Remember(r muster.Refusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(r)
}

func (m *Memory) put(r muster.Refusal) {
	key := ringKey{r.Account, r.AuthorityID}
	rg, ok := m.rings[key]
	if !ok {
		rg = &ring{order: list.New(), entries: map[string]*list.Element{}}
		m.rings[key] = rg
	}
	if e, ok := rg.entries[r.CertificateID]; ok {
		if last := e.Value.(muster.Refusal); last.Reason == r.Reason {
			r.First, r.Count = last.First, last.Count+r.Count
		}
		e.Value = r
		rg.order.MoveToFront(e)
	} else {
		rg.entries[r.CertificateID] = rg.order.PushFront(r)
	}
	m.mark(key, r, true)
	if rg.order.Len() > ringSize {
		oldest := rg.order.Remove(rg.order.Back()).(muster.Refusal)
		delete(rg.entries, oldest.CertificateID)
		m.mark(key, oldest, false)
	}
}

// mark notes what the next flush has to do. Strangers are not stored.
func (m *Memory) mark(key ringKey, r muster.Refusal, present bool) {
	if m.store == nil || key.account == "" {
		return
	}
	k := refusalKey{key, r.CertificateID}
	m.dirty[k] = present
	if present {
		delete(m.gone, k)
	} else {
		m.gone[k] = r
	}
}

// Recall returns what is remembered of a certificate, the latest first.
func (m *Memory) Recall(certificateID string) []muster.Refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []muster.Refusal
	for _, rg := range m.rings {
		if e, ok := rg.entries[certificateID]; ok {
			found = append(found, e.Value.(muster.Refusal))
		}
	}
	slices.SortFunc(found, func(a, b muster.Refusal) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Account, b.Account))
	})
	return found
}

func (g *Gate) remember(c *Candidate, d Decision, clientID string, f Facts) {
	if g.memory == nil {
		return
	}
	facts, err := json.Marshal(f)
	if err != nil {
		g.log.Error().Err(err).Msg("a refusal could not be kept")
		return
	}
	now := g.now()
	authority := f.Authority.ID
	if authority == "" {
		authority = f.Record.AuthorityID
	}
	account := f.Account
	if authority == "" && f.Record.Status == "" && f.Tombstone == "" {
		account = "" // a stranger, whatever account it asked for
	}
	g.memory.Remember(muster.Refusal{
		Time: now, First: now, Count: 1, Account: account, AuthorityID: authority, CertificateID: c.ID,
		Reason: d.Reason, Detail: d.Detail, ClientID: clientID, Remote: c.Remote, Facts: facts,
	})
}
