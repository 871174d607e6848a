package broker_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/internal/mint"
)

// client is an MQTT 5 client.
type client struct {
	*paho.Client
	messages chan *paho.Publish
	gone     chan *paho.Disconnect // a DISCONNECT of the server; nil when it just closed
	ack      *paho.Connack
}

func (f *fixture) connect(l *mint.Leaf, clientID string, edit func(*paho.Connect)) (*client, error) {
	conn, err := f.dial(l)
	if err != nil {
		return nil, err
	}
	return connectOver(conn, clientID, edit)
}

func connectOver(conn net.Conn, clientID string, edit func(*paho.Connect)) (*client, error) {
	c := &client{messages: make(chan *paho.Publish, 1000), gone: make(chan *paho.Disconnect, 4)}
	c.Client = paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn),
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			c.messages <- p.Packet
			return true, nil
		}},
		OnServerDisconnect: func(d *paho.Disconnect) { c.gone <- d },
		OnClientError:      func(error) { c.gone <- nil },
	})
	packet := &paho.Connect{ClientID: clientID, KeepAlive: 60, CleanStart: true}
	if edit != nil {
		edit(packet)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	c.ack, err = c.Client.Connect(ctx, packet)
	return c, err
}

// admitted connects and fails the test if that does not succeed.
func (f *fixture) admitted(l *mint.Leaf, clientID string) *client {
	f.t.Helper()
	c, err := f.connect(l, clientID, nil)
	if err != nil {
		f.t.Fatalf("client %s: %v", clientID, err)
	}
	f.t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}) })
	return c
}

// refused connects and fails the test unless the CONNACK has this code and a
// reason string that begins with the reason.
func (f *fixture) refused(l *mint.Leaf, clientID string, code byte, reason muster.Reason) {
	f.t.Helper()
	c, err := f.connect(l, clientID, nil)
	if err == nil {
		_ = c.Disconnect(&paho.Disconnect{})
		f.t.Fatalf("client %s was admitted, not refused for %s", clientID, reason)
	}
	if c == nil || c.ack == nil {
		f.t.Fatalf("client %s: no CONNACK: %v", clientID, err)
	}
	text := ""
	if c.ack.Properties != nil {
		text = c.ack.Properties.ReasonString
	}
	if c.ack.ReasonCode != code || len(text) < len(reason) || text[:len(reason)] != string(reason) {
		f.t.Fatalf("client %s: refused with 0x%02X %q, want 0x%02X %s", clientID, c.ack.ReasonCode, text, code, reason)
	}
}

func (c *client) subscribe(t testing.TB, filters ...string) []byte {
	t.Helper()
	s := &paho.Subscribe{}
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: 1})
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ack, err := c.Subscribe(ctx, s)
	if ack == nil {
		t.Fatalf("subscribe %v: %v", filters, err)
	}
	return ack.Reasons
}

func (c *client) publish(t testing.TB, p *paho.Publish) (code byte, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := c.Publish(ctx, p)
	if r == nil {
		return 0, err
	}
	return r.ReasonCode, err
}

// next returns the next message or fails.
func (c *client) next(t testing.TB) *paho.Publish {
	t.Helper()
	select {
	case p := <-c.messages:
		return p
	case <-time.After(patience):
		t.Fatal("no message")
		return nil
	}
}

// closed waits for the end of the connection and returns the server's
// DISCONNECT, if there was one.
func (c *client) closed(t testing.TB) *paho.Disconnect {
	t.Helper()
	select {
	case d := <-c.gone:
		return d
	case <-time.After(patience):
		t.Fatal("the connection is still open")
		return nil
	}
}

// observer counts, and lets tests wait for a count.
type observer struct {
	mu     sync.Mutex
	counts map[string]int
	grown  chan struct{}
}

func newObserver() *observer { return &observer{counts: map[string]int{}, grown: make(chan struct{})} }

func (o *observer) add(what string, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts[what] += n
	close(o.grown)
	o.grown = make(chan struct{})
}

func (o *observer) wait(t testing.TB, what string, ok func(n int) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		o.mu.Lock()
		n, grown := o.counts[what], o.grown
		o.mu.Unlock()
		if ok(n) {
			return
		}
		select {
		case <-grown:
		case <-deadline:
			t.Fatalf("%s stays at %d", what, n)
		}
	}
}

func (o *observer) Handshake(r muster.Reason, _ time.Duration) { o.add("handshake "+string(r), 1) }
func (o *observer) Inspected(time.Duration)                    { o.add("inspected", 1) }
func (o *observer) Rejected(limit string)                      { o.add("rejected "+limit, 1) }
func (o *observer) Open(n int)                                 { o.add("open", n) }
func (o *observer) Rechecked(r muster.Reason, _ time.Duration) { o.add("rechecked "+string(r), 1) }
func (o *observer) Judged(admission.Outcome, time.Duration)    {}
func (o *observer) Connected(out admission.Outcome) {
	o.add(fmt.Sprintf("connected %v", out.Enrolled), 1)
}
func (o *observer) Refused(r muster.Reason)                 { o.add("refused "+string(r), 1) }
func (o *observer) Kicked(r muster.Reason, _ time.Duration) { o.add("kicked "+string(r), 1) }
func (o *observer) Dropped(n int)                           { o.add("dropped", n) }
func (o *observer) ProtocolError()                          { o.add("protocol error", 1) }
