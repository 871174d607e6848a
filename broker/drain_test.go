package broker_test

import (
	"context"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/internal/mint"
)

// farewell is a session that notes when it is kicked.
type farewell struct {
	admission.Session
	kicked func(muster.Reason)
}

func (f farewell) Kick(r muster.Reason, _ string) { f.kicked(r) }

// drainIdle drains a broker of n sessions that never end by themselves, and
// returns when each was told. meanwhile runs beside it, from its start on.
func drainIdle(t *testing.T, n int, over time.Duration, meanwhile func(*broker.Broker)) (at []time.Duration) {
	t.Helper()
	start := time.Now()
	var mu sync.Mutex
	told := farewell{kicked: func(r muster.Reason) {
		mu.Lock()
		defer mu.Unlock()
		if r != muster.ReasonShutdown {
			t.Errorf("kicked for %s", r)
		}
		at = append(at, time.Since(start))
	}}
	b := broker.NewIdle(newObserver(), slices.Repeat([]admission.Session{told}, n)...)
	b.SetDrain(over)
	go meanwhile(b)
	b.TakeLeave()
	if len(at) != n {
		t.Fatalf("%d of %d sessions were told", len(at), n)
	}
	return at
}

// TestDrainSpreads: the last of many goes when the time is up, the last of a few
// long before, and those in between at an even pace.
func TestDrainSpreads(t *testing.T) {
	for _, tc := range []struct {
		sessions int
		over     time.Duration
		last     time.Duration
	}{
		{1, 10 * time.Second, 0},
		{50, 10 * time.Second, 490 * time.Millisecond},
		{2000, 10 * time.Second, 9995 * time.Millisecond},
		{2000, time.Millisecond, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			at := drainIdle(t, tc.sessions, tc.over, func(*broker.Broker) {})
			const near = 20 * time.Millisecond // short pauses are taken together
			if last := at[len(at)-1]; last > tc.last || last < tc.last-near {
				t.Errorf("%d sessions over %v: the last is told after %v, want %v", tc.sessions, tc.over, last, tc.last)
			}
			if half := at[len(at)/2]; half > tc.last/2+near || half < tc.last/2-near {
				t.Errorf("%d sessions over %v: half are told after %v", tc.sessions, tc.over, half)
			}
		})
	}
}

// TestDrainHurries: who will not wait ends the spreading, not the goodbyes.
func TestDrainHurries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = 2 * time.Second
		at := drainIdle(t, 1000, 10*time.Second, func(b *broker.Broker) {
			time.Sleep(patience)
			b.Hurry()
			b.Hurry()
		})
		if last := at[len(at)-1]; last != patience {
			t.Errorf("the last is told after %v, want %v", last, patience)
		}
	})
}

// stoppable serves the registry by another broker, which the test can stop.
func (f *fixture) stoppable(drain time.Duration) (stop func() time.Duration) {
	f.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(f.t, err)
	f.address = l.Addr().String()
	b, err := broker.New(f.brokerConfig(options{broker: func(c *broker.Config) { c.Drain = drain }}))
	must(f.t, err)
	seq, err := f.store.Seq(f.t.Context())
	must(f.t, err)
	serving, stopServing := context.WithCancel(context.Background())
	following, stopFollowing := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := b.Follow(following, f.store.Changes, seq); err != nil {
			f.t.Errorf("Follow: %v", err)
		}
	})
	ended := make(chan error, 1)
	go func() { ended <- b.Serve(serving, l) }()
	end := sync.OnceValue(func() time.Duration {
		start := time.Now()
		stopServing()
		if err := <-ended; err != nil {
			f.t.Errorf("Serve: %v", err)
		}
		took := time.Since(start)
		stopFollowing()
		running.Wait()
		return took
	})
	f.t.Cleanup(func() { end() })
	return end
}

