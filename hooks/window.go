package hooks

import (
	"slices"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// mochi numbers a message of QoS 1 or 2 as it comes. One that finds the client's
// Receive Maximum used up waits in the inflight window, with an Expiry of -1 in
// place of its own. After each packet of the client mochi sends the one of them
// whose Created has the smallest lower 16 bits: of those of one second, any.

// line has mochi take the message that has waited longest [MQTT-4.6.0-6], and
// never one whose time is over [MQTT-3.3.2-5] or that is larger than the client
// takes. It runs before mochi acts on a packet of the client, on the goroutine
// that alone takes messages out of the line.
func (h *Hook) line(cl *mqtt.Client) {
	most := cl.Properties.Props.ReceiveMaximum
	if most == 0 || most >= h.server.Options.Capabilities.MaximumInflight {
		return // the window is full before
	}
	waiting := cl.State.Inflight.GetAll(true)
	// The window is small, and numbers go round.
	slices.SortFunc(waiting, func(a, b packets.Packet) int { return int(int16(a.PacketID - b.PacketID)) })
	now := time.Now().Unix()
	found := false
	for _, pk := range waiting {
		switch {
		case found && uint16(pk.Created) != 0:
			continue
		case found: // of the one second in 65,536 that would come as early
			pk.Created++
		case left(pk, now) == 0 || oversized(pk, cl.Properties.Props.MaximumPacketSize):
			pk.ProtocolVersion, pk.Expiry = 5, 1 // mochi takes it out within a second, and tells
		default:
			found = true
			if pk.Created >= first*first {
				continue // it is already
			}
			pk.Created *= first
		}
		cl.State.Inflight.Set(pk)
	}
}

// first is what the Created of the message is multiplied by that is to go next:
// its lower bits are 0 then. No second of the calendar reaches its square.
const first = 1 << 16

// left returns how many seconds a message has that waited in line, no less than
// 0; -1 for no end.
func left(pk packets.Packet, now int64) int64 {
	if pk.Properties.MessageExpiryInterval == 0 {
		return -1
	}
	created := pk.Created
	if created >= first*first {
		created /= first
	}
	return max(0, int64(pk.Properties.MessageExpiryInterval)-(now-created))
}

// aged has a message that waited in line tell how much of its time is left
// [MQTT-3.3.2-6].
func aged(pk *packets.Packet) {
	if pk.Expiry < 0 && !pk.FixedHeader.Dup && pk.Properties.MessageExpiryInterval > 0 {
		pk.Properties.MessageExpiryInterval = uint32(max(1, left(*pk, time.Now().Unix())))
	}
}

// announce adds to a CONNACK what the server takes and mochi does not tell
// (MQTT 5 §3.2.2.3.6, §3.2.2.3.8). Without it a client may send no alias, and
// packets of any size.
func (h *Hook) announce(pk *packets.Packet) {
	if pk.ProtocolVersion == 5 && pk.ReasonCode == packets.CodeSuccess.Code {
		pk.Properties.MaximumPacketSize = h.server.Options.Capabilities.MaximumPacketSize
		pk.Properties.TopicAliasMaximum = h.server.Options.Capabilities.TopicAliasMaximum
	}
}
