package broker_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/hooks"
	"github.com/muster-mqtt/muster/internal/mint"
)

// lifecycle is a lifecycle event as it is heard.
type lifecycle struct {
	topic string

	ClientID         string   `json:"clientId"`
	Timestamp        int64    `json:"timestamp"`
	EventType        string   `json:"eventType"`
	ClientInitiated  *bool    `json:"clientInitiatedDisconnect"`
	DisconnectReason string   `json:"disconnectReason"`
	SessionID        string   `json:"sessionIdentifier"`
	Principal        string   `json:"principalIdentifier"`
	IPAddress        string   `json:"ipAddress"`
	Version          int64    `json:"versionNumber"`
	Topics           []string `json:"topics"`
}

func (e lifecycle) short() string {
	return strings.Join(strings.Fields(e.EventType+" "+e.DisconnectReason+" "+strings.Join(e.Topics, ",")), " ")
}

// witness hears all lifecycle events of an account, within its server, so that it
// also hears those of the server's own end.
type witness struct {
	t      *testing.T
	heard  chan lifecycle
	failed atomic.Bool // the policies cannot be read
}

func newWitness(t *testing.T, o options) (*fixture, *witness) {
	t.Helper()
	w := &witness{t: t, heard: make(chan lifecycle, 10_000)}
	edit := o.hook
	o.hook = func(c *hooks.Config) {
		c.Principals = principals{c.Principals, &w.failed}
		if edit != nil {
			edit(c)
		}
		must(t, c.Server.Subscribe("$aws/events/#", 1, w.hear))
	}
	return newFixture(t, o), w
}

func (w *witness) hear(_ *mqtt.Client, _ packets.Subscription, pk packets.Packet) {
	e := lifecycle{topic: pk.TopicName}
	if err := json.Unmarshal(pk.Payload, &e); err != nil {
		w.t.Errorf("%s: %v in %s", pk.TopicName, err, pk.Payload)
	}
	w.heard <- e
}

// next returns the next event and demands what all have.
func (w *witness) next(l *mint.Leaf, clientID string) lifecycle {
	w.t.Helper()
	select {
	case e := <-w.heard:
		kind := "presence/"
		if strings.HasSuffix(e.EventType, "subscribed") {
			kind = "subscriptions/"
		} else if e.IPAddress != "127.0.0.1" || e.Version == 0 {
			w.t.Errorf("%s: address %q, version %d", e.topic, e.IPAddress, e.Version)
		}
		age := time.Since(time.UnixMilli(e.Timestamp))
		if e.topic != "$aws/events/"+kind+e.EventType+"/"+clientID || e.ClientID != clientID || e.Principal != id(l) || len(e.SessionID) != 32 || age < -time.Second || age > time.Hour {
			w.t.Errorf("%s: %+v", e.topic, e)
		}
		return e
	case <-time.After(patience):
		w.t.Fatal("no event")
		return lifecycle{}
	}
}

// principals fail when a test wants it.
type principals struct {
	hooks.Principals
	failed *atomic.Bool
}

func (p principals) Principal(ctx context.Context, account, id, clientID string) (muster.Principal, error) {
	if p.failed.Load() {
		return muster.Principal{}, errors.New("the disk is broken")
	}
	return p.Principals.Principal(ctx, account, id, clientID)
}

