package hooks

import (
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// TestEveryMethodRecovers calls each method that mochi calls with what makes it
// panic, as mochi does on goroutines that recover nothing, and demands that it
// denies.
func TestEveryMethodRecovers(t *testing.T) {
	none := packets.Packet{}
	typed := func(kind byte) packets.Packet { return packets.Packet{FixedHeader: packets.FixedHeader{Type: kind}} }
	// The client is nil, or what else mochi hands over: to look at it panics.
	methods := map[byte]func(h *Hook) (denied bool){
		mqtt.OnConnect:             func(h *Hook) bool { return h.OnConnect(nil, none) != nil },
		mqtt.OnConnectAuthenticate: func(h *Hook) bool { return !h.OnConnectAuthenticate(nil, none) },
		mqtt.OnACLCheck:            func(h *Hook) bool { return !h.OnACLCheck(nil, "a", true) && !h.OnACLCheck(nil, "#", false) },
		mqtt.OnSessionEstablish:    func(h *Hook) bool { h.OnSessionEstablish(panicking(t), none); return true },
		mqtt.OnSessionEstablished:  func(h *Hook) bool { h.OnSessionEstablished(panicking(t), none); return true },
		mqtt.OnSubscribe: func(h *Hook) bool {
			pk := packets.Packet{Filters: packets.Subscriptions{{Filter: "a"}}}
			return h.OnSubscribe(panicking(t), pk).Filters[0].Filter == ""
		},
		mqtt.OnSubscribed: func(h *Hook) bool {
			h.OnSubscribed(panicking(t), packets.Packet{Filters: packets.Subscriptions{{Filter: "a"}}}, []byte{0})
			return true
		},
		mqtt.OnUnsubscribe: func(h *Hook) bool {
			return len(h.OnUnsubscribe(nil, packets.Packet{Filters: packets.Subscriptions{{Filter: "a"}}}).Filters) == 0
		},
		mqtt.OnUnsubscribed: func(h *Hook) bool { h.OnUnsubscribed(nil, none); return true },
		mqtt.OnSelectSubscribers: func(h *Hook) bool {
			h.OnSelectSubscribers(&mqtt.Subscribers{}, packets.Packet{TopicName: "$SYS"})
			return true
		},
		mqtt.OnPublish: func(h *Hook) bool {
			_, err := h.OnPublish(panicking(t), packets.Packet{FixedHeader: packets.FixedHeader{Retain: true}, TopicName: "a"})
			return err != nil
		},
		mqtt.OnPublished:       func(h *Hook) bool { h.OnPublished(nil, packets.Packet{Ignore: true}); return true },
		mqtt.OnPublishDropped:  func(h *Hook) bool { h.OnPublishDropped(nil, none); return true },
		mqtt.OnQosPublish:      func(h *Hook) bool { h.OnQosPublish(nil, typed(packets.Publish), 0, 0); return true },
		mqtt.OnSysInfoTick:     func(h *Hook) bool { h.OnSysInfoTick(nil); return true },
		mqtt.OnPacketRead:      func(h *Hook) bool { _, err := h.OnPacketRead(nil, none); return err != nil },
		mqtt.OnPacketProcessed: func(h *Hook) bool { h.OnPacketProcessed(nil, none, nil); return true },
		mqtt.OnPacketEncode: func(h *Hook) bool {
			return h.OnPacketEncode(nil, typed(packets.Disconnect)).FixedHeader.Type == packets.Reserved
		},
		mqtt.OnPacketSent: func(h *Hook) bool { h.OnPacketSent(panicking(t), typed(packets.Connack), nil); return true },
		mqtt.OnDisconnect: func(h *Hook) bool { h.OnDisconnect(nil, nil, false); return true },
		mqtt.OnStopped:    func(h *Hook) bool { h.OnStopped(); return true },
	}
	h := &Hook{} // no server, no observer
	for method := range byte(255) {
		switch call := methods[method]; {
		case h.Provides(method) && call == nil:
			t.Errorf("method %d is provided and not called here", method)
		case call != nil && !call(h):
			t.Errorf("method %d did not deny", method)
		}
	}
}

// panicking is a client over whose session every judgement panics.
func panicking(t *testing.T) *mqtt.Client {
	_, cl := admitted(t)
	sessionOf(cl).bound.Store(nil)
	return cl
}
