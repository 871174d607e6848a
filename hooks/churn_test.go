package hooks_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
)

// TestPresenceWhileClientsPushEachOtherOut: however connections of a few client IDs
// begin and end, each has one event of either kind, one after the other, and a
// higher number than those before. Run it with -race.
func TestPresenceWhileClientsPushEachOtherOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		defer b.stop()
		type event struct {
			ClientID, EventType, SessionIdentifier string
			VersionNumber                          int64
		}
		var mu sync.Mutex
		here, last, told := map[string]string{}, map[string]int64{}, 0
		must(t, b.server.Subscribe("$aws/events/presence/#", 1, func(_ *mqtt.Client, _ packets.Subscription, pk packets.Packet) {
			mu.Lock()
			defer mu.Unlock()
			var e event
			if err := json.Unmarshal(pk.Payload, &e); err != nil {
				t.Error(err)
			}
			told++
			switch now := here[e.ClientID]; {
			case e.EventType == "connected" && now == "" && e.VersionNumber > last[e.ClientID]:
				here[e.ClientID], last[e.ClientID] = e.SessionIdentifier, e.VersionNumber
			case e.EventType == "disconnected" && now == e.SessionIdentifier:
				here[e.ClientID] = ""
			default:
				t.Errorf("%+v after %q, %d", e, now, last[e.ClientID])
			}
		}))
		l := b.leaf("sensor")
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for j := range 30 {
					p := b.dial(l, byte(4+j%2))
					c := connectPacket(fmt.Sprintf("client-%d", (i+j)%3))
					c.Connect.Clean = j%4 != 0
					kept(uint32(j % 5))(&c)
					p.write(c)
					p.ends(j % 5)
				}
			})
		}
		all.Wait()
		synctest.Wait()
		for client, session := range here {
			if session != "" {
				t.Errorf("%s is still said to be here", client)
			}
		}
		if told == 0 {
			t.Error("nothing was told")
		}
	})
}

// ends ends a connection in one of several ways, the first also before its CONNACK.
func (p *peer) ends(way int) {
	switch way {
	case 0:
		p.leave(0, -1)
	case 1:
		<-p.in
	case 2:
		if _, ok := <-p.in; ok {
			p.wire.session.Kick(muster.ReasonRevoked, "")
		}
	case 3: // mochi panics over a filter without options
		_, _ = p.conn.Write([]byte{packets.Subscribe<<4 | 2, 6, 0, 1, 0, 0, 1, 'a'})
	}
	_ = p.conn.Close()
}
