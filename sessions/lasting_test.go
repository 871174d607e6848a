package sessions_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/mochi-mqtt/server/v2"
	mochi "github.com/mochi-mqtt/server/v2/packets"
	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster/sessions"
)

// TestGoodbyeForEver: a DISCONNECT may not ask for a longer session than a CONNECT.
func TestGoodbyeForEver(t *testing.T) {
	f := open(t, sessions.Config{})
	forever := ^uint32(0)
	must(t, f.connect("reader", nil).Disconnect(&paho.Disconnect{Properties: &paho.DisconnectProperties{SessionExpiryInterval: &forever}}))
	f.conns.Wait()
	cl, _ := f.server.Clients.Get("reader")
	if got := cl.Properties.Props.SessionExpiryInterval; got != 3600 {
		t.Errorf("the session lasts %d seconds", got)
	}
}

// TestForgotten: mochi forgets what it sends once there is room for more. What was
// not acknowledged then comes again, whatever the QoS of its publisher.
func TestForgotten(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		f := open(t, sessions.Config{Dir: dir})
		for _, qos := range []byte{1, 2} {
			id := fmt.Sprint("reader", qos)
			r := f.rawWith(id, mochi.Properties{SessionExpiryInterval: 3600, SessionExpiryIntervalFlag: true, ReceiveMaximum: 1})
			r.subscribe(id)
			w := f.connect("writer", nil)
			for i := range 3 {
				w.publish(&paho.Publish{Topic: id, QoS: qos, Payload: fmt.Append(nil, i)})
			}
			r.send(mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Puback}, PacketID: r.await(mochi.Publish).PacketID})
			r.await(mochi.Publish)
			cl, _ := f.server.Clients.Get(id)
			for end := time.Now().Add(patience); cl.State.Inflight.Len() > 1 && time.Now().Before(end); {
				runtime.Gosched() // it is forgotten just after it was sent
			}
			r.close()
			again := f.connect(id, nil)
			for i := range 2 {
				if m := again.next(); string(m.Payload) != fmt.Sprint(i+1) {
					t.Errorf("in %q, QoS %d: %s came", dir, qos, m.Payload)
				}
			}
		}
		f.stop()
	}
}

// skipping takes large messages from the window of a client, as package hooks does.
type skipping struct{ mqtt.HookBase }

func (skipping) Provides(b byte) bool { return b == mqtt.OnPacketEncode }

func (skipping) OnPacketEncode(cl *mqtt.Client, pk mqttPacket) mqttPacket {
	if pk.FixedHeader.Type == mochi.Publish && len(pk.Payload) > 100 {
		cl.State.Inflight.Delete(pk.PacketID)
	}
	return pk
}

// TestTooLarge: what a client does not take does not fill the store while it is
// connected.
func TestTooLarge(t *testing.T) {
	f := open(t, sessions.Config{Dir: t.TempDir()}, &skipping{})
	r := f.rawWith("reader", mochi.Properties{SessionExpiryInterval: 3600, SessionExpiryIntervalFlag: true, MaximumPacketSize: 100})
	r.subscribe("a")
	w := f.connect("writer", nil)
	for range 50 {
		w.publish(&paho.Publish{Topic: "a", QoS: 1, Payload: make([]byte, 1000)})
	}
	w.publish(&paho.Publish{Topic: "a", QoS: 1})
	r.await(mochi.Publish) // the others were dealt with before
	if got := f.store.Figures().Waiting; got > 2<<10 {
		t.Errorf("%d bytes wait", got)
	}
}

// lingering keeps a connection whose session ends with it until another has taken
// that over: package hooks sees to it that mochi does not mistake the one for the
// other.
type lingering struct{ mqtt.HookBase }

func (lingering) Provides(b byte) bool { return b == mqtt.OnDisconnect }

func (lingering) OnDisconnect(cl *mqtt.Client, _ error, expire bool) {
	for end := time.Now().Add(patience); expire && !cl.IsTakenOver() && time.Now().Before(end); {
		runtime.Gosched()
	}
}

// TestInherited: who takes over from a session that was to end with its connection,
// and is told that the session is present, has its subscriptions after a restart.
func TestInherited(t *testing.T) {
	dir := t.TempDir()
	f := open(t, sessions.Config{Dir: dir}, &lingering{})
	f.connect("reader", func(cp *paho.Connect) { cp.Properties = nil }).subscribe(paho.SubscribeOptions{Topic: "a", QoS: 1})
	r := f.connect("reader", nil)
	if !r.ack.SessionPresent {
		t.Fatal("it is not present")
	}
	r.subscribe(paho.SubscribeOptions{Topic: "b"}) // its beginning is stored
	f.stop()
	f = open(t, sessions.Config{Dir: dir})
	f.connect("writer", nil).publish(&paho.Publish{Topic: "a", QoS: 1})
	f.connect("reader", nil).next()
}

// TestRestartsAddNoTime: a session whose connection a crash ended expires, however
// often the server starts meanwhile.
func TestRestartsAddNoTime(t *testing.T) {
	dir := t.TempDir()
	f := open(t, sessions.Config{Dir: dir})
	two := uint32(2)
	f.connect("reader", func(cp *paho.Connect) { cp.Properties.SessionExpiryInterval = &two })
	f.crash()
	for range 4 {
		f = open(t, sessions.Config{Dir: dir})
		<-time.After(1100 * time.Millisecond) // the standard counts in seconds
		f.stop()
	}
	f = open(t, sessions.Config{Dir: dir})
	if f.connect("reader", nil).ack.SessionPresent {
		t.Error("it is present")
	}
}

// TestFailureIsTold: a failure that no write tells of ends Run, and is logged.
func TestFailureIsTold(t *testing.T) {
	var log bytes.Buffer
	s, err := sessions.Open(sessions.Config{Dir: t.TempDir(), Log: zerolog.New(&log)})
	must(t, err)
	s.Break(errors.New("the disk is full"))
	s.Run(t.Context())
	if !strings.Contains(log.String(), "the disk is full") {
		t.Errorf("the log has %q", &log)
	}
	must(t, s.Close())
}
