package sessions

import (
	"hash/maphash"
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// OnPacketRead prepares packets whose identifiers mochi would take for others.
func (h *Hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (out packets.Packet, err error) {
	defer h.guard("OnPacketRead", func() { err = packets.ErrRejectPacket })
	if cl.Net.Inline { // OnPublished did not get to it, and nobody judges those
		cl.Net.Inline = false
	}
	switch pk.FixedHeader.Type {
	case packets.Publish:
		if pk.FixedHeader.Qos == 0 {
			return pk, nil
		}
		return h.separate(cl, pk), nil
	case packets.Subscribe, packets.Unsubscribe:
		return h.separate(cl, pk), nil
	case packets.Puback, packets.Pubrec:
		h.remember(cl, pk.PacketID)
	case packets.Disconnect: // mochi would take any term from it
		most := h.server.Options.Capabilities.MaximumSessionExpiryInterval
		pk.Properties.SessionExpiryInterval = min(pk.Properties.SessionExpiryInterval, most)
	case packets.Pubrel:
		h.release(cl, pk)
		// An acknowledgement of nothing: mochi passes over it.
		pk.FixedHeader = packets.FixedHeader{Type: packets.Puback}
		pk.PacketID = 0
	}
	return pk, nil
}

// separate gives a packet of the client another identifier where its own is also
// that of a message on its way to the client. Both sides number their packets for
// themselves (MQTT 5 §2.2.1), but mochi has one table for both, and would drop the
// message or refuse the packet.
func (h *Hook) separate(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	s := h.of(cl)
	if s != nil {
		s.standIn = 0
	}
	if _, taken := cl.State.Inflight.Get(pk.PacketID); !taken || pk.PacketID == 0 {
		return pk
	}
	if s == nil {
		s = h.own(cl)
	}
	s.asked = pk.PacketID
	for s.standIn = 65535; ; s.standIn-- { // the window has far fewer
		if _, taken := cl.State.Inflight.Get(s.standIn); !taken {
			break
		}
	}
	pk.PacketID = s.standIn
	return pk
}

// asks returns the identifier that a client gave its packet.
func (h *Hook) asks(cl *mqtt.Client, id uint16) uint16 {
	if s := h.of(cl); s != nil && s.standIn != 0 && s.standIn == id {
		return s.asked
	}
	return id
}

// OnPublish takes the acknowledging of a message over from mochi, which would do
// it before anyone has the message. It runs after the hook that judges.
//
// mochi acknowledges nothing for clients that live in its own process. Between
// OnPublish and OnPublished, both on the connection's own goroutine, there is
// only the passing on of the message, and for so long the client is one of those.
func (h *Hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (out packets.Packet, err error) {
	if cl.Net.Inline || pk.FixedHeader.Qos == 0 && !pk.FixedHeader.Retain {
		return pk, nil
	}
	defer h.guard("OnPublish", func() { hangUp(cl); err = packets.ErrRejectPacket })
	h.journal.enter()
	if pk.FixedHeader.Qos == 0 {
		return pk, nil
	}
	pk.PacketID = h.asks(cl, pk.PacketID)
	if pk.FixedHeader.Retain && cl.Properties.ProtocolVersion == 5 && h.retained.full(pk, h.store.limits.Retained) {
		h.store.observer.Dropped(LimitRetained)
		h.acknowledge(cl, pk, packets.ErrQuotaExceeded)
		return pk, packets.ErrRejectPacket
	}
	if pk.FixedHeader.Qos == 2 && !h.receiving(cl, pk) {
		return pk, packets.ErrRejectPacket
	}
	cl.Net.Inline = true
	return pk, nil
}

// receiving begins a message of QoS 2. It reports false for one that was received
// before and is sent again, which is acknowledged and not passed on
// [MQTT-4.3.3-10], and for one too many.
func (h *Hook) receiving(cl *mqtt.Client, pk packets.Packet) bool {
	s := h.own(cl)
	s.mu.Lock()
	_, again := s.received[pk.PacketID]
	n := len(s.received)
	most := int(h.server.Options.Capabilities.ReceiveMaximum)
	if !again && n < most {
		s.publishes = pk.PacketID
		s.group.Store(newGroup())
	}
	s.mu.Unlock()
	switch {
	case again:
		h.acknowledge(cl, pk, packets.CodeSuccess)
		return false
	case n >= most: // [MQTT-3.3.4-7]
		h.dismiss(cl, packets.ErrReceiveMaximum)
		return false
	}
	return true
}

// OnPublished acknowledges a message once all that it caused is stored: it waits
// in the sessions that it is for, it is retained. Waiting on the connection's own
// goroutine keeps the order of acknowledgements that of the messages
// [MQTT-4.6.0-2].
func (h *Hook) OnPublished(cl *mqtt.Client, pk packets.Packet) {
	if !cl.Net.Inline || cl.Net.Conn == nil {
		return
	}
	cl.Net.Inline = false
	defer h.guard("OnPublished", func() { hangUp(cl) })
	if pk.FixedHeader.Qos == 2 && h.received(cl).wait() != nil || h.markOf(cl.ID).Load().wait() != nil {
		h.lost(cl)
		return
	}
	h.acknowledge(cl, pk, packets.CodeSuccess)
}

// received concludes a message of QoS 2.
func (h *Hook) received(cl *mqtt.Client) *batch {
	s := h.of(cl)
	if s == nil { // taken over, and concluded then
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.group.Load()
	h.conclude(s)
	if g == nil {
		return nil
	}
	return g.batch
}

// acknowledge sends PUBACK or PUBREC.
func (h *Hook) acknowledge(cl *mqtt.Client, pk packets.Packet, code packets.Code) {
	ack := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: pk.PacketID, ReasonCode: code.Code,
	}
	if pk.FixedHeader.Qos == 2 {
		ack.FixedHeader.Type = packets.Pubrec
	}
	_ = cl.WritePacket(ack) // who is gone sends again
}

// release ends a message of QoS 2. That is stored before the PUBCOMP, for with it
// the client may give the identifier to another message, which must not be taken
// for the old one sent again.
func (h *Hook) release(cl *mqtt.Client, pk packets.Packet) {
	code := packets.ErrPacketIdentifierNotFound
	if s := h.of(cl); s != nil {
		s.mu.Lock()
		_, known := s.received[pk.PacketID]
		delete(s.received, pk.PacketID)
		var b *batch
		if known && s.kept {
			b = h.journal.queue(op{key: h.idKey(kindReceived, s.digest, pk.PacketID)})
		}
		s.mu.Unlock()
		if b.wait() != nil {
			h.lost(cl)
			return
		}
		if known {
			code = packets.CodeSuccess
		}
	}
	if pk.ReasonCode >= packets.ErrUnspecifiedError.Code {
		return // the client gave it up
	}
	_ = cl.WritePacket(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Pubcomp}, PacketID: pk.PacketID, ReasonCode: code.Code,
	})
}

// retained knows the topics of the messages that are stored as retained.
type retained struct {
	mu     sync.Mutex
	topics map[string]struct{}
}

func (r *retained) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.topics)
}