const onlyNews = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
 {"Effect":"Allow","Action":["iot:Publish","iot:Subscribe","iot:Receive"],"Resource":"arn:aws:iot:*:*:*/news*"}]}`

// newsFixture has a device that may do little.
func newsFixture(t *testing.T, o options) (*fixture, *witness, *mint.Leaf) {
	t.Helper()
	f, w := newWitness(t, o)
	f.policy("news", onlyNews)
	return f, w, f.registered("lamp", "news")
}

// TestDisconnectReasons ends connections in every way there is.
func TestDisconnectReasons(t *testing.T) {
	t.Parallel()
	type end func(f *fixture, w *witness, c *raw, l *mint.Leaf)
	bytes := func(b ...byte) end { return func(_ *fixture, _ *witness, c *raw, _ *mint.Leaf) { c.bytes(b...) } }
	status := func(s muster.Status) end {
		return func(f *fixture, _ *witness, _ *raw, l *mint.Leaf) {
			_, err := f.store.UpdateCertificateStatus(f.t.Context(), account, id(l), s)
			must(f.t, err)
		}
	}
	detach := func(f *fixture, _ *witness, _ *raw, l *mint.Leaf) {
		must(f.t, f.store.DetachPolicy(f.t.Context(), account, "news", muster.KindCertificate, id(l)))
	}
	for name, test := range map[string]struct {
		only byte // version; 0: both
		want hooks.DisconnectReason
		end  end
	}{
		"goodbye":           {want: hooks.DisconnectClientInitiated, end: bytes(0xE0, 0x00)},
		"goodbye with will": {only: 5, want: hooks.DisconnectClientInitiated, end: bytes(0xE0, 0x01, 0x04)},
		"cut": {want: hooks.DisconnectConnectionLost, end: func(_ *fixture, _ *witness, c *raw, _ *mint.Leaf) {
			_ = c.conn.(*tls.Conn).NetConn().Close()
		}},
		"closed without a goodbye": {want: hooks.DisconnectConnectionLost, end: func(_ *fixture, _ *witness, c *raw, _ *mint.Leaf) { _ = c.conn.Close() }},
		"half a packet, and cut": {want: hooks.DisconnectConnectionLost, end: func(_ *fixture, _ *witness, c *raw, _ *mint.Leaf) {
			c.bytes(0x30, 0x20, 0x00)
			_ = c.conn.Close()
		}},
		"silence":                    {want: hooks.DisconnectKeepAlive, end: func(*fixture, *witness, *raw, *mint.Leaf) {}},
		"a decoder that panics":      {only: 5, want: hooks.DisconnectClientError, end: bytes(0x82, 0x05, 0x00, 0x01, 0x00, 0x00, 0x00)},
		"a filter without a length":  {only: 4, want: hooks.DisconnectClientError, end: bytes(0x82, 0x03, 0x00, 0x01, 0x00)},
		"a packet type there is not": {want: hooks.DisconnectClientError, end: bytes(0x00, 0x00)},
		"a packet of servers":        {want: hooks.DisconnectClientError, end: bytes(0xD0, 0x00)},
		"a second CONNECT": {want: hooks.DisconnectClientError, end: func(f *fixture, _ *witness, c *raw, _ *mint.Leaf) {
			must(f.t, c.write(connectPacket(c.version, "lamp")))
		}},
		"a large packet": {want: hooks.DisconnectClientError, end: bytes(0x30, 0xFF, 0xFF, 0xFF, 0x7F)},
		"another with its ID": {want: hooks.DisconnectDuplicate, end: func(f *fixture, _ *witness, c *raw, l *mint.Leaf) {
			f.raw(l, c.version).admitted("lamp", nil)
		}},
		"revoked":       {want: hooks.DisconnectAuthError, end: status(muster.Revoked)},
		"inactive":      {want: hooks.DisconnectAuthError, end: status(muster.Inactive)},
		"its policy":    {want: hooks.DisconnectForbidden, end: detach},
		"a broken disk": {want: hooks.DisconnectServerError, end: func(f *fixture, w *witness, c *raw, l *mint.Leaf) { w.failed.Store(true); detach(f, w, c, l) }},
		"a publish that it may not": {only: 4, want: hooks.DisconnectAuthError, end: func(f *fixture, _ *witness, c *raw, _ *mint.Leaf) {
			must(f.t, c.write(c.publishPacket("elsewhere", 1)))
		}},
		"deleted": {want: hooks.DisconnectAuthError, end: func(f *fixture, w *witness, c *raw, l *mint.Leaf) {
			status(muster.Inactive)(f, w, c, l)
			must(f.t, f.store.DeleteCertificate(f.t.Context(), account, id(l), true))
		}},
	} {
		for version, number := range versions {
			if test.only != 0 && test.only != number {
				continue
			}
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				f, w, l := newsFixture(t, options{broker: unlimited})
				c := f.raw(l, number)
				c.admitted("lamp", func(p *packets.Packet) {
					if test.want == hooks.DisconnectKeepAlive {
						p.Connect.Keepalive = 1
					}
				})
				here := w.next(l, "lamp")
				test.end(f, w, c, l)
				gone := w.next(l, "lamp")
				own := test.want == hooks.DisconnectClientInitiated
				if here.short() != "connected" || gone.EventType != "disconnected" || gone.DisconnectReason != string(test.want) ||
					gone.ClientInitiated == nil || *gone.ClientInitiated != own {
					t.Errorf("heard %q and %q, want %s", here.short(), gone.short(), test.want)
				}
				if here.SessionID != gone.SessionID || here.Version != gone.Version || here.ClientInitiated != nil {
					t.Errorf("they do not belong together: %+v, %+v", here, gone)
				}
			})
		}
	}
}

// TestDisconnectReasonOfSlowSubscribers, who are told only after a while that
// they have to go.
func TestDisconnectReasonOfSlowSubscribers(t *testing.T) {
	for version, number := range versions {
		t.Run(version, func(t *testing.T) {
			f, w := newWitness(t, options{hook: patient})
			f.policy("all", allowAll)
			l := f.registered("stuck", "all")
			cut := f.stuck(l, number)
			f.admitted(l, "stuck")
			awaitCut(t, cut)
			if got, want := w.of("stuck", 4), "connected, subscribed flood, disconnected DUPLICATE_CLIENTID, connected"; got != want {
				t.Errorf("heard %s", got)
			}
		})
		t.Run(version+" that does not acknowledge", func(t *testing.T) {
			f, w, l := newsFixture(t, options{})
			c := f.raw(l, number)
			c.admitted("lamp", nil)
			c.replies(c.subscribePacket("news"))
			f.policy("all", allowAll)
			writer := f.admitted(f.registered("writer", "all"), "writer")
			for f.seen.count("dropped") == 0 {
				if _, err := writer.publish(t, &paho.Publish{Topic: "news", QoS: 1}); err != nil {
					t.Fatal(err)
				}
			}
			if got, want := w.of("lamp", 3), "connected, subscribed news, disconnected THROTTLED"; got != want {
				t.Errorf("heard %s", got)
			}
		})
	}
}

// of returns the next n events of a client.
func (w *witness) of(clientID string, n int) string {
	w.t.Helper()
	var heard []string
	for len(heard) < n {
		select {
		case e := <-w.heard:
			if e.ClientID == clientID {
				heard = append(heard, e.short())
			}
		case <-time.After(patience):
			w.t.Fatalf("heard %q", heard)
		}
	}
	return strings.Join(heard, ", ")
}

// TestShutdownIsToldOf, to whoever hears it still.
func TestShutdownIsToldOf(t *testing.T) {
	var w *witness
	var l *mint.Leaf
	var conn net.Conn
	t.Cleanup(func() { // runs when the broker has ended, and not before: the device shall not be the first to go
		_ = conn.Close()
		if got := w.next(l, "lamp").short(); got != "disconnected SERVER_INITIATED_DISCONNECT" {
			t.Errorf("heard %s", got)
		}
	})
	var f *fixture
	f, w, l = newsFixture(t, options{})
	tc, err := f.dial(l)
	must(t, err)
	conn = tc
	newRaw(t, conn, 5).admitted("lamp", nil)
	w.next(l, "lamp")
}

// TestSubscriptionsAreToldOf: what was granted, what was taken back, and what a
// policy took away.
func TestSubscriptionsAreToldOf(t *testing.T) {
	for version, number := range versions {
		t.Run(version, func(t *testing.T) {
			f, w, l := newsFixture(t, options{})
			c := f.raw(l, number)
			c.admitted("lamp", nil)
			w.next(l, "lamp")
			c.replies(c.subscribePacket("news", "secrets", "news/today"))
			if got := w.next(l, "lamp").short(); got != "subscribed news,news/today" {
				t.Errorf("heard %s", got)
			}
			c.replies(c.subscribePacket("secrets"))
			unsubscribe := []byte{0xA2, 0x0F, 0x00, 0x09, 0x00, 0x04, 'n', 'e', 'w', 's', 0x00, 0x05, 'o', 't', 'h', 'e', 'r'}
			if number == 5 {
				unsubscribe = append([]byte{0xA2, 0x10, 0x00, 0x09, 0x00}, unsubscribe[4:]...)
			}
			c.bytes(unsubscribe...)
			if got := w.next(l, "lamp").short(); got != "unsubscribed news" {
				t.Errorf("heard %s", got)
			}
			f.policy("quiet", strings.ReplaceAll(onlyNews, "news*", "old"))
			must(t, f.store.AttachPolicy(t.Context(), account, "quiet", muster.KindCertificate, id(l)))
			must(t, f.store.DetachPolicy(t.Context(), account, "news", muster.KindCertificate, id(l)))
			if got := w.next(l, "lamp").short(); got != "unsubscribed news/today" {
				t.Errorf("heard %s", got)
			}
			c.bytes(0xE0, 0x00)
			c.end()
			f.raw(l, number).admitted("lamp", nil)
			if got, want := w.of("lamp", 2), "disconnected CLIENT_INITIATED_DISCONNECT, connected"; got != want {
				t.Errorf("heard %s", got)
			}
		})
	}
}

// TestPresenceIsPaired: of a hundred that take over one client ID at once, each
// that was let in appears once and is gone once, before the next appears.
func TestPresenceIsPaired(t *testing.T) {
	t.Parallel()
	const rounds, racers = 3, 100
	f, w := newWitness(t, options{broker: unlimited})
	f.policy("all", allowAll)
	sensor := device{Leaf: f.registered("sensor", "all"), sessions: tls.NewLRUClientSessionCache(4)}
	for range rounds {
		f.race(sensor, racers)
	}
	_, err := f.store.UpdateCertificateStatus(t.Context(), account, id(sensor.Leaf), muster.Revoked)
	must(t, err)
	f.seen.wait(t, "open", func(n int) bool { return n == 0 })
	connected := 0
	var here *lifecycle
	for len(w.heard) > 0 {
		e := w.next(sensor.Leaf, "sensor")
		switch {
		case e.EventType == "connected" && here == nil:
			connected++
			here = &e
		case e.EventType == "disconnected" && here != nil && e.SessionID == here.SessionID && e.Version == here.Version:
			here = nil
		default:
			t.Fatalf("after %d connections %s of version %d came while %+v was there", connected, e.EventType, e.Version, here)
		}
	}
	if here != nil || connected == 0 {
		t.Errorf("%d connections; the last one never went", connected)
	}
	if admitted := f.seen.count("connected false"); connected < rounds || connected > admitted {
		t.Errorf("%d connections were told of, and %d admitted", connected, admitted)
	}
}

// TestPresenceIsForPolicies to show, and nobody's to forge.
func TestPresenceIsForPolicies(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("news", onlyNews)
	f.policy("all", allowAll)
	curious, liar := f.raw(f.registered("curious", "news"), 5), f.raw(f.registered("liar", "all"), 5)
	curious.admitted("curious", nil)
	if got := curious.replies(curious.subscribePacket("$aws/events/presence/connected/#", "$share/g/$aws/events/#", "#")); got != suback(0x87, 0x87, 0x87) {
		t.Errorf("a curious device got %s", got)
	}
	liar.admitted("liar", nil)
	if got := liar.replies(liar.subscribePacket("$aws/events/presence/disconnected/lamp")); got != suback(1) {
		t.Error(got)
	}
	if got := liar.replies(liar.publishPacket("$aws/events/presence/disconnected/lamp", 1)); got != "Puback 87" {
		t.Errorf("a liar got %s", got)
	}
}

// TestNoEventsOfNamesWithWildcards: no topic could name them.
func TestNoEventsOfNamesWithWildcards(t *testing.T) {
	f, w := newWitness(t, options{})
	f.policy("all", allowAll)
	l := f.registered("lamp", "all")
	for _, name := range []string{"a+", "#", strings.Repeat("x", 65_535), "lamp"} {
		c := f.raw(l, 4)
		c.admitted(name, nil)
		c.bytes(0xE0, 0x00)
		c.end()
	}
	for _, want := range []string{"connected", "disconnected CLIENT_INITIATED_DISCONNECT"} {
		if got := w.next(l, "lamp").short(); got != want {
			t.Errorf("heard %s", got)
		}
	}
	if n := len(w.heard); n > 0 {
		t.Errorf("%d more events", n)
	}
}
