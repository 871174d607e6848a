package admission

import (
	"cmp"
	"container/list"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
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

// Bounds of what is remembered. A refusal is about 1.5 KB, and 3 KB at most
// without the names in its certificate.
const (
	maxDetail = 1024      // bytes of its detail
	ringSize  = 1000      // refusals an authority, and of all strangers together
	flushSize = 400       // refusals one transaction stores, or fewer:
	flushRoom = 512 << 10 // bytes that they have about; the registry takes 1 MB
	flushTime = 10 * time.Second
	entrySize = 512 // bytes of a refusal besides its texts
)

// Memory remembers the latest refusal of each certificate: a ring for each
// authority, so that a storm under one does not push out the others, and one
// for strangers, whose number nobody bounds and who are never stored. Who ended
// before a certificate was seen has a third kind of ring, by address and reason.
type Memory struct {
	store RefusalStore
	log   zerolog.Logger

	mu    sync.Mutex
	rings map[ringKey]*ring
	dirty map[refusalKey]struct{} // to be put
	gone  map[refusalKey]struct{} // stored, and to be dropped
}

type ringKey struct {
	account, authority string
	nameless           bool // of those who showed no certificate
}

type refusalKey struct {
	ringKey
	certificate string
}

// keyOf tells the ring of a refusal and its place there.
func keyOf(r muster.Refusal) (ringKey, string) {
	if r.CertificateID == "" {
		return ringKey{nameless: true}, string(r.Reason) + " " + host(r.Remote)
	}
	return ringKey{account: r.Account, authority: r.AuthorityID}, r.CertificateID
}

// host returns the address without its port, as far as there is one.
func host(address string) string {
	if h, _, err := net.SplitHostPort(address); err == nil {
		return h
	}
	return address
}

type ring struct {
	order   *list.List // of *entry, the latest first
	entries map[string]*list.Element
}

type entry struct {
	muster.Refusal
	stored bool // the store may hold it, or an earlier one that it replaces
}

// NewMemory makes an empty memory. store may be nil: then nothing outlives the
// process.
func NewMemory(store RefusalStore, log zerolog.Logger) *Memory {
	return &Memory{
		store: store, log: log, rings: map[ringKey]*ring{},
		dirty: map[refusalKey]struct{}{}, gone: map[refusalKey]struct{}{},
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
		m.put(r).stored = true
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

// Flush stores what is new, at most flushSize refusals or flushRoom bytes.
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

// takeDirty empties what is to be dropped first, so that it cannot pile up in a
// storm of refusals that push one another out.
func (m *Memory) takeDirty() (put, drop []muster.Refusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.gone {
		if len(drop) == flushSize {
			break
		}
		drop = append(drop, muster.Refusal{Account: k.account, AuthorityID: k.authority, CertificateID: k.certificate})
		delete(m.gone, k)
	}
	room := flushRoom
	for k := range m.dirty {
		e := m.rings[k.ringKey].entries[k.certificate].Value.(*entry)
		room -= entrySize + len(e.Facts) + len(e.Detail) + len(e.ClientID)
		if len(put)+len(drop) == flushSize || room < 0 {
			break
		}
		e.stored = true
		put = append(put, e.Refusal)
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

func (m *Memory) put(r muster.Refusal) *entry {
	key, name := keyOf(r)
	rg, ok := m.rings[key]
	if !ok {
		rg = &ring{order: list.New(), entries: map[string]*list.Element{}}
		m.rings[key] = rg
	}
	e := &entry{Refusal: r}
	if known, ok := rg.entries[name]; ok {
		e = known.Value.(*entry)
		if e.Reason == r.Reason {
			r.First, r.Count = e.First, e.Count+r.Count
		}
		e.Refusal = r
		rg.order.MoveToFront(known)
	} else {
		rg.entries[name] = rg.order.PushFront(e)
	}
	if k, kept := m.storable(key, name); kept {
		m.dirty[k] = struct{}{}
		if _, waits := m.gone[k]; waits { // it came back before the drop
			delete(m.gone, k)
			e.stored = true
		}
	}
	if rg.order.Len() > ringSize {
		m.forget(key, rg)
	}
	return e
}

// forget drops the oldest of a ring.
func (m *Memory) forget(key ringKey, rg *ring) {
	oldest := rg.order.Remove(rg.order.Back()).(*entry)
	_, name := keyOf(oldest.Refusal)
	delete(rg.entries, name)
	if k, kept := m.storable(key, name); kept {
		delete(m.dirty, k)
		if oldest.stored {
			m.gone[k] = struct{}{}
		}
	}
}

// storable reports whether a refusal is for the store: a stranger's is not.
func (m *Memory) storable(key ringKey, certificate string) (refusalKey, bool) {
	return refusalKey{key, certificate}, m.store != nil && key.account != ""
}

// Recall returns what is remembered of a certificate, the latest first.
func (m *Memory) Recall(certificateID string) []muster.Refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []muster.Refusal
	for _, rg := range m.rings {
		if e, ok := rg.entries[certificateID]; ok {
			found = append(found, e.Value.(*entry).Refusal)
		}
	}
	newestFirst(found)
	return found
}

// Recent returns the latest refusals of all, at most limit, the latest first.
func (m *Memory) Recent(limit int) []muster.Refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []muster.Refusal
	for _, rg := range m.rings {
		for e, n := rg.order.Front(), 0; e != nil && n < limit; e, n = e.Next(), n+1 {
			found = append(found, e.Value.(*entry).Refusal)
		}
	}
	newestFirst(found)
	return found[:min(limit, len(found))]
}

// From returns the refusals that came last from an IP address, at most limit,
// the latest first.
func (m *Memory) From(address netip.Addr, limit int) []muster.Refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []muster.Refusal
	for _, rg := range m.rings {
		for e := rg.order.Front(); e != nil; e = e.Next() {
			r := e.Value.(*entry).Refusal
			if a, err := netip.ParseAddr(host(r.Remote)); err == nil && a.Unmap() == address.Unmap() {
				found = append(found, r)
			}
		}
	}
	newestFirst(found)
	return found[:min(limit, len(found))]
}

func newestFirst(all []muster.Refusal) {
	slices.SortStableFunc(all, func(a, b muster.Refusal) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Account, b.Account), cmp.Compare(a.CertificateID, b.CertificateID))
	})
}

