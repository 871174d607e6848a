package sessions

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
)

// Hook follows the sessions of one mochi server, which serves one account. It
// asks nobody and refuses nobody: add it after the hook that does.
type Hook struct {
	mqtt.HookBase
	store   *Store
	journal *journal
	server  *mqtt.Server
	prefix  string // of the account's keys

	sessions sync.Map     // of *session, by client ID
	count    atomic.Int64 // of those that outlive their connection
	waiting  atomic.Int64 // bytes
	order    atomic.Uint64
	retained retained

	seed  maphash.Seed
	marks [marks]markPointer // the last batch with what a client's message caused, by the hash of its ID
}

type markPointer = atomic.Pointer[batch]

// marks is a power of two. Clients that share a mark wait for each other's
// commits, which does no harm.
const marks = 1 << 10

// Hook returns the hook of an account's server, which brings back what is stored
// when it is added. The server must not accept before.
func (s *Store) Hook(account string, server *mqtt.Server) *Hook {
	h := &Hook{store: s, journal: s.journal, server: server, prefix: account + "/", seed: maphash.MakeSeed()}
	h.retained.topics = map[string]struct{}{}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks[account] = h
	return h
}

// ID names the hook in mochi's log.
func (h *Hook) ID() string { return "muster-sessions" }

// Provides lists the methods that mochi shall call.
func (h *Hook) Provides(b byte) bool {
	return bytes.IndexByte([]byte{
		mqtt.OnSessionEstablish, mqtt.OnSessionEstablished, mqtt.OnDisconnect, mqtt.OnClientExpired,
		mqtt.OnPacketRead, mqtt.OnPacketEncode, mqtt.OnPacketSent,
		mqtt.OnSubscribed, mqtt.OnUnsubscribed,
		mqtt.OnPublish, mqtt.OnPublished, mqtt.OnRetainMessage, mqtt.OnRetainedExpired,
		mqtt.OnQosPublish, mqtt.OnQosComplete, mqtt.OnQosDropped,
	}, b) >= 0
}

// guard recovers a panic of the method that defers it, which may run on a
// goroutine of mochi that recovers nothing, and runs deny.
func (h *Hook) guard(method string, deny func()) {
	if r := recover(); r != nil {
		h.store.log.Error().Str("hook", method).Interface("panic", r).Bytes("stack", debug.Stack()).
			Msg("a hook of sessions panicked; the connection ends")
		deny()
	}
}

// hangUp ends a connection as a lost network does. cl.Stop would look to mochi
// like a goodbye, by which the will is forgotten [MQTT-3.1.2-8].
func hangUp(cl *mqtt.Client) {
	if cl.Net.Conn != nil {
		_ = cl.Net.Conn.Close()
	}
}

// lost ends the connection of a client that was promised what cannot be stored.
func (h *Hook) lost(cl *mqtt.Client) { h.dismiss(cl, packets.ErrImplementationSpecificError) }

// dismiss says goodbye, in MQTT 5, and ends the connection.
func (h *Hook) dismiss(cl *mqtt.Client, code packets.Code) {
	if cl.Properties.ProtocolVersion == 5 {
		_ = cl.WritePacket(packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ReasonCode: code.Code,
			Properties: packets.Properties{ReasonString: code.Reason},
		})
	}
	hangUp(cl)
}

// Refuses tells why a session that outlives its connection cannot begin for a
// client ID; "" when it can. Ask before the CONNACK.
func (h *Hook) Refuses(clientID string) (reason muster.Reason, detail string) {
	if h.store.Err() != nil {
		return muster.ReasonInternalError, "sessions cannot be stored"
	}
	n := int(h.count.Load())
	if n < h.store.limits.Sessions {
		return "", ""
	}
	if s := h.named(clientID); s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.kept {
			return "", ""
		}
	}
	return muster.ReasonSessionQuota, fmt.Sprintf("the account keeps %d sessions (limits.sessions)", n)
}

// Ended deletes the session of a client that was taken from the server without
// the events that mochi has for that.
func (h *Hook) Ended(cl *mqtt.Client) {
	defer h.guard("Ended", func() {})
	h.end(cl)
}

