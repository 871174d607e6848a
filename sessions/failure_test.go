package sessions_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mochi "github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/sessions"
)

// end waits for the end of the connection and returns the reason of the
// DISCONNECT.
func (c *client) end() byte {
	c.t.Helper()
	select {
	case code := <-c.gone:
		return code
	case <-time.After(patience):
		c.t.Fatal("the connection is still open")
		return 0
	}
}

// TestFailure: once a write failed, nothing is acknowledged that would have to be
// stored; all else goes on.
func TestFailure(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		f := open(t, sessions.Config{Dir: t.TempDir()})
		r := f.connect("reader", nil)
		r.subscribe(paho.SubscribeOptions{Topic: "kept", QoS: 2})
		other, brief := f.connect("other", nil), f.connect("brief", func(cp *paho.Connect) { cp.Properties = nil })
		brief.subscribe(paho.SubscribeOptions{Topic: "brief", QoS: 1})
		w := f.connect("writer", func(cp *paho.Connect) { cp.Properties = nil })
		f.store.Break(errors.New("no space left on device"))
		if f.store.Err() == nil {
			t.Error("the store is well")
		}
		if code := w.publish(&paho.Publish{Topic: "brief", QoS: qos}); code != 0 {
			t.Errorf("what nobody keeps is answered 0x%x", code)
		}
		brief.next()
		go func() { _, _ = w.Publish(t.Context(), &paho.Publish{Topic: "kept", QoS: qos}) }()
		if code := w.end(); code != 0x83 {
			t.Errorf("QoS %d: the publisher's connection ends with 0x%x", qos, code)
		}
		go func() {
			_, _ = other.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "a"}}})
		}()
		if code := other.end(); code != 0x83 {
			t.Errorf("the subscriber's connection ends with 0x%x", code)
		}
		if reason, _ := f.hook.Refuses("reader"); reason != muster.ReasonInternalError {
			t.Errorf("a session is refused for %q", reason)
		}
		f.stop()
	}
}

// TestExpiry: what expired while no server ran does not come back.
func TestExpiry(t *testing.T) {
	dir := t.TempDir()
	f := open(t, sessions.Config{Dir: dir})
	for name, lasts := range map[string]uint32{"short": 1, "long": 3600} {
		r := f.connect(name, func(cp *paho.Connect) { cp.Properties.SessionExpiryInterval = &lasts })
		r.subscribe(paho.SubscribeOptions{Topic: "a", QoS: 1})
		r.leave()
	}
	second := uint32(1)
	w := f.connect("writer", func(cp *paho.Connect) { cp.Properties = nil })
	for _, retain := range []bool{false, true} {
		w.publish(&paho.Publish{Topic: "a", QoS: 1, Retain: retain, Payload: []byte("x"), Properties: &paho.PublishProperties{MessageExpiry: &second}})
	}
	f.stop()
	<-time.After(2100 * time.Millisecond) // the standard counts in seconds, and nothing here runs that could be waited for

	f = open(t, sessions.Config{Dir: dir})
	if got := f.store.Figures(); got != (sessions.Figures{Sessions: 1}) {
		t.Errorf("what came back: %+v", got)
	}
	if f.connect("short", nil).ack.SessionPresent || !f.connect("long", nil).ack.SessionPresent {
		t.Error("the sessions that are present are not those that last")
	}
}

