package broker_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster/broker"
)

// traffic waits for what mochi counts after it has told the client.
func (f *fixture) traffic(what string, ok func(broker.Traffic) bool) {
	f.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok(f.broker.Traffic()) {
		if time.Now().After(deadline) {
			f.t.Fatalf("not within %v: %s: %+v", patience, what, f.broker.Traffic())
		}
		runtime.Gosched()
	}
}

// TestTraffic adds up what two accounts see.
func TestTraffic(t *testing.T) {
	f, here, there := twoAccounts(t)
	if got := f.broker.Traffic(); got != (broker.Traffic{}) {
		t.Errorf("before anybody came: %+v", got)
	}
	for _, d := range []device{here, there} {
		c, err := f.connectAs(d, "sensor")
		must(t, err)
		c.subscribe(t, "news")
		_, err = c.publish(t, &paho.Publish{Topic: "news", QoS: 1, Retain: true, Payload: []byte("hello")})
		must(t, err)
		c.next(t)
	}
	f.traffic("two clients, each with a subscription, a message that it sent, got and left", func(g broker.Traffic) bool {
		return g.Connected == 2 && g.Away == 0 && g.Subscriptions == 2 && g.Retained == 2 &&
			g.MessagesReceived == 2 && g.MessagesSent == 2 && g.PacketsReceived >= 6 && g.PacketsSent >= 6 &&
			g.BytesReceived > 100 && g.BytesSent > 20
	})
}

// TestTrafficAway counts a session that outlives its connection.
func TestTrafficAway(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	leaf := f.leaf(f.authority("factory", template), "sensor")
	c, err := f.connect(leaf, "sensor", func(p *paho.Connect) {
		p.Properties = &paho.ConnectProperties{SessionExpiryInterval: paho.Uint32(60)}
	})
	must(t, err)
	f.traffic("one client is connected", func(g broker.Traffic) bool { return g.Connected == 1 && g.Away == 0 })
	must(t, c.Disconnect(&paho.Disconnect{}))
	f.traffic("one session is away", func(g broker.Traffic) bool { return g.Connected == 0 && g.Away == 1 })
}

// TestTrafficInflight: messages that wait for a session are counted until it has
// taken them, after it changed its connection, too.
func TestTrafficInflight(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	leaf := f.leaf(f.authority("factory", template), "sensor")
	kept := func(p *paho.Connect) {
		p.CleanStart = false
		p.Properties = &paho.ConnectProperties{SessionExpiryInterval: paho.Uint32(60)}
	}
	c, err := f.connect(leaf, "sensor", kept)
	must(t, err)
	c.subscribe(t, "news")
	must(t, c.Disconnect(&paho.Disconnect{}))
	f.traffic("the session is away", func(g broker.Traffic) bool { return g.Away == 1 })
	writer := f.admitted(f.registered("writer", "all"), "writer")
	for range 3 {
		_, err := writer.publish(t, &paho.Publish{Topic: "news", QoS: 1})
		must(t, err)
	}
	f.traffic("three messages wait", func(g broker.Traffic) bool { return g.Inflight == 3 })
	c, err = f.connect(leaf, "sensor", kept)
	must(t, err)
	for range 3 {
		c.next(t)
	}
	f.traffic("all are acknowledged", func(g broker.Traffic) bool { return g.Inflight == 0 })
	must(t, c.Disconnect(&paho.Disconnect{}))
	f.traffic("none waits", func(g broker.Traffic) bool { return g.Inflight == 0 && g.Away == 1 })
}
