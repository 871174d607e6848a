package broker

import (
	"container/list"
	"context"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/internal/pace"
)

// turnstile lets a few handshakes compute at once; the others wait in line. A
// handshake costs about a millisecond of arithmetic. Thousands at once, each with
// its share of the processors, would all end when their devices have long given
// up; one after another, most end in time, and those that run need not share the
// processors with more than a few.
type turnstile struct {
	mu      sync.Mutex
	free    int // turns that nobody has; none while somebody waits
	waiting [classes]list.List
}

// class is who goes first. A handshake that was begun goes before a new one, or
// what it has cost would be lost; then an address from which a known device came
// lately. Within a class the first to come is the first to go.
type class uint8

const (
	begunKnown class = iota
	begun
	newKnown
	newcomer
	classes
)

// turnsPerProcessor is how many handshakes may compute for each processor: more
// than one, for some of the time they wait for the registry's disk.
const turnsPerProcessor = 2

func newTurnstile() *turnstile { return &turnstile{free: turnsPerProcessor * runtime.GOMAXPROCS(0)} }

type waiter struct {
	since time.Time
	turn  chan struct{} // closed when it has one
}

// take waits for a turn, and says how long it did. It errs when ctx ends first.
func (t *turnstile) take(ctx context.Context, c class) (waited time.Duration, err error) {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return 0, nil
	}
	w := &waiter{time.Now(), make(chan struct{})}
	place := t.waiting[c].PushBack(w)
	t.mu.Unlock()
	select {
	case <-w.turn:
		return time.Since(w.since), nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-w.turn: // it came just now, and is for the next
		t.pass()
	default:
		t.waiting[c].Remove(place)
	}
	return time.Since(w.since), ctx.Err()
}

// give gives a turn back.
func (t *turnstile) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pass()
}

// pass hands a turn to whoever is next. The caller holds the lock.
func (t *turnstile) pass() {
	for c := range t.waiting {
		if next := t.waiting[c].Front(); next != nil {
			close(t.waiting[c].Remove(next).(*waiter).turn)
			return
		}
	}
	t.free++
}

// longest is how long the one has waited that has waited longest.
func (t *turnstile) longest(now time.Time) (longest time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.waiting {
		if first := t.waiting[c].Front(); first != nil {
			longest = max(longest, now.Sub(first.Value.(*waiter).since))
		}
	}
	return longest
}

// length is how many wait.
func (t *turnstile) length() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.waiting {
		n += t.waiting[c].Len()
	}
	return n
}

// Bounds of the addresses that are remembered for the devices that came from
// them: of each generation, of which there are two.
const (
	maxKnown = 131_072
	lately   = time.Hour
)

// acquainted remembers the addresses from which known devices came lately, IPv6
// by its networks. One may have known devices and others: it only goes before
// addresses that nobody knows.
type acquainted struct {
	mu        sync.Mutex
	addresses *pace.Recent[netip.Addr, struct{}]
}

func newAcquainted() *acquainted {
	return &acquainted{addresses: pace.NewRecent[netip.Addr, struct{}](maxKnown, lately)}
}

func (a *acquainted) note(from netip.Addr, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addresses.Put(from, struct{}{}, now)
}

func (a *acquainted) knows(from netip.Addr, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.addresses.Get(from, now)
	return ok
}

// impatience is the part of the time for a handshake after which one that still
// waits for its turn tells that there is too much to do.
const impatience = 4

// busy reports whether handshakes wait long while known devices come: then those
// go before strangers. Where only strangers come, to turn them away would help
// nobody: they have had the costly part when they can be told.
func (b *Broker) busy() bool {
	now := time.Now()
	return b.turns.longest(now) > b.handshakeTimeout/impatience && now.Sub(time.Unix(0, b.lastKnown.Load())) < time.Second
}

// came notes that a known device came, and from where.
func (b *Broker) came(c *conn) {
	if c.candidate.Decision.Verdict != admission.Admit {
		return
	}
	now := time.Now()
	b.lastKnown.Store(now.UnixNano())
	if from, ok := network(c.RemoteAddr()); ok {
		b.acquainted.note(from, now)
	}
}

// left notes from where a device was here that now goes, for it may come back.
func (b *Broker) left(c *conn) {
	if from, ok := network(c.RemoteAddr()); ok && c.attached() != nil {
		b.acquainted.note(from, time.Now())
	}
}
