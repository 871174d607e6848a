package broker

import (
	"crypto/tls"

	"github.com/muster-mqtt/muster/admission"
)

// SetTurns sets how many handshakes may compute at once. It is called before the
// first comes.
func (b *Broker) SetTurns(n int) { b.turns.free = n }

// NewIdle returns a broker without sockets, whose live connections are these
// sessions, in this order.
func NewIdle(o Observer, sessions ...admission.Session) *Broker {
	b := &Broker{observer: o, live: newLive(), recheckers: make(chan struct{}, recheckers), hurried: make(chan struct{})}
	for _, s := range sessions {
		b.live.enter(&conn{Conn: new(tls.Conn), live: b.live, session: s})
	}
	return b
}

// TakeLeave is what Serve begins with when it stops.
func (b *Broker) TakeLeave() { b.takeLeave(b.live.all(), nil) }
