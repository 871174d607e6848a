package sessions

import (
	"sync"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// perMessage is what a message that waits costs the server beside its bytes:
// about a packet of mochi, in bytes.
const perMessage = 1 << 10

// message is one on its way to a client.
type message struct {
	order    uint64 // of arrival in the account
	size     int    // bytes, of which perMessage is a part
	released bool   // PUBREC came
	group    *group // it is written with these; nil for by itself
	stray    *packets.Packet
	value    []byte // its record, where no store has it
}

// session is what is known of a client ID beside mochi's own. Sessions that end
// with their connection have one only where they need it.
type session struct {
	id     string
	digest digest
	client atomic.Pointer[mqtt.Client] // the one whose events count
	group  atomic.Pointer[group]       // of the QoS 2 message that the client is publishing; set with mu held

	// The connection's own goroutine has these. A packet of the client whose
	// identifier is also one of ours on the way to it is dealt with under another,
	// for mochi has one table for both.
	standIn, asked uint16

	mu        sync.Mutex
	publishes uint16 // the identifier of that message
	kept      bool   // outlives its connection
	connected bool   // its CONNACK was sent
	lasts     uint32
	filters   map[string]struct{}
	messages  map[uint16]*message
	received  map[uint16]struct{} // PUBREC was sent for it, or is about to
	unasked   map[uint16]struct{} // sent by mochi when there was room for more, and forgotten

	// What waited is sent again at the beginning of a connection, and what comes
	// meanwhile has to wait for that, or it would overtake.
	resumed   chan struct{} // closed when that is sent; nil where nothing waited
	resumedAt uint64        // the last order that was given by then
	resent    map[uint16]struct{}
}

func newSession(id string) *session {
	s := &session{id: id, digest: digestOf(id)}
	s.reset()
	return s
}

// reset is called with mu held, or before anyone else knows the session.
func (s *session) reset() {
	s.filters, s.messages = map[string]struct{}{}, map[uint16]*message{}
	s.received, s.unasked = map[uint16]struct{}{}, map[uint16]struct{}{}
}

// of returns what is known of a client, nil for nothing. The events of one that
// was taken over count for nothing.
func (h *Hook) of(cl *mqtt.Client) *session {
	if s := h.named(cl.ID); s != nil && s.client.Load() == cl {
		return s
	}
	return nil
}

func (h *Hook) named(id string) *session {
	if s, ok := h.sessions.Load(id); ok {
		return s.(*session)
	}
	return nil
}

// own is of for a client that needs room of its own. One that was taken over gets
// some that nobody else knows.
func (h *Hook) own(cl *mqtt.Client) *session {
	if s := h.of(cl); s != nil {
		return s
	}
	s := newSession(cl.ID)
	s.client.Store(cl)
	s.connected = true
	if known, ok := h.sessions.LoadOrStore(cl.ID, s); ok && known.(*session).client.Load() == cl {
		return known.(*session)
	}
	return s
}

// transient reports whether a session ends with its connection.
func transient(cl *mqtt.Client) bool {
	p := cl.Properties
	return p.ProtocolVersion == 5 && p.Props.SessionExpiryInterval == 0 || p.ProtocolVersion < 5 && p.Clean
}

// erase returns what deletes all that is stored of a session. mu is held.
func (h *Hook) erase(s *session) (u unit) {
	u = append(u, op{key: h.key(kindSession, s.digest)})
	for filter := range s.filters {
		u = append(u, op{key: h.filterKey(s.digest, filter)})
	}
	for id := range s.received {
		u = append(u, op{key: h.idKey(kindReceived, s.digest, id)})
	}
	for id := range s.messages {
		u = append(u, h.takeOut(s, id)...)
	}
	s.reset()
	return u
}

// takeOut forgets a message and returns what deletes it from the store. mu is
// held.
func (h *Hook) takeOut(s *session, id uint16) unit {
	m, ok := s.messages[id]
	if !ok {
		return nil
	}
	delete(s.messages, id)
	h.waiting.Add(-int64(m.size))
	k := h.idKey(kindMessage, s.digest, id)
	if m.group != nil && m.group.cancel(k) {
		return nil
	}
	return unit{{key: k}}
}

// forget ends a session and returns what deletes it. mu is held.
func (h *Hook) forget(s *session) (u unit) {
	if s.kept {
		u = h.erase(s)
		s.kept = false
		h.count.Add(-1)
	}
	h.sessions.CompareAndDelete(s.id, s)
	return u
}