// deaf connects, subscribes and then reads nothing any more. Its name has one
// letter.
func (f *fixture) deaf(name string) {
	f.t.Helper()
	conn, err := f.dial(f.registered(name, "all"))
	must(f.t, err)
	must(f.t, conn.NetConn().(*net.TCPConn).SetReadBuffer(4096))
	for _, packet := range []string{
		"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01" + name, // CONNECT, clean, no keep-alive
		"\x82\x07\x00\x01\x00\x00\x01#\x00",                       // SUBSCRIBE to all
	} {
		_, err := conn.Write([]byte(packet))
		must(f.t, err)
		_, err = packets.ReadPacket(conn)
		must(f.t, err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
}

// TestDrainOfTheDeaf: clients that do not read, before CONNECT and after, and
// strangers that do not speak, hold up nobody.
func TestDrainOfTheDeaf(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	stop := f.stoppable(2 * time.Second)
	for _, name := range []string{"a", "b", "c"} {
		f.deaf(name)
	}
	silent, err := f.dial(f.registered("silent", "all"))
	must(t, err)
	defer silent.Close()
	stranger, err := net.Dial("tcp", f.address)
	must(t, err)
	defer stranger.Close()
	l := f.registered("writer", "all")
	writer := f.admitted(l, "writer")
	for range 200 { // more than the buffers of a socket hold
		_, err := writer.publish(t, &paho.Publish{Topic: "flood", QoS: 1, Payload: []byte(strings.Repeat("x", 64<<10))})
		must(t, err)
	}
	if took := stop(); took > patience {
		t.Errorf("stopping took %v", took)
	}
	if d := writer.closed(t); d == nil || d.ReasonCode != 0x8B || !strings.HasPrefix(d.Properties.ReasonString, "shutdown") {
		t.Errorf("the client that reads was told %+v", d)
	}
	if _, err := net.Dial("tcp", f.address); err == nil {
		t.Error("a stopped server is connected to")
	}
}

// TestDrainKeepsServing: while some are told that the server stops, the wills of
// those that have left reach those that are left, and a revocation closes what
// is left at once.
func TestDrainKeepsServing(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	stop := f.stoppable(time.Hour)
	l := f.registered("sensor", "all")
	const fleet = 300 // three seconds of leave-taking
	first, ends := make(chan struct{}, fleet), make(chan byte, fleet)
	var heard atomic.Int64
	for i := range fleet {
		name := fmt.Sprintf("sensor-%d", i)
		c, err := f.connect(l, name, func(p *paho.Connect) {
			p.WillMessage = &paho.WillMessage{Topic: "last/" + name, Payload: []byte("gone"), QoS: 0}
		})
		must(t, err)
		if i < fleet/10 { // a message for everybody would be 90,000
			c.subscribe(t, "last/#")
		}
		go func() {
			var code byte
			if d := <-c.gone; d != nil {
				code = d.ReasonCode
			}
			first <- struct{}{}
			heard.Add(int64(len(c.messages)))
			ends <- code
		}()
	}
	took := make(chan time.Duration)
	go func() { took <- stop() }()
	<-first
	_, err := f.store.UpdateCertificateStatus(t.Context(), account, id(l), muster.Revoked)
	must(t, err)
	codes := map[byte]int{}
	for range fleet {
		codes[<-ends]++
	}
	if codes[0x8B] == 0 || codes[0x98] == 0 || codes[0x8B]+codes[0x98] != fleet {
		t.Errorf("the clients were told %v, want some 0x8B and the others 0x98", codes)
	}
	if heard.Load() == 0 {
		t.Error("nobody heard the will of another")
	}
	if d := <-took; d > patience {
		t.Errorf("stopping took %v, though nobody was left", d)
	}
}

// punctual answers nobody whose context has ended, as a disk would.
type punctual struct{ admission.Registry }

func (r punctual) Find(ctx context.Context, id string) ([]muster.Certificate, []muster.Tombstone, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	return r.Registry.Find(ctx, id)
}

// TestExpiryDuringDrain: a certificate that expires when nobody is accepted any
// more, and its connection has not been told that the server stops, ends it for
// what it is.
func TestExpiryDuringDrain(t *testing.T) {
	f := newFixture(t, options{gate: func(c *admission.Config) {
		c.Skew, c.Registry = time.Millisecond, punctual{c.Registry}
	}})
	f.policy("all", allowAll)
	a := f.authority("factory", templateWithoutThing)
	l, err := a.Issue(mint.Request{Subject: pkix.Name{CommonName: "sensor"}, NotAfter: time.Now().Add(3 * time.Second)})
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	f.address = listener.Addr().String()
	accepting, stop := context.WithCancel(t.Context())
	go func() {
		nc, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		f.broker.Take(accepting, nc)
	}()
	c := f.raw(l, 5)
	c.admitted("sensor", nil)
	stop()
	if last := c.end(); last.ReasonCode != 0x87 || !strings.HasPrefix(last.Properties.ReasonString, string(muster.ReasonOutsideValidity)) {
		t.Errorf("ended with %+v", last)
	}
}
