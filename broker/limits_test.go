package broker_test

import (
	"net"
	"testing"

	"github.com/muster-mqtt/muster/broker"
)

func TestLimitOfConnections(t *testing.T) {
	f := newFixture(t, options{broker: func(c *broker.Config) { c.Limits.Connections = 1 }})
	f.policy("all", allowAll)
	l := f.registered("sensor", "all")
	c := f.raw(l, 5)
	c.admitted("sensor", nil)
	if _, err := f.dial(l); err == nil {
		t.Error("a second connection was let in")
	}
	f.seen.wait(t, "rejected connections", func(n int) bool { return n == 1 })
	must(t, c.conn.Close())
	f.seen.wait(t, "open", func(n int) bool { return n == 0 })
	f.admitted(l, "sensor")
}

func TestLimitOfHandshakes(t *testing.T) {
	f := newFixture(t, options{broker: func(c *broker.Config) { c.Limits.Handshakes = 1 }})
	f.policy("all", allowAll)
	l := f.registered("sensor", "all")
	silent, err := net.Dial("tcp", f.address)
	must(t, err)
	f.seen.wait(t, "open", func(n int) bool { return n == 1 })
	if _, err := f.dial(l); err == nil {
		t.Error("a second handshake was let in")
	}
	f.seen.wait(t, "rejected handshakes", func(n int) bool { return n == 1 })
	must(t, silent.Close())
	f.seen.wait(t, "open", func(n int) bool { return n == 0 })
	f.admitted(l, "sensor")
}

// TestLimitOfAnAddress has one address connect more often than it may.
func TestLimitOfAnAddress(t *testing.T) {
	f := newFixture(t, options{broker: func(c *broker.Config) { c.Limits.ConnectsPerAddress = 1 }})
	for range 4 { // two of them at once are its due
		conn, err := net.Dial("tcp", f.address)
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
	}
	f.seen.wait(t, "rejected connects_per_address", func(n int) bool { return n >= 1 })
	f.seen.wait(t, "open", func(n int) bool { return n >= 2 })
}