// full reports whether a message would be one retained message too many.
func (r *retained) full(pk packets.Packet, most int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known := r.topics[pk.TopicName]
	return !known && len(pk.Payload) > 0 && len(r.topics) >= most
}

// OnRetainMessage stores what is retained now. Of messages that come to one topic
// at a time, the last to get here finds the one that mochi kept.
func (h *Hook) OnRetainMessage(cl *mqtt.Client, pk packets.Packet, _ int64) {
	defer h.guard("OnRetainMessage", func() { hangUp(cl) })
	h.retained.mu.Lock()
	defer h.retained.mu.Unlock()
	topic := pk.TopicName
	_, known := h.retained.topics[topic]
	now, ok := h.server.Topics.Retained.Get(topic)
	if ok && !known && len(h.retained.topics) >= h.store.limits.Retained {
		h.server.Topics.RetainMessage(packets.Packet{TopicName: topic})
		h.store.observer.Dropped(LimitRetained)
		return
	}
	if !ok && !known {
		return
	}
	o := op{key: h.key(kindRetained, digestOf(topic))}
	delete(h.retained.topics, topic)
	if ok {
		var err error
		if o.value, err = encodeMessage(now, 0); err != nil {
			h.store.log.Error().Err(err).Msg("a retained message was not stored")
			return
		}
		h.retained.topics[topic] = struct{}{}
	}
	h.mark(cl.ID, h.journal.queue(o))
}

// OnRetainedExpired deletes a retained message whose time is over.
func (h *Hook) OnRetainedExpired(topic string) {
	defer h.guard("OnRetainedExpired", func() {})
	h.retained.mu.Lock()
	defer h.retained.mu.Unlock()
	if _, ok := h.server.Topics.Retained.Get(topic); ok {
		return // there is another already
	}
	delete(h.retained.topics, topic)
	h.journal.queue(op{key: h.key(kindRetained, digestOf(topic))})
}

func (h *Hook) markOf(clientID string) *markPointer {
	return &h.marks[maphash.String(h.seed, clientID)%marks]
}

// mark notes that a message of a client caused something that is written with b.
func (h *Hook) mark(clientID string, b *batch) {
	m := h.markOf(clientID)
	for b != nil {
		last := m.Load()
		if last != nil && last.seq >= b.seq || m.CompareAndSwap(last, b) {
			return
		}
	}
}
