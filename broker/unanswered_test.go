package broker_test

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// muted is a listener on whose connections nothing can be written while it is.
type muted struct {
	net.Listener
	on *atomic.Bool
}

func (l muted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return mutedConn{c, l.on}, err
}

type mutedConn struct {
	net.Conn
	on *atomic.Bool
}

func (c mutedConn) Write(p []byte) (int, error) {
	if c.on.Load() {
		return 0, errors.New("muted")
	}
	return c.Conn.Write(p)
}

// TestWhoHearsNoConnack: the connection of a device that has left when its CONNACK
// is written ends at once and frees its client ID, for the device may be back, and
// a server that stops waits for all.
func TestWhoHearsNoConnack(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			var on atomic.Bool
			f := newFixture(t, options{listener: func(l net.Listener) net.Listener { return muted{l, &on} }})
			f.policy("all", allowAll)
			l := f.registered("sensor", "all")
			c := f.raw(l, version)
			f.seen.wait(t, "inspected", func(n int) bool { return n == 1 })
			start := time.Now()
			on.Store(true)
			if ack, err := c.connect("sensor", nil); err == nil {
				t.Fatalf("CONNACK 0x%02X", ack.ReasonCode)
			}
			f.seen.wait(t, "open", func(n int) bool { return n == 0 })
			on.Store(false)
			f.raw(l, version).admitted("sensor", nil)
			if took := time.Since(start); took > patience/2 {
				t.Errorf("the client ID was free after %v", took)
			}
		})
	}
}
