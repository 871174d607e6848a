package sessions_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mochi "github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/sessions"
)

type mqttPacket = mochi.Packet

// TestRestart: sessions, their subscriptions with all options, what waits, and
// what is retained outlive the server; what ended does not.
func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "sessions")
	f := open(t, sessions.Config{Dir: dir})
	id := 7
	r := f.connect("reader", nil)
	r.Subscribe(t.Context(), &paho.Subscribe{
		Properties:    &paho.SubscribeProperties{SubscriptionIdentifier: &id},
		Subscriptions: []paho.SubscribeOptions{{Topic: "a/#", QoS: 2, RetainAsPublished: true}},
	})
	r.subscribe(paho.SubscribeOptions{Topic: "gone", QoS: 1})
	_, err := r.Unsubscribe(t.Context(), &paho.Unsubscribe{Topics: []string{"gone"}})
	must(t, err)
	r.leave()
	brief := f.connect("brief", func(cp *paho.Connect) { cp.Properties = nil })
	brief.subscribe(paho.SubscribeOptions{Topic: "a/#", QoS: 1})
	w := f.connect("writer", nil)
	for i := range 5 {
		expires := uint32(600)
		w.publish(&paho.Publish{Topic: fmt.Sprintf("a/%d", i), QoS: byte(1 + i%2), Retain: i == 4, Payload: []byte{'0' + byte(i)},
			Properties: &paho.PublishProperties{MessageExpiry: &expires, ResponseTopic: "answer", ContentType: "digit",
				CorrelationData: []byte("c"), User: paho.UserProperties{{Key: "k", Value: "v"}}}})
	}
	w.publish(&paho.Publish{Topic: "a/kept", Retain: true, QoS: 1, Payload: []byte("kept")})
	w.publish(&paho.Publish{Topic: "a/taken", Retain: true, QoS: 1, Payload: []byte("taken")})
	w.publish(&paho.Publish{Topic: "a/taken", Retain: true, QoS: 1})
	f.stop()

	f = open(t, sessions.Config{Dir: dir})
	accounts, err := f.store.Accounts()
	must(t, err)
	if len(accounts) != 1 || accounts[0] != account {
		t.Errorf("accounts %q", accounts)
	}
	if got := f.store.Figures(); got.Sessions != 2 || got.Retained != 2 || got.Waiting < 8<<10 {
		t.Errorf("figures %+v", got)
	}
	if again := f.connect("brief", nil); again.ack.SessionPresent {
		t.Error("a session that ends with its connection is there")
	}
	r = f.connect("reader", nil)
	if !r.ack.SessionPresent {
		t.Error("the session is lost")
	}
	for i := range 5 {
		m := r.next()
		p := m.Properties
		if m.Topic != fmt.Sprintf("a/%d", i) || m.QoS != byte(1+i%2) || m.Retain != (i == 4) || string(m.Payload) != fmt.Sprint(i) ||
			p.ResponseTopic != "answer" || p.ContentType != "digit" || string(p.CorrelationData) != "c" || p.User.Get("k") != "v" ||
			p.MessageExpiry == nil || *p.MessageExpiry > 600 || *p.MessageExpiry < 590 || p.SubscriptionIdentifier == nil || *p.SubscriptionIdentifier != id {
			t.Errorf("message %d is %v %+v", i, m, p)
		}
	}
	for _, want := range []string{"kept", "taken", ""} { // as they were published
		if m := r.next(); string(m.Payload) != want {
			t.Errorf("%v came, want %q", m, want)
		}
	}
	f.connect("writer", nil).publish(&paho.Publish{Topic: "gone", QoS: 1})
	guest := f.connect("guest", nil)
	guest.subscribe(paho.SubscribeOptions{Topic: "a/+", QoS: 1})
	got := map[string]bool{guest.next().Topic: true, guest.next().Topic: true}
	if !got["a/4"] || !got["a/kept"] {
		t.Errorf("retained are %v", got)
	}
	if len(r.messages) > 0 {
		t.Errorf("%v came, too", r.next())
	}
}

