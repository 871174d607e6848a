package hooks

import (
	"net"
	"slices"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// drain takes the messages out of the line as mochi does: the next one after
// each packet of the client.
func drain(t *testing.T, h *Hook, cl *mqtt.Client) (ids []uint16) {
	t.Helper()
	for {
		if _, err := h.OnPacketRead(cl, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}, ProtocolVersion: 5}); err != nil {
			t.Fatal(err)
		}
		next, ok := cl.State.Inflight.NextImmediate()
		if !ok {
			return ids
		}
		ids = append(ids, next.PacketID)
		cl.State.Inflight.Delete(next.PacketID)
	}
}

func held(id uint16, created int64, interval uint32, bytes int) packets.Packet {
	return packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, TopicName: "a", PacketID: id, Created: created, Expiry: -1,
		Properties: packets.Properties{MessageExpiryInterval: interval}, Payload: make([]byte, bytes)}
}

// TestLine: what waits for room comes in the order in which it was numbered, also
// where the numbers begin anew and where the seconds pass a multiple of 65,536.
func TestLine(t *testing.T) {
	h, cl := admitted(t)
	cl.Properties.Props.ReceiveMaximum = 2
	now := time.Now().Unix()
	var want []uint16
	for i := range 100 {
		id := uint16(65500 + i)
		if id < 100 {
			id++ // 0 is none
		}
		want = append(want, id)
		cl.State.Inflight.Set(held(id, now&^(first-1)+int64(i/40), 0, 1))
	}
	if got := drain(t, h, cl); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// TestLineLeavesOut: a message whose time is over, or that is too large, is not
// sent and holds up nobody; mochi takes it out of the window.
func TestLineLeavesOut(t *testing.T) {
	h, cl := admitted(t)
	cl.Properties.Props.ReceiveMaximum, cl.Properties.Props.MaximumPacketSize = 1, 100
	now := time.Now().Unix()
	for id, pk := range []packets.Packet{held(0, now-3, 2, 1), held(0, now-3, 60, 1), held(0, now, 0, 200), held(0, now, 0, 1)} {
		pk.PacketID = uint16(id + 1)
		cl.State.Inflight.Set(pk)
	}
	if got := drain(t, h, cl); !slices.Equal(got, []uint16{2, 4}) {
		t.Errorf("sent: %v", got)
	}
	if got := cl.ClearExpiredInflights(now, 0); len(got) != 2 {
		t.Errorf("left out: %v", got)
	}
}

// TestAged: the first in line tells what is left of its time.
func TestAged(t *testing.T) {
	now := time.Now().Unix()
	for _, created := range []int64{now - 10, (now - 10) * first} {
		pk := held(1, created, 60, 1)
		aged(&pk)
		if got := pk.Properties.MessageExpiryInterval; got < 49 || got > 50 {
			t.Errorf("created %d: %d s left", created, got)
		}
	}
}

// TestAnnounced: a client of MQTT 5 learns which aliases and sizes are taken.
func TestAnnounced(t *testing.T) {
	h, cl := admitted(t)
	h.server.Options.Capabilities.MaximumPacketSize, h.server.Options.Capabilities.TopicAliasMaximum = 1000, 7
	for version, want := range map[byte]packets.Properties{4: {}, 5: {MaximumPacketSize: 1000, TopicAliasMaximum: 7}} {
		out := h.OnPacketEncode(cl, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connack}, ProtocolVersion: version})
		if p := out.Properties; p.MaximumPacketSize != want.MaximumPacketSize || p.TopicAliasMaximum != want.TopicAliasMaximum {
			t.Errorf("version %d: %+v", version, p)
		}
	}
}

// TestUnanswered: mochi drops a PUBLISH to such a topic without a word.
func TestUnanswered(t *testing.T) {
	h, cl := admitted(t)
	for topic, denied := range map[string]bool{"$SYS/a": true, "$sys": true, "$SYSTEM": true, "$share": true, "a/$SYS": false, "a": false, "": false} {
		pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, PacketID: 1, TopicName: topic, ProtocolVersion: 5}
		out, err := h.OnPacketRead(cl, pk)
		if err != nil {
			t.Fatal(err)
		}
		if !mqtt.IsValidFilter(out.TopicName, true) {
			t.Errorf("%q: mochi would not answer %q", topic, out.TopicName)
		}
		if topic != "" && h.OnACLCheck(cl, out.TopicName, true) == denied {
			t.Errorf("%q as %q: denied %v", topic, out.TopicName, !denied)
		}
	}
}

// deadlines notes the last one that was set.
type deadlines struct {
	net.Conn
	last time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error { d.last = t; return nil }

// TestKeepAliveOfOneSecond: the half is a half.
func TestKeepAliveOfOneSecond(t *testing.T) {
	_, cl := admitted(t)
	d := &deadlines{}
	a := &attached{Conn: d, session: sessionOf(cl)}
	at := time.Now()
	for keepAlive, want := range map[uint16]time.Duration{1: time.Second / 2, 2: 0, 61: time.Second / 2} {
		cl.State.Keepalive = keepAlive
		if err := a.SetDeadline(at); err != nil || d.last.Sub(at) != want {
			t.Errorf("%d: %v later, %v", keepAlive, d.last.Sub(at), err)
		}
	}
	cl.State.Keepalive = 1
	if err := a.SetDeadline(time.Time{}); err != nil || !d.last.IsZero() {
		t.Errorf("none became %v, %v", d.last, err)
	}
}
