package broker_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/hooks"
)

// TestDecoderPanic sends a SUBSCRIBE that ends before its options, over which
// mochi's decoder panics.
func TestDecoderPanic(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	l := f.registered("sensor", "all")
	other := f.admitted(f.registered("other", "all"), "other")
	other.subscribe(t, "last/words")
	keepSession := func(p *packets.Packet) {
		p.Connect.Clean = false
		p.Properties.SessionExpiryInterval, p.Properties.SessionExpiryIntervalFlag = 3600, true
		p.Connect.WillFlag, p.Connect.WillTopic, p.Connect.WillPayload = true, "last/words", []byte("gone")
	}
	c := f.raw(l, 5)
	c.admitted("sensor", keepSession)
	if got := c.replies(c.subscribePacket("news")); got != suback(1) {
		t.Fatal(got)
	}
	c.bytes(0x82, 0x05, 0x00, 0x01, 0x00, 0x00, 0x00)
	c.end()
	if p := other.next(t); p.Topic != "last/words" || string(p.Payload) != "gone" {
		t.Errorf("%s %q arrived instead of the will", p.Topic, p.Payload)
	}
	if code, err := other.publish(t, &paho.Publish{Topic: "news", QoS: 1}); err != nil || code >= 0x80 {
		t.Errorf("the others: publish 0x%02X %v", code, err)
	}
	f.seen.wait(t, "open", func(n int) bool { return n == 1 })
	if ack := f.raw(l, 5).admitted("sensor", keepSession); ack.SessionPresent {
		t.Error("the session of the connection that panicked is still there")
	}
}

// TestFirstPacket ends what does not begin with a CONNECT at once, long before
// the time for it is up.
func TestFirstPacket(t *testing.T) {
	f := newFixture(t, options{broker: func(c *broker.Config) { c.ConnectTimeout = time.Hour }})
	f.policy("all", allowAll)
	l := f.registered("sensor", "all")
	for name, bytes := range map[string]string{
		"PINGREQ":               "\xC0\x00",
		"PUBLISH":               "\x30\x04\x00\x01ax",
		"a web browser":         "GET / HTTP/1.1\r\n\r\n",
		"256 MB announced":      "\x10\xFF\xFF\xFF\x7F",
		"an endless length":     "\x10\xFF\xFF\xFF\xFF\xFF",
		"a client ID not UTF-8": "\x10\x0E\x00\x04MQTT\x04\x02\x00\x3C\x00\x02\xC3\x28",
		"an unknown protocol":   "\x10\x0E\x00\x04MUTT\x04\x02\x00\x3C\x00\x02ab",
		"an unknown version":    "\x10\x0E\x00\x04MQTT\x06\x02\x00\x3C\x00\x02ab",
		"a truncated CONNECT":   "\x10\x04\x00\x04MQ",
	} {
		t.Run(name, func(t *testing.T) {
			counted := f.seen.count("refused connect_invalid")
			c := f.raw(l, 4)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := io.WriteString(c.conn, bytes)
			must(t, err)
			if last := c.end(); last.FixedHeader.Type == packets.Connack && last.ReasonCode == 0 {
				t.Error("admitted")
			}
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
				t.Errorf("%d MB were allocated for it", grown>>20)
			}
			f.seen.wait(t, "refused connect_invalid", func(n int) bool { return n == counted+1 })
		})
	}
	f.seen.wait(t, "open", func(n int) bool { return n == 0 })
}