// locate sets where a stranger came from, if its refusal is still there.
func (m *Memory) locate(certificateID, remote string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if rg, ok := m.rings[ringKey{}]; ok {
		if e, ok := rg.entries[certificateID]; ok {
			e.Value.(*entry).Remote = remote
		}
	}
}

// remember keeps a refusal, of a connect or of a live connection, and tells of it.
func (g *Gate) remember(c *Candidate, d Decision, clientID string, f Facts, kind muster.EventType) {
	now := g.now()
	authority := f.Authority.ID
	if authority == "" {
		authority = f.Record.AuthorityID
	}
	account := f.Account
	known := f.Record.Status != "" || f.Tombstone != ""
	switch {
	case !known && authority == "":
		account = "" // a stranger, whatever account it asked for
	case !known && f.Leaf.Weakness != "":
		account, authority = "", "" // the same: nobody could check who signed it
	}
	r := muster.Refusal{
		Time: now, First: now, Count: 1, Account: account, AuthorityID: authority, CertificateID: c.ID,
		Reason: d.Reason, Detail: clipTo(d.Detail, maxDetail), ClientID: clip(clientID), Remote: c.Remote,
	}
	g.events.of(kind, r, f.Record.Status)
	if g.memory == nil {
		return
	}
	facts, err := json.Marshal(f)
	if err != nil {
		g.log.Error().Err(err).Msg("a refusal could not be kept")
		return
	}
	r.Facts = facts
	g.memory.Remember(r)
}
