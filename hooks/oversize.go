package hooks

import (
	"bytes"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// skipOversized takes a message of QoS 1 or 2 that is larger than the client
// takes from its window, as if it had arrived [MQTT-3.1.2-25]. mochi does not
// send it and leaves it there, where nothing could ever acknowledge it.
func (h *Hook) skipOversized(cl *mqtt.Client, pk packets.Packet) {
	if pk.FixedHeader.Qos > 0 && oversized(pk, cl.Properties.Props.MaximumPacketSize) && cl.State.Inflight.Delete(pk.PacketID) {
		cl.State.Inflight.IncreaseSendQuota()
		atomic.AddInt64(&h.server.Info.Inflight, -1)
	}
}

// oversized reports whether a PUBLISH has more bytes than that; 0 is no limit.
func oversized(pk packets.Packet, most uint32) bool {
	if most == 0 {
		return false
	}
	var b bytes.Buffer
	pk.ProtocolVersion = 5 // older clients set no limit
	return pk.PublishEncode(&b) == nil && uint64(b.Len()) > uint64(most)
}
