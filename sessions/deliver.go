package sessions

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/dgraph-io/badger/v4"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// OnQosPublish stores a message for a session that outlives its connection. It
// runs on the publisher's goroutine, when mochi has noted the message and not yet
// sent it.
func (h *Hook) OnQosPublish(cl *mqtt.Client, pk packets.Packet, _ int64, _ int) {
	if pk.FixedHeader.Type != packets.Publish || pk.FixedHeader.Dup { // sent again: stored already
		return
	}
	s := h.named(cl.ID)
	if s == nil {
		return
	}
	defer h.guard("OnQosPublish", func() { hangUp(cl) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.kept {
		return
	}
	order := h.order.Add(1)
	value, err := encodeMessage(pk, order)
	if err != nil {
		h.store.log.Error().Err(err).Msg("a message was not stored")
		return
	}
	m := &message{order: order, size: perMessage + len(value)}
	switch taker := s.client.Load(); {
	case taker != cl && !s.connected: // settle passes it on
		stray := pk // or every packet would be put on the heap
		for id := uint16(65535); s.messages[pk.PacketID] != nil; id-- {
			pk.PacketID = id // the next client's window is mochi's alone by now
		}
		m.stray = &stray
	case taker != cl:
		h.passOn(s, taker, pk, order)
		return
	case cl.Closed() && h.waiting.Load()+int64(m.size) > int64(h.store.limits.Waiting):
		if cl.State.Inflight.Delete(pk.PacketID) {
			atomic.AddInt64(&h.server.Info.Inflight, -1)
		}
		h.store.observer.Dropped(LimitWaiting)
		return
	}
	h.keep(s, pk, m, value)
}

// keep stores a message. mu is held.
func (h *Hook) keep(s *session, pk packets.Packet, m *message, value []byte) {
	if old, ok := s.messages[pk.PacketID]; ok { // its end is about to be told, unless it strayed
		h.waiting.Add(-int64(old.size))
		if old.stray != nil {
			defer h.place(s, s.client.Load(), *old.stray, old.order)
		}
	}
	h.waiting.Add(int64(m.size))
	if h.store.db == nil {
		m.value = value
	}
	s.messages[pk.PacketID] = m
	o := op{h.idKey(kindMessage, s.digest, pk.PacketID), value}
	if from := h.named(pk.Origin); from != nil {
		if g := from.group.Load(); g != nil && g.add(o) {
			m.group = g
			return
		}
	}
	h.mark(pk.Origin, h.journal.queue(o))
}

// passOn delivers a message to the connection that has taken the session over
// since mochi chose the receiver. mu is held.
func (h *Hook) passOn(s *session, taker *mqtt.Client, pk packets.Packet, order uint64) {
	pk, ok := h.place(s, taker, pk, order)
	if !ok {
		return
	}
	go func() {
		defer h.guard("passOn", func() { hangUp(taker) })
		_ = taker.WritePacket(pk)
	}()
}

// place gives a message a number of its own among those on their way to a client.
// mu is held.
func (h *Hook) place(s *session, taker *mqtt.Client, pk packets.Packet, order uint64) (packets.Packet, bool) {
	id, err := taker.NextPacketID()
	if err != nil {
		hangUp(taker) // its window is full
		return pk, false
	}
	pk.PacketID = uint16(id)
	value, err := encodeMessage(pk, order)
	if err != nil {
		return pk, false
	}
	if taker.State.Inflight.Set(pk) {
		atomic.AddInt64(&h.server.Info.Inflight, 1)
	}
	h.keep(s, pk, &message{order: order, size: perMessage + len(value)}, value)
	return pk, true
}

// settle makes what mochi's new client has inherited and what is stored the same,
// and has mochi send it in the order in which it came.
func (h *Hook) settle(s *session, cl *mqtt.Client) (u unit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected = true
	for id, m := range s.messages {
		if stray := m.stray; stray != nil {
			m.stray = nil
			if pk, ok := cl.State.Inflight.Get(id); !ok || unsafe.SliceData(pk.Payload) != unsafe.SliceData(stray.Payload) {
				h.journal.queue(h.takeOut(s, id)...)
				h.place(s, cl, *stray, m.order)
			}
		}
	}
	ids := make([]uint16, 0, len(s.messages))
	for id := range s.messages {
		pk, ok := cl.State.Inflight.Get(id)
		if !ok {
			u = append(u, h.takeOut(s, id)...)
			continue
		}
		pk.Expiry = expiryOf(pk)
		cl.State.Inflight.Set(pk)
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b uint16) int { return cmp.Compare(s.messages[a].order, s.messages[b].order) })
	h.number(cl, ids)
	return u
}

// number gives messages times of arrival that mochi, which sorts by the lower 16
// bits of the second, brings into the order of ids. The times are within minutes
// of now, and mochi makes nothing else of them.
func (h *Hook) number(cl *mqtt.Client, ids []uint16) {
	first := nowUnix() - int64(len(ids))
	if int(uint16(first))+len(ids) > 1<<16 { // it would begin anew at 0
		first -= int64(len(ids))
	}
	for i, id := range ids {
		if pk, ok := cl.State.Inflight.Get(id); ok {
			pk.Created = first + int64(i)
			cl.State.Inflight.Set(pk)
			cl.State.Inflight.DecreaseSendQuota() // mochi begins a connection with all of it
		}
	}
}

// fetch reads a message from the store, where it has to be already. mu is held.
func (h *Hook) fetch(s *session, id uint16) (pk packets.Packet, ok bool) {
	if h.store.db == nil {
		pk, _, err := decodeMessage(s.messages[id].value)
		pk.PacketID = id
		return pk, err == nil
	}
	err := h.store.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(h.idKey(kindMessage, s.digest, id))
		if err != nil {
			return err
		}
		return item.Value(func(b []byte) (err error) {
			pk, _, err = decodeMessage(b)
			return err
		})
	})
	pk.PacketID = id
	return pk, err == nil
}