// OnSessionEstablish runs just before the client takes up the session of an
// earlier connection, or ends it. That is stored before the CONNACK.
func (h *Hook) OnSessionEstablish(cl *mqtt.Client, pk packets.Packet) {
	defer h.guard("OnSessionEstablish", func() { hangUp(cl) })
	s := h.named(cl.ID)
	if s == nil {
		if transient(cl) {
			return
		}
		s = newSession(cl.ID)
	}
	if h.begin(s, cl, pk.Connect.Clean).wait() != nil {
		hangUp(cl) // it broke since Refuses was asked
	}
}

// begin hands a session over to another client.
func (h *Hook) begin(s *session, cl *mqtt.Client, clean bool) *batch {
	var u unit
	s.mu.Lock()
	defer s.mu.Unlock()
	h.conclude(s) // an earlier connection may be at it; sent again on this one, it was received
	old := s.client.Load()
	s.client.Store(cl)
	s.connected = false
	s.standIn, s.asked = 0, 0
	s.resumed, s.resent = make(chan struct{}), map[uint16]struct{}{}
	h.sessions.Store(s.id, s)
	if old != nil && !clean && !(old.Properties.ProtocolVersion < 5 && old.Properties.Clean) {
		h.mend(s, old)
	} else if s.kept {
		u = h.erase(s)
	} else {
		s.reset()
	}
	switch keeps := !transient(cl); {
	case keeps:
		if !s.kept {
			h.count.Add(1)
		}
		s.kept = true
		s.lasts = h.lasts(cl)
		u = append(u, h.record(s, 0))
	case s.kept: // it ends with this connection, and so with a crash
		received := s.received
		u = append(u, h.erase(s)...)
		s.kept, s.received = false, received
		h.count.Add(-1)
	}
	return h.journal.queue(u...)
}

// conclude notes that the message of QoS 2 which the client is publishing was
// received. It is written together with what the message caused: sent again after
// a crash it is either known or new, as a whole. mu is held.
func (h *Hook) conclude(s *session) {
	g := s.group.Swap(nil)
	if g == nil {
		return
	}
	s.received[s.publishes] = struct{}{}
	if s.kept {
		g.seal(h.journal, op{h.idKey(kindReceived, s.digest, s.publishes), []byte{1}})
	} else {
		g.seal(h.journal)
	}
}

// mend puts back messages that mochi has forgotten although nobody acknowledged
// them: it forgets what it sends when there is room for more, and what did not
// fit into the client's queue. mu is held.
func (h *Hook) mend(s *session, old *mqtt.Client) {
	clear(s.unasked)
	var forgotten []uint16
	for id, m := range s.messages {
		if _, ok := old.State.Inflight.Get(id); !ok && !m.released && (m.group == nil || m.group.queued()) {
			forgotten = append(forgotten, id)
		}
	}
	if len(forgotten) == 0 || h.store.db != nil && h.store.alive().wait() != nil { // then all that was queued is written
		return
	}
	for _, id := range forgotten {
		if pk, ok := h.fetch(s, id); ok && old.State.Inflight.Set(pk) {
			atomic.AddInt64(&h.server.Info.Inflight, 1)
		}
	}
}

// lasts returns for how many seconds a session outlives its connection.
func (h *Hook) lasts(cl *mqtt.Client) uint32 {
	most := h.server.Options.Capabilities.MaximumSessionExpiryInterval
	if cl.Properties.ProtocolVersion < 5 {
		return most
	}
	return min(cl.Properties.Props.SessionExpiryInterval, most)
}

func (h *Hook) record(s *session, gone int64) op {
	return op{h.key(kindSession, s.digest), encodeJSON(sessionRecord{ClientID: s.id, Lasts: s.lasts, Gone: gone})}
}

// OnPacketSent runs once the CONNACK is out: between what mochi's client has
// inherited and its sending that again. What the policies have taken out is taken
// out of the store; the rest is put in order, for mochi sorts by the second in
// which a message came.
func (h *Hook) OnPacketSent(cl *mqtt.Client, pk packets.Packet, _ []byte) {
	if pk.FixedHeader.Type != packets.Connack || pk.ReasonCode != packets.CodeSuccess.Code {
		return
	}
	defer h.guard("OnPacketSent", func() { hangUp(cl) })
	if s := h.of(cl); s != nil {
		h.journal.queue(h.settle(s, cl)...)
	}
}