// TestCleanStart deletes what was stored.
func TestCleanStart(t *testing.T) {
	dir := t.TempDir()
	f := open(t, sessions.Config{Dir: dir})
	r := f.connect("reader", nil)
	r.subscribe(paho.SubscribeOptions{Topic: "a", QoS: 1})
	r.leave()
	f.connect("writer", nil).publish(&paho.Publish{Topic: "a", QoS: 1, Payload: []byte("old")})
	f.connect("reader", func(cp *paho.Connect) { cp.CleanStart = true })
	f.stop()

	f = open(t, sessions.Config{Dir: dir})
	r = f.connect("reader", nil)
	if !r.ack.SessionPresent {
		t.Error("the new session is lost")
	}
	w := f.connect("writer", nil)
	w.publish(&paho.Publish{Topic: "a", QoS: 1})
	r.subscribe(paho.SubscribeOptions{Topic: "b", QoS: 1})
	w.publish(&paho.Publish{Topic: "b", QoS: 1})
	if m := r.next(); m.Topic != "b" {
		t.Errorf("%s came", m.Topic)
	}
}

// TestOrder: what waits comes in the order in which it was published, however many
// came within a second.
func TestOrder(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		f := open(t, sessions.Config{Dir: dir})
		r := f.connect("reader", nil)
		r.subscribe(paho.SubscribeOptions{Topic: "a", QoS: 1})
		r.leave()
		w := f.connect("writer", nil)
		for i := range 300 {
			w.publish(&paho.Publish{Topic: "a", QoS: 1, Payload: fmt.Appendf(nil, "%d", i)})
		}
		if dir != "" {
			f.stop()
			f = open(t, sessions.Config{Dir: dir})
		}
		r = f.connect("reader", nil)
		for i := range 300 {
			if m := r.next(); string(m.Payload) != fmt.Sprint(i) {
				t.Fatalf("message %d is %s", i, m.Payload)
			}
		}
		f.stop()
	}
}

// TestOneIdentifierBothWays: the client's packets and the server's have numbers of
// their own. A message on its way to a client outlives a packet of the client with
// the same number.
func TestOneIdentifierBothWays(t *testing.T) {
	f := open(t, sessions.Config{})
	r := f.connect("reader", nil)
	r.subscribe(paho.SubscribeOptions{Topic: "a", QoS: 1})
	r.leave()
	w := f.connect("writer", nil)
	for range 3 {
		w.publish(&paho.Publish{Topic: "a", QoS: 1})
	}
	silent := f.raw("reader")
	for range 3 {
		silent.await(mochi.Publish)
	}
	for id, qos := range []byte{1, 2, 1} {
		silent.send(mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Publish, Qos: qos}, TopicName: "b", PacketID: uint16(id + 1)})
		if ack := silent.await(mochi.Puback, mochi.Pubrec); ack.PacketID != uint16(id+1) || ack.ReasonCode != 0 {
			t.Errorf("publish %d is answered by %+v", id+1, ack)
		}
	}
	silent.send(mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Subscribe, Qos: 1}, PacketID: 3, Filters: mochi.Subscriptions{{Filter: "c"}}})
	if ack := silent.await(mochi.Suback); ack.PacketID != 3 || ack.ReasonCodes[0] != 0 {
		t.Errorf("subscribe is answered by %+v", ack)
	}
	silent.close()
	r = f.connect("reader", nil)
	for range 3 {
		r.next()
	}
}

// TestSameAgain: a QoS 2 message that is sent again is acknowledged as before, and
// not passed on again, even by another server.
func TestSameAgain(t *testing.T) {
	dir := t.TempDir()
	f := open(t, sessions.Config{Dir: dir})
	r := f.connect("reader", nil)
	r.subscribe(paho.SubscribeOptions{Topic: "a", QoS: 2})
	r.leave()
	message := mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Publish, Qos: 2}, TopicName: "a", PacketID: 5}
	for range 2 {
		w := f.raw("writer")
		for range 2 {
			w.send(message)
			if ack := w.await(mochi.Pubrec); ack.PacketID != 5 || ack.ReasonCode != 0 {
				t.Errorf("answered by %+v", ack)
			}
		}
		w.close()
		f.stop()
		f = open(t, sessions.Config{Dir: dir})
	}
	w := f.raw("writer")
	for _, code := range []byte{0, mochi.ErrPacketIdentifierNotFound.Code} {
		w.send(mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Pubrel, Qos: 1}, PacketID: 5})
		if ack := w.await(mochi.Pubcomp); ack.PacketID != 5 || ack.ReasonCode != code {
			t.Errorf("PUBREL is answered by %+v, want %x", ack, code)
		}
	}
	w.send(message) // another, of the same number
	w.await(mochi.Pubrec)
	r = f.connect("reader", nil)
	r.next()
	r.next()
	f.connect("last", nil).publish(&paho.Publish{Topic: "a", QoS: 1, Payload: []byte("last")})
	if m := r.next(); string(m.Payload) != "last" {
		t.Error("it came once too often")
	}
}