// TestQoS0CostsNothing: the hook runs for each packet of each client.
func TestQoS0CostsNothing(t *testing.T) {
	f := open(t, sessions.Config{Dir: t.TempDir()})
	cl := f.server.NewClient(nil, "test", "transient", false)
	message := mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Publish}, TopicName: "a", Payload: []byte("x")}
	atLeastOnce := message
	atLeastOnce.FixedHeader.Qos, atLeastOnce.PacketID = 1, 1
	n := testing.AllocsPerRun(100, func() {
		_, _ = f.hook.OnPacketRead(cl, message)
		_, _ = f.hook.OnPublish(cl, message)
		f.hook.OnPublished(cl, message)
		_ = f.hook.OnPacketEncode(cl, message)
		f.hook.OnQosPublish(cl, atLeastOnce, 0, 0)
		_ = f.hook.OnPacketEncode(cl, atLeastOnce)
		f.hook.OnQosComplete(cl, atLeastOnce)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestUnfinishedFiles: a process that is killed while it makes a file of the store
// leaves an empty one, and the next start is not concerned.
func TestUnfinishedFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"", "00042.mem", "000042.vlog"} {
		if name != "" {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := sessions.Open(sessions.Config{Dir: dir})
		if err != nil {
			t.Fatalf("with an empty %s: %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOnceOrNotAtAll: a message of QoS 2 does not go out before it is stored that
// its publisher will not have it passed on again.
func TestOnceOrNotAtAll(t *testing.T) {
	f := open(t, sessions.Config{Dir: t.TempDir()})
	r := f.connect("reader", nil)
	r.subscribe(paho.SubscribeOptions{Topic: "a", QoS: 2})
	w, last := f.connect("writer", nil), f.connect("last", nil)
	f.store.Break(errors.New("no space left on device"))
	go func() { _, _ = w.Publish(t.Context(), &paho.Publish{Topic: "a", QoS: 2, Payload: []byte("once")}) }()
	w.end()
	last.publish(&paho.Publish{Topic: "a", Payload: []byte("last")})
	if m := r.next(); string(m.Payload) != "last" {
		t.Errorf("%s came", m.Payload)
	}
}

// answer writes packets and returns the type of what comes back; 0 for the end.
func answer(t *testing.T, c net.Conn, packet ...byte) (kind byte, body []byte) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(packet); err != nil {
		t.Fatal(err)
	}
	var head [2]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return 0, nil
	}
	body = make([]byte, head[1])
	if _, err := io.ReadFull(c, body); err != nil {
		return 0, nil
	}
	return head[0], body
}

// greet connects a client of one letter that keeps its session.
func greet(t *testing.T, f *fixture, id byte) net.Conn {
	t.Helper()
	c := f.dial()
	connect := []byte{0x10, 19, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 60, 5, 0x11, 0, 0, 14, 16, 0, 1, id}
	if kind, body := answer(t, c, connect...); kind != 0x20 || body[1] != 0 {
		t.Fatalf("%x %x instead of CONNACK", kind, body)
	}
	return c
}

// TestReleasedWhenStored: neither PUBCOMP nor PUBREL goes out before it is stored
// that the identifier is free, or that the message is there.
func TestReleasedWhenStored(t *testing.T) {
	full := errors.New("no space left on device")
	t.Run("PUBCOMP", func(t *testing.T) {
		f := open(t, sessions.Config{Dir: t.TempDir()})
		w := greet(t, f, 'w')
		if kind, _ := answer(t, w, 0x34, 7, 0, 1, 'a', 0, 1, 0, 'x'); kind != 0x50 {
			t.Fatalf("%x instead of PUBREC", kind)
		}
		f.store.Break(full)
		if kind, body := answer(t, w, 0x62, 2, 0, 1); kind == 0x70 {
			t.Errorf("PUBCOMP %x", body)
		}
	})
	t.Run("PUBREL", func(t *testing.T) {
		f := open(t, sessions.Config{Dir: t.TempDir()})
		r := greet(t, f, 'r')
		if kind, _ := answer(t, r, 0x82, 7, 0, 1, 0, 0, 1, 'a', 2); kind != 0x90 {
			t.Fatalf("%x instead of SUBACK", kind)
		}
		f.connect("writer", nil).publish(&paho.Publish{Topic: "a", QoS: 2, Payload: []byte("x")})
		kind, body := answer(t, r)
		if kind != 0x34 {
			t.Fatalf("%x instead of PUBLISH", kind)
		}
		f.store.Break(full)
		if kind, body := answer(t, r, 0x50, 2, body[3], body[4]); kind == 0x62 {
			t.Errorf("PUBREL %x", body)
		}
	})
}