// OnSessionEstablished runs when what waited is sent. It drops the subscriptions
// that the policies have taken away, and stores those that came from a connection
// whose session was to end with it: mochi lets who takes over have them, and says
// that the session is present.
func (h *Hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	defer h.guard("OnSessionEstablished", func() { hangUp(cl) })
	s := h.of(cl)
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client.Load() != cl || s.resumed == nil {
		return
	}
	s.resumedAt = h.order.Load()
	close(s.resumed)
	for filter := range s.filters {
		if _, ok := cl.State.Subscriptions.Get(filter); !ok {
			delete(s.filters, filter)
			h.journal.queue(op{key: h.filterKey(s.digest, filter)})
		}
	}
	if !s.kept {
		return
	}
	for filter, sub := range cl.State.Subscriptions.GetAll() {
		if _, stored := s.filters[filter]; !stored {
			s.filters[filter] = struct{}{}
			h.journal.queue(op{h.filterKey(s.digest, filter), encodeJSON(recordOf(sub))})
		}
	}
}

// OnDisconnect notes when a connection ended, or deletes what ends with it.
func (h *Hook) OnDisconnect(cl *mqtt.Client, _ error, expire bool) {
	defer h.guard("OnDisconnect", func() {})
	if expire {
		h.end(cl)
		return
	}
	s := h.of(cl)
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client.Load() != cl {
		return
	}
	h.conclude(s) // where a panic broke it off
	if s.kept {
		s.lasts = h.lasts(cl) // a DISCONNECT of MQTT 5 may change it
		h.journal.queue(h.record(s, time.Now().Unix()))
	}
}

// OnClientExpired also removes the subscriptions and messages, which mochi leaves
// behind.
func (h *Hook) OnClientExpired(cl *mqtt.Client) {
	defer h.guard("OnClientExpired", func() {})
	h.drop(cl) // thousands may expire at once, and mochi has one goroutine for them
	cl.ClearInflights()
	h.server.UnsubscribeClient(cl)
}

// end deletes the session of a client, and returns when that is stored.
func (h *Hook) end(cl *mqtt.Client) {
	_ = h.drop(cl).wait() // Err tells of it
}

// drop deletes the session of a client.
func (h *Hook) drop(cl *mqtt.Client) *batch {
	s := h.of(cl)
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client.Load() != cl { // any more
		return nil
	}
	h.conclude(s) // where a panic broke it off: others wait for it
	return h.journal.queue(h.forget(s)...)
}

// OnSubscribed stores subscriptions before the SUBACK.
func (h *Hook) OnSubscribed(cl *mqtt.Client, pk packets.Packet, codes []byte) {
	defer h.guard("OnSubscribed", func() { hangUp(cl) })
	h.subscriptions(cl, func(s *session) (u unit) {
		for i, sub := range pk.Filters {
			_, stands := cl.State.Subscriptions.Get(sub.Filter)
			_, stored := s.filters[sub.Filter]
			switch {
			case codes[i] <= packets.CodeGrantedQos2.Code && stands:
				s.filters[sub.Filter] = struct{}{}
				u = append(u, op{h.filterKey(s.digest, sub.Filter), encodeJSON(recordOf(sub))})
			case stored && !stands:
				delete(s.filters, sub.Filter)
				u = append(u, op{key: h.filterKey(s.digest, sub.Filter)})
			}
		}
		return u
	})
}

// OnUnsubscribed deletes subscriptions before the UNSUBACK.
func (h *Hook) OnUnsubscribed(cl *mqtt.Client, pk packets.Packet) {
	defer h.guard("OnUnsubscribed", func() { hangUp(cl) })
	h.subscriptions(cl, func(s *session) (u unit) {
		for _, sub := range pk.Filters {
			if _, stored := s.filters[sub.Filter]; stored {
				delete(s.filters, sub.Filter)
				u = append(u, op{key: h.filterKey(s.digest, sub.Filter)})
			}
		}
		return u
	})
}

// subscriptions changes those of a session that outlives its connection, and
// returns when that is stored.
func (h *Hook) subscriptions(cl *mqtt.Client, change func(*session) unit) {
	s := h.of(cl)
	if s == nil {
		return
	}
	s.mu.Lock()
	if !s.kept {
		s.mu.Unlock()
		return
	}
	b := h.journal.queue(change(s)...)
	s.mu.Unlock()
	if b.wait() != nil {
		h.lost(cl)
	}
}
