package broker_test

import (
	"context"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/internal/mint"
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

// TestLimitOfAllConnects has several addresses connect more often than all may.
func TestLimitOfAllConnects(t *testing.T) {
	f := newFixture(t, options{broker: func(c *broker.Config) { c.Limits.Connects = 1 }})
	for i := range 4 { // two of them at once are their due
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(i+1))}}
		conn, err := d.DialContext(t.Context(), "tcp", f.address)
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
	}
	f.seen.wait(t, "rejected connects", func(n int) bool { return n >= 1 })
	f.remembered(t, muster.ReasonTooManyConnections, admission.CauseConnects, "(limits.connects)")
}

// TestSetLimits changes them while the broker runs.
func TestSetLimits(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	l := f.registered("sensor", "all")
	f.admitted(l, "one")
	f.broker.SetLimits(broker.Limits{Connections: 1})
	if _, err := f.dial(l); err == nil {
		t.Error("a second connection was let in")
	}
	f.broker.SetLimits(broker.Limits{})
	f.admitted(l, "two")
}

// TestTurnOfKnownAddresses: when there is too much to do, who comes from where a
// known device was goes before newcomers, and who gets no turn is told from who
// is slow.
func TestTurnOfKnownAddresses(t *testing.T) {
	f := newFixture(t, options{broker: func(c *broker.Config) { c.HandshakeTimeout = 2 * time.Second }})
	f.policy("all", allowAll)
	l := f.registered("sensor", "all")
	c := f.raw(l, 5)
	c.admitted("sensor", nil)
	must(t, c.conn.Close())
	f.seen.wait(t, "open", func(n int) bool { return n == 0 })
	f.broker.SetTurns(0)
	for _, from := range []net.IP{net.IPv4(127, 0, 0, 2), net.IPv4(127, 0, 0, 1)} {
		go func() {
			conn, err := helloFrom(context.Background(), &net.TCPAddr{IP: from}, f.address, l)
			if err == nil {
				_ = conn.Close()
				t.Error("it got in without a turn")
			}
		}()
	}
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		if known, newcomers := f.broker.Waiting(); known == 1 && newcomers == 1 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("%d and %d wait", known, newcomers)
		}
	}
	f.seen.wait(t, "handshake busy", func(n int) bool { return n == 2 })
	f.remembered(t, muster.ReasonBusy, admission.CauseBusy, "for its turn")
	f.broker.GiveTurn()
	f.admitted(l, "sensor")
}

// TestBusyBroker: known devices are served, others are asked to come again, each in the
// words of its version.
func TestBusyBroker(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	a := f.authority("factory", templateWithoutThing)
	known, stranger := f.leaf(a, "known"), f.leaf(a, "stranger")
	f.admitted(known, "known")
	f.gate.SetBusy(func() bool { return true })
	f.admitted(known, "known")
	for version, code := range map[byte]byte{5: 0x89, 4: 3} {
		ack, err := f.raw(stranger, version).connect("stranger", nil)
		must(t, err)
		if ack.ReasonCode != code {
			t.Errorf("CONNACK 0x%02X, want 0x%02X", ack.ReasonCode, code)
		}
		if said := ack.Properties.ReasonString; version == 5 && (!strings.HasPrefix(said, "busy: ") || !strings.Contains(said, "connect again in ")) {
			t.Errorf("it is told %q", said)
		}
	}
	f.seen.wait(t, "refused busy", func(n int) bool { return n == 2 })
	if f.count(stranger) != 0 {
		t.Error("it was registered")
	}
}

// count is how many records there are of a certificate.
func (f *fixture) count(l *mint.Leaf) int {
	records, _, err := f.store.Find(f.t.Context(), id(l))
	must(f.t, err)
	return len(records)
}
