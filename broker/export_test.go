package broker

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
)

// SetTurns sets how many handshakes may compute at once, while none does.
func (b *Broker) SetTurns(n int) {
	b.turns.mu.Lock()
	defer b.turns.mu.Unlock()
	b.turns.free = n
}

// GiveTurn lets one more compute.
func (b *Broker) GiveTurn() { b.turns.give() }

// Waiting returns how many new handshakes wait for their turn, those from known
// addresses and those of newcomers.
func (b *Broker) Waiting() (known, newcomers int) {
	b.turns.mu.Lock()
	defer b.turns.mu.Unlock()
	return b.turns.waiting[newKnown].Len(), b.turns.waiting[newcomer].Len()
}

// Take is what Serve does with a connection that a listener accepts until ctx ends.
func (b *Broker) Take(ctx context.Context, nc net.Conn) { b.accept(ctx, nc, b.plain) }

// IdlePolicy is the one of all the sessions of NewIdle.
const IdlePolicy = "fleet"

// NewIdle returns a broker without sockets, whose live connections are these
// sessions, in this order, of certificates "0", "1" and so on.
func NewIdle(o Observer, sessions ...admission.Session) *Broker {
	b := &Broker{observer: o, live: newLive(), recheckers: make(chan struct{}, recheckers), hurried: make(chan struct{})}
	for i, s := range sessions {
		c := &conn{Conn: new(tls.Conn), live: b.live, session: s, id: strconv.Itoa(i)}
		b.live.enter(c)
		b.live.watch(c, "", []muster.ResourceKey{{Kind: muster.KindPolicy, ID: IdlePolicy}})
	}
	return b
}

// TakeLeave is what Serve begins with when it stops.
func (b *Broker) TakeLeave() { b.takeLeave(b.live.all(), nil) }