// TestDeadlines closes those who are silent, or as good as that.
func TestDeadlines(t *testing.T) {
	const short = 300 * time.Millisecond
	t.Run("before TLS", func(t *testing.T) {
		f := newFixture(t, options{broker: func(c *broker.Config) { c.HandshakeTimeout = short }})
		conn, err := net.Dial("tcp", f.address)
		must(t, err)
		newRaw(t, conn, 4).end()
		f.seen.wait(t, "handshake handshake_timeout", func(n int) bool { return n == 1 })
	})
	t.Run("after TLS", func(t *testing.T) {
		f := newFixture(t, options{broker: func(c *broker.Config) { c.ConnectTimeout = short }})
		f.policy("all", allowAll)
		f.raw(f.registered("sensor", "all"), 4).end()
	})
	t.Run("CONNECT byte by byte", func(t *testing.T) {
		f := newFixture(t, options{broker: func(c *broker.Config) { c.ConnectTimeout = short }})
		f.policy("all", allowAll)
		c := f.raw(f.registered("sensor", "all"), 4)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = c.drain()
		}()
		// CONNECT with a client ID of 200 bytes would take 10 s.
		packet := "\x10\xD4\x01\x00\x04MQTT\x04\x02\x00\x3C\x00\xC8" + strings.Repeat("a", 200)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			if i == len(packet) {
				t.Fatal("a CONNECT of 10 s was waited for")
			}
			_, _ = io.WriteString(c.conn, packet[i:i+1]) // fails when it is closed
		}
	})
}

// sick is a listener that first fails as one does that has no descriptors left.
type sick struct {
	net.Listener
	failures atomic.Int64
}

func (l *sick) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestAcceptErrorsPass(t *testing.T) {
	f := newFixture(t, options{listener: func(l net.Listener) net.Listener {
		s := &sick{Listener: l}
		s.failures.Store(5)
		return s
	}})
	f.policy("all", allowAll)
	f.admitted(f.registered("sensor", "all"), "sensor")
}

// TestServeEndsWithItsListener does not leave connections behind.
func TestServeEndsWithItsListener(t *testing.T) {
	f := newFixture(t, options{})
	b, err := broker.New(f.brokerConfig(options{}))
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	if err := b.Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
}

// panicking panics where it is told to.
type panicking struct {
	hooks.Principals
	hooks.Observer
	armed atomic.Bool
}

func (p *panicking) Principal(ctx context.Context, account, certificate, client string) (muster.Principal, error) {
	if p.armed.Load() {
		panic("principal")
	}
	return p.Principals.Principal(ctx, account, certificate, client)
}

func (p *panicking) Kicked(muster.Reason, time.Duration) { panic("kicked") }
func (p *panicking) Connected(out admission.Outcome) {
	if p.armed.Load() {
		panic("connected")
	}
	p.Observer.Connected(out)
}

// TestPanicsDeny: a panic of what the hook calls denies, and harms no other.
func TestPanicsDeny(t *testing.T) {
	p := &panicking{}
	f := newFixture(t, options{hook: func(c *hooks.Config) {
		p.Principals, p.Observer = c.Principals, c.Observer
		c.Principals, c.Observer = p, p
	}})
	f.policy("all", allowAll)
	other := f.admitted(f.registered("other", "all"), "other")
	l := f.registered("sensor", "all")
	f.admitted(l, "sensor")

	p.armed.Store(true)
	c := f.raw(f.registered("victim", "all"), 5)
	if _, err := c.connect("victim", nil); err == nil {
		t.Error("admitted without a principal")
	}
	// The change makes the session ask for its principal again.
	f.policy("more", allowAll)
	must(t, f.store.AttachPolicy(t.Context(), account, "more", muster.KindCertificate, id(l)))
	f.seen.wait(t, "open", func(n int) bool { return n == 1 })
	if code, err := other.publish(t, &paho.Publish{Topic: "a", QoS: 1}); err != nil || code >= 0x80 {
		t.Errorf("the others: publish 0x%02X %v", code, err)
	}
}

// TestPanicOfTheRegistry: also before mochi meets the connection.
func TestPanicOfTheRegistry(t *testing.T) {
	f := newFixture(t, options{gate: func(c *admission.Config) {
		c.Registry = panickingRegistry{c.Registry}
	}})
	f.policy("all", allowAll)
	f.raw(f.registered("sensor", "all"), 5).end()
	f.seen.wait(t, "open", func(n int) bool { return n == 0 })
}

type panickingRegistry struct{ admission.Registry }

func (panickingRegistry) Accounts(context.Context) ([]muster.Account, error) { panic("accounts") }