// OnPacketEncode is the last moment before a packet goes out: what has to be
// stored by then is, and acknowledgements get the identifiers that the client
// knows.
func (h *Hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) (out packets.Packet) {
	out = pk
	defer h.guard("OnPacketEncode", func() { hangUp(cl) })
	switch pk.FixedHeader.Type {
	case packets.Publish:
		out.Mods.DisallowProblemInfo = false // a message keeps its user properties [MQTT-3.1.2-29]
		if pk.FixedHeader.Qos > 0 && !h.maySend(cl, &out) {
			out.FixedHeader.Type = packets.Reserved // which mochi does not write
		}
	case packets.Pubrel:
		if !h.mayRelease(cl, pk.PacketID) {
			out.FixedHeader.Type = packets.Reserved
			hangUp(cl)
		}
	case packets.Puback, packets.Pubrec:
		if pk.ReasonCode >= packets.ErrUnspecifiedError.Code { // mochi's own: ours have the right one
			out.PacketID = h.asks(cl, pk.PacketID)
		}
	case packets.Suback, packets.Unsuback:
		out.PacketID = h.asks(cl, pk.PacketID)
	}
	return out
}

// maySend keeps messages in order, and holds one of QoS 2 until it is stored that
// its publisher will not have it passed on again: it would come twice.
func (h *Hook) maySend(cl *mqtt.Client, pk *packets.Packet) bool {
	if pk.Expiry == -1 && !pk.FixedHeader.Dup { // mochi forgets it as soon as it is sent
		s := h.own(cl)
		s.mu.Lock()
		s.unasked[pk.PacketID] = struct{}{}
		s.mu.Unlock()
	}
	s := h.of(cl)
	if s == nil {
		return true
	}
	if !pk.FixedHeader.Dup && !s.awaitTurn(cl) {
		return false
	}
	s.mu.Lock()
	m := s.messages[pk.PacketID]
	_, resent := s.resent[pk.PacketID]
	if _, waits := cl.State.Inflight.Get(pk.PacketID); m != nil && !waits { // too large for the client: it is over
		h.journal.queue(h.takeOut(s, pk.PacketID)...)
	}
	if pk.FixedHeader.Dup {
		s.resent[pk.PacketID] = struct{}{}
	} else if resent && (m == nil || m.order <= s.resumedAt) {
		delete(s.resent, pk.PacketID)
		again(pk, m)
	}
	s.mu.Unlock()
	return pk.FixedHeader.Qos < 2 || m == nil || m.group == nil || m.group.wait() == nil
}

// again makes of a message that came while the others were sent again, and went
// with them, what may follow that. Nothing at all may not: mochi keeps small
// packets back for the one that it is about to send.
func again(pk *packets.Packet, m *message) {
	if pk.FixedHeader.Qos == 2 && (m == nil || m.released) {
		pk.FixedHeader = packets.FixedHeader{Type: packets.Pubrel, Qos: 1}
		pk.Properties = packets.Properties{}
		return
	}
	pk.FixedHeader.Dup = true
}

// awaitTurn holds up what is published while a connection begins until what
// waited is sent. It reports false when the connection ends before.
func (s *session) awaitTurn(cl *mqtt.Client) bool {
	s.mu.Lock()
	resumed := s.resumed
	s.mu.Unlock()
	if resumed == nil {
		return true
	}
	select {
	case <-resumed:
		return true
	default:
	}
	for {
		select {
		case <-resumed:
			return true
		case <-time.After(50 * time.Millisecond): // nobody tells of a connection that ends so early
			if cl.Closed() {
				return false
			}
		}
	}
}

// mayRelease stores that a message of QoS 2 was received before the client is told
// to forget its identifier: sent once more it would be another message to it.
func (h *Hook) mayRelease(cl *mqtt.Client, id uint16) bool {
	s := h.of(cl)
	if s == nil {
		return true
	}
	s.mu.Lock()
	m := s.messages[id]
	if m == nil || m.released {
		s.mu.Unlock()
		return true
	}
	m.released = true
	b := h.journal.queue(op{h.idKey(kindMessage, s.digest, id), encodeRelease(m.order)})
	s.mu.Unlock()
	return b.wait() == nil
}

// remember puts back what mochi forgot when it sent it, so that the client's
// answer finds it, and makes room for more.
func (h *Hook) remember(cl *mqtt.Client, id uint16) {
	s := h.of(cl)
	if s == nil {
		return
	}
	s.mu.Lock()
	_, forgotten := s.unasked[id]
	delete(s.unasked, id)
	s.mu.Unlock()
	if !forgotten {
		return
	}
	if _, ok := cl.State.Inflight.Get(id); !ok {
		cl.State.Inflight.Set(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, PacketID: id, Created: nowUnix()})
		atomic.AddInt64(&h.server.Info.Inflight, 1)
	}
}

// OnQosComplete deletes a message that the client has.
func (h *Hook) OnQosComplete(cl *mqtt.Client, pk packets.Packet) { h.over(cl, pk.PacketID) }

// OnQosDropped deletes a message whose time is over, or whose session.
func (h *Hook) OnQosDropped(cl *mqtt.Client, pk packets.Packet) { h.over(cl, pk.PacketID) }

func (h *Hook) over(cl *mqtt.Client, id uint16) {
	defer h.guard("OnQosComplete", func() { hangUp(cl) })
	s := h.of(cl)
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if pk, ok := cl.State.Inflight.Get(id); ok && pk.FixedHeader.Type == packets.Publish {
		return // another has the identifier already
	}
	h.journal.queue(h.takeOut(s, id)...)
}
