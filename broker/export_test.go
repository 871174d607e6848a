package broker

import (
	"crypto/tls"

	"github.com/muster-mqtt/muster/admission"
)

// NewIdle returns a broker without sockets, whose live connections are these
// sessions, in this order.
func NewIdle(o Observer, sessions ...admission.Session) *Broker {
	b := &Broker{observer: o, live: newLive(), recheckers: make(chan struct{}, recheckers)}
	for _, s := range sessions {
		b.live.enter(&conn{Conn: new(tls.Conn), live: b.live, session: s})
	}
	return b
}
