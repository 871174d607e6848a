package broker_test

import (
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/hooks"
)

func oneACertificate(c *hooks.Config) { c.OneConnection = hooks.OneACertificate }

// TestOneConnectionACertificate: the newer of two connections closes the older,
// and says so to its client, to explain and to the metrics.
func TestOneConnectionACertificate(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, options{hook: oneACertificate})
			f.policy("all", allowAll)
			l := f.registered("sensor", "all")
			old := f.raw(l, version)
			old.admitted("sensor-1", nil)
			next := f.raw(l, version)
			next.admitted("sensor-2", nil)
			last := old.end()
			if version == 5 && (last.FixedHeader.Type != packets.Disconnect || last.ReasonCode != 0x8E ||
				!strings.HasPrefix(last.Properties.ReasonString, string(muster.ReasonTakenOver)+": ")) {
				t.Errorf("the older ended with %+v", last)
			}
			if version < 5 && last.FixedHeader.Type == packets.Disconnect {
				t.Error("3.1.1 was sent a DISCONNECT")
			}
			f.seen.wait(t, "kicked taken_over", func(n int) bool { return n == 1 })
			if r := f.memory.Recall(id(l)); len(r) != 1 || r[0].Reason != muster.ReasonTakenOver || r[0].ClientID != "sensor-1" {
				t.Errorf("explain knows %+v", r)
			}
			if !next.alive() {
				t.Error("the newer is gone")
			}
			again := f.raw(l, version) // the same client ID is a takeover as ever
			again.admitted("sensor-2", nil)
			next.end()
			if !again.alive() {
				t.Error("the newest is gone")
			}
		})
	}
}

// TestManyConnectionsACertificate is what MQTT has.
func TestManyConnectionsACertificate(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	l := f.registered("sensor", "all")
	old := f.raw(l, 5)
	old.admitted("sensor-1", nil)
	f.raw(l, 5).admitted("sensor-2", nil)
	if !old.alive() {
		t.Error("the older is gone")
	}
}

const oneName = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/sensor-1"},
 {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/out"}]}`

// TestWhoIsRefusedDisplacesNobody: not for its client ID, and not for its will.
func TestWhoIsRefusedDisplacesNobody(t *testing.T) {
	f := newFixture(t, options{hook: oneACertificate})
	f.policy("one", oneName)
	l := f.registered("sensor", "one")
	old := f.raw(l, 5)
	old.admitted("sensor-1", nil)
	for clientID, edit := range map[string]func(*packets.Packet){"sensor-2": nil, "sensor-1": withWill("denied")} {
		if ack, err := f.raw(l, 5).connect(clientID, edit); err != nil || ack.ReasonCode != 0x87 {
			t.Errorf("%s: CONNACK 0x%02X, %v", clientID, ack.ReasonCode, err)
		}
	}
	// Who is to be closed may do nothing from then on.
	if got := old.replies(old.publishPacket("out", 1)); got != "Puback 00" {
		t.Errorf("a client that was refused displaced one that was not: %s", got)
	}
}

// TestOneConnectionACertificateRaces has connections of one certificate meet
// under names of their own: at most one may stay.
func TestOneConnectionACertificateRaces(t *testing.T) {
	t.Parallel()
	const rounds, racers = 50, 8
	f := newFixture(t, options{hook: oneACertificate, broker: unlimited})
	f.policy("all", allowAll)
	sensor := device{Leaf: f.registered("sensor", "all"), sessions: tls.NewLRUClientSessionCache(4)}
	ended, pongs := make(chan *raw, racers+1), make(chan *raw, 1)
	alive := map[*raw]bool{}
	for round := range rounds {
		for _, c := range f.raceUnderNames(sensor, racers) {
			alive[c] = true
			go c.listen(ended, pongs)
		}
		for len(alive) > 1 {
			select {
			case c := <-ended:
				delete(alive, c)
			case <-time.After(patience):
				t.Fatalf("round %d: %d connections of one certificate", round, len(alive))
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

func (f *fixture) raceUnderNames(d device, n int) []*raw {
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
			if ack, err := c.connect(fmt.Sprintf("sensor-%d", i), nil); err != nil || ack.ReasonCode != 0 {
				return // displaced before it had its CONNACK
			}
			mu.Lock()
			defer mu.Unlock()
			admitted = append(admitted, c)
		})
	}
	racing.Wait()
	return admitted
}