// TestReceiveMaximum: a client that takes two messages at a time gets all of them,
// and none is lost that it did not acknowledge.
func TestReceiveMaximum(t *testing.T) {
	f := open(t, sessions.Config{Dir: t.TempDir()})
	two := func(cp *paho.Connect) { n := uint16(2); cp.Properties.ReceiveMaximum = &n }
	r := f.connect("reader", two)
	r.subscribe(paho.SubscribeOptions{Topic: "a", QoS: 2})
	w := f.connect("writer", nil)
	for i := range 40 {
		w.publish(&paho.Publish{Topic: "a", QoS: byte(1 + i%2), Payload: fmt.Appendf(nil, "%d", i)})
	}
	got := map[string]bool{}
	for range 40 {
		got[string(r.next().Payload)] = true
	}
	if len(got) != 40 {
		t.Errorf("%d messages came", len(got))
	}
}

// counts is an observer.
type counts struct {
	mu      sync.Mutex
	dropped map[string]int
}

func (c *counts) Committed(int, time.Duration) {}
func (c *counts) Dropped(limit string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped[limit]++
}

// TestLimits: what devices can make grow ends somewhere.
func TestLimits(t *testing.T) {
	seen := &counts{dropped: map[string]int{}}
	f := open(t, sessions.Config{Dir: t.TempDir(), Observer: seen, Limits: sessions.Limits{Sessions: 2, Retained: 2, Waiting: 10 << 10}})
	w := f.connect("writer", nil)
	if reason, _ := f.hook.Refuses("reader"); reason != "" {
		t.Errorf("the second session is refused: %s", reason)
	}
	r := f.connect("reader", nil)
	r.subscribe(paho.SubscribeOptions{Topic: "a", QoS: 1})
	r.leave()
	if reason, detail := f.hook.Refuses("third"); reason != muster.ReasonSessionQuota || !strings.Contains(detail, "limits.sessions") {
		t.Errorf("the third session: %q %q", reason, detail)
	}
	if reason, _ := f.hook.Refuses("reader"); reason != "" {
		t.Errorf("a session that is there is refused: %s", reason)
	}
	for i, want := range []byte{0, 0, 0x97} {
		if code := w.publish(&paho.Publish{Topic: fmt.Sprint(i), QoS: 1, Retain: true, Payload: []byte("x")}); code != want {
			t.Errorf("retained message %d: 0x%x, want 0x%x", i, code, want)
		}
	}
	w.publish(&paho.Publish{Topic: "3", Retain: true, Payload: []byte("x")})
	w.publish(&paho.Publish{Topic: "0", QoS: 1, Retain: true})
	if code := w.publish(&paho.Publish{Topic: "2", QoS: 1, Retain: true, Payload: []byte("x")}); code != 0 {
		t.Errorf("the place that is free again: 0x%x", code)
	}
	for range 20 {
		w.publish(&paho.Publish{Topic: "a", QoS: 1, Payload: make([]byte, 1000)})
	}
	if got := f.store.Figures(); got.Waiting > 10<<10 || got.Retained != 2 || got.Sessions != 2 {
		t.Errorf("figures %+v", got)
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if seen.dropped[sessions.LimitRetained] != 2 || seen.dropped[sessions.LimitWaiting] != 16 {
		t.Errorf("dropped %v", seen.dropped)
	}
}

// TestBroken: a store that cannot be read is an error that says what to do.
func TestBroken(t *testing.T) {
	dir := t.TempDir()
	f := open(t, sessions.Config{Dir: dir})
	if _, err := sessions.Open(sessions.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opened twice: %v", err)
	}
	f.connect("reader", nil)
	f.stop()
	must(t, os.WriteFile(filepath.Join(dir, "MANIFEST"), []byte("no manifest at all"), 0o600))
	if _, err := sessions.Open(sessions.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "move the folder away") {
		t.Errorf("opened: %v", err)
	}
}
