package broker_test

import (
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/hooks"
	"github.com/muster-mqtt/muster/internal/mint"
)

// unlimited lets one address connect as often as a test likes.
func unlimited(c *broker.Config) {
	c.Limits.ConnectsPerAddress, c.Limits.Connects = 1_000_000, 1_000_000
}

// TestOneConnectionAClientID has eight connections meet, again and again, with
// one client ID: exactly one may stay [MQTT-3.1.4-3], and the next round must
// find it, or it would stay too.
func TestOneConnectionAClientID(t *testing.T) {
	t.Parallel()
	const rounds, racers = 300, 8
	f := newFixture(t, options{broker: unlimited})
	f.policy("all", allowAll)
	sensor := device{Leaf: f.registered("sensor", "all"), sessions: tls.NewLRUClientSessionCache(4)}
	ended, pongs := make(chan *raw, racers+1), make(chan *raw, 1)
	alive := map[*raw]bool{}
	for round := range rounds {
		for _, c := range f.race(sensor, racers) {
			alive[c] = true
			go c.listen(ended, pongs)
		}
		for len(alive) > 1 {
			select {
			case c := <-ended:
				delete(alive, c)
			case <-time.After(patience):
				t.Fatalf("round %d: %d connections of one client ID", round, len(alive))
			}
		}
		for c := range alive {
			must(t, c.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}}))
		}
		select {
		case <-pongs:
		case <-time.After(patience):
			t.Fatalf("round %d: no connection is left", round)
		}
	}
}

// race connects n times at once with one client ID, in both versions of MQTT
// and with sessions that end and that stay. Those that were taken over before
// they had their CONNACK are left out.
func (f *fixture) race(d device, n int) []*raw {
	var mu sync.Mutex
	var admitted []*raw
	var racing sync.WaitGroup
	for i := range n {
		racing.Go(func() {
			conn, err := f.dialAs(d)
			if err != nil {
				f.t.Error(err)
				return
			}
			f.t.Cleanup(func() { _ = conn.Close() })
			c := newRaw(f.t, conn, 4+byte(i%2))
			ack, err := c.connect("sensor", func(p *packets.Packet) { p.Connect.Clean = i%3 > 0 })
			if err != nil {
				return
			}
			if ack.ReasonCode != 0 {
				f.t.Errorf("CONNACK 0x%02X", ack.ReasonCode)
			}
			mu.Lock()
			defer mu.Unlock()
			admitted = append(admitted, c)
		})
	}
	racing.Wait()
	return admitted
}

// listen reads until the connection ends.
func (r *raw) listen(ended, pongs chan<- *raw) {
	for {
		p, err := r.read()
		if err != nil {
			ended <- r
			return
		}
		if p.FixedHeader.Type == packets.Pingresp {
			pongs <- r
		}
	}
}

// stuck is a client that subscribed more than it reads, so that every write to
// it blocks, and that keeps on sending what needs no answer. It returns a
// channel that is closed when the server has cut it off.
func (f *fixture) stuck(l *mint.Leaf, version byte) <-chan struct{} {
	f.t.Helper()
	c := f.raw(l, version)
	must(f.t, c.conn.(*tls.Conn).NetConn().(*net.TCPConn).SetReadBuffer(4096))
	c.admitted("stuck", nil)
	if got := c.replies(c.subscribePacket("flood")); got != suback(1) {
		f.t.Fatal(got)
	}
	writer := f.admitted(f.registered("writer", "all"), "writer")
	payload := make([]byte, 8<<10)
	// Until its queue is full, or a short time to write has cut it off before.
	for f.seen.count("dropped") == 0 && f.seen.count("open") == 2 {
		if _, err := writer.publish(f.t, &paho.Publish{Topic: "flood", Payload: payload}); err != nil {
			f.t.Fatal(err)
		}
	}
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		for c.write(c.publishPacket("noise", 0)) == nil {
		}
	}()
	return cut
}

func (o *observer) count(what string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counts[what]
}

// patient gives writes more time than the test has, so that nothing but a cut
// can end them.
func patient(c *hooks.Config) { c.WriteTimeout = time.Hour }

func awaitCut(t *testing.T, cut <-chan struct{}) {
	t.Helper()
	select {
	case <-cut:
	case <-time.After(patience):
		t.Error("the old connection is still open")
	}
}

// TestTakeoverOfOneWhoDoesNotRead: mochi says goodbye to the old connection
// before it lets the new one in.
func TestTakeoverOfOneWhoDoesNotRead(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, options{hook: patient})
			f.policy("all", allowAll)
			l := f.registered("stuck", "all")
			cut := f.stuck(l, version)
			f.admitted(l, "stuck")
			awaitCut(t, cut)
		})
	}
}

// TestRevocationOfOneWhoDoesNotRead: it may neither stay nor go on sending.
func TestRevocationOfOneWhoDoesNotRead(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, options{hook: patient})
			f.policy("all", allowAll)
			l := f.registered("stuck", "all")
			cut := f.stuck(l, version)
			_, err := f.store.UpdateCertificateStatus(t.Context(), account, id(l), muster.Revoked)
			must(t, err)
			awaitCut(t, cut)
			f.seen.wait(t, "kicked revoked", func(n int) bool { return n == 1 })
		})
	}
}

// TestOneWhoDoesNotReadHoldsUpNobody: to number a message of QoS 1 for it, mochi
// takes the lock that it holds while it writes to it, on the goroutine of who
// publishes. The message that it cannot get is its end.
func TestOneWhoDoesNotReadHoldsUpNobody(t *testing.T) {
	f := newFixture(t, options{hook: func(c *hooks.Config) { c.WriteTimeout = 2 * time.Second }})
	f.policy("all", allowAll)
	cut := f.stuck(f.registered("stuck", "all"), 5)
	writer := f.admitted(f.registered("another", "all"), "another")
	for range 3 {
		if code, err := writer.publish(t, &paho.Publish{Topic: "flood", QoS: 1}); err != nil || code >= 0x80 {
			t.Fatalf("publish: 0x%02X %v", code, err)
		}
	}
	awaitCut(t, cut)
}
