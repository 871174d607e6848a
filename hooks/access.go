package hooks

import (
	"slices"
	"strings"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/mochi-mqtt/server/v2/system"

	"github.com/muster-mqtt/muster/policy"
)

// OnACLCheck is asked in three places that it cannot tell apart by its
// arguments. For a publish the topic is "" when an alias stands for it: then
// OnPublish judges the name that mochi has put there. For reading, a filter
// with wildcards or of a shared subscription comes only from SUBSCRIBE, where
// OnSubscribe has judged it; a literal name is what is about to be delivered,
// or its own subscription, and needs iot:Receive.
//
// It runs for each delivery, in the publisher's goroutine: no locks, no
// allocation.
//
// A session that was brought back from a store has had no connection yet. What
// comes meanwhile waits for it, and judgeWaiting judges that when its device
// connects.
func (h *Hook) OnACLCheck(cl *mqtt.Client, topic string, write bool) (ok bool) {
	defer h.guard("OnACLCheck", func() { ok = false })
	s := sessionOf(cl)
	switch {
	case s == nil && cl.Net.Conn == nil && !cl.Net.Inline:
		return !write
	case s == nil || s.kicked.Load() != nil:
		return false
	case write:
		return topic == "" || s.mayPublish(topic, false) || s.mayAsk(topic)
	case strings.ContainsAny(topic, "+#") || mqtt.IsSharedFilter(topic):
		return true
	}
	return s.allowed(policy.Receive, topic)
}

// maxSubscriptions is how many subscriptions a session may have. A client may ask
// for as many as it likes by one policy, and each stays as long as the session.
const maxSubscriptions = 10_000

// maxClaimSubscriptions is how many a claim certificate may have, in whose policy a
// star stands for the format of answers: three requests have two answers each in
// two formats. A filter may be as long as a packet.
const maxClaimSubscriptions = 64

func (s *Session) maxSubscriptions() int {
	if s.claim {
		return maxClaimSubscriptions
	}
	return maxSubscriptions
}

// OnSubscribe empties the filters that no policy allows, and those that would be
// too many, so that mochi refuses them; OnSubscribed then sets the code that says
// why.
func (h *Hook) OnSubscribe(cl *mqtt.Client, pk packets.Packet) (out packets.Packet) {
	out = pk
	if cl.Net.Inline {
		return out
	}
	out.Filters = make(packets.Subscriptions, len(pk.Filters)) // pk's own is not ours to change
	defer h.guard("OnSubscribe", func() { clear(out.Filters) })
	s := sessionOf(cl)
	if s == nil {
		return out
	}
	room := s.maxSubscriptions() - cl.State.Subscriptions.Len()
	s.excess = nil
	for i, f := range pk.Filters {
		if !s.maySubscribe(f.Filter) {
			continue
		}
		if _, known := cl.State.Subscriptions.Get(f.Filter); !known {
			if room <= 0 {
				s.excess = append(s.excess, i)
				continue
			}
			room--
		}
		out.Filters[i] = f
	}
	return out
}

// OnSubscribed judges what was just granted once more: a policy that changed
// meanwhile found the subscription too late or not at all.
func (h *Hook) OnSubscribed(cl *mqtt.Client, pk packets.Packet, codes []byte) {
	if cl.Net.Inline {
		return
	}
	defer h.guard("OnSubscribed", func() { cl.Stop(packets.ErrNotAuthorized) })
	s := sessionOf(cl)
	denied, tooMany := packets.ErrNotAuthorized.Code, packets.ErrQuotaExceeded.Code
	if cl.Properties.ProtocolVersion < 5 {
		denied, tooMany = packets.ErrUnspecifiedError.Code, packets.ErrUnspecifiedError.Code // [MQTT-3.9.3-2] of 3.1.1 knows 0x80 alone
	}
	var granted []string
	for i, f := range pk.Filters {
		switch {
		case f.Filter == "" && s != nil && slices.Contains(s.excess, i):
			codes[i] = tooMany
		case f.Filter == "":
			codes[i] = denied
		case codes[i] <= packets.CodeGrantedQos2.Code && (s == nil || !s.maySubscribe(f.Filter)):
			codes[i] = denied
			if s != nil {
				s.unsubscribe(f.Filter)
			}
		case codes[i] <= packets.CodeGrantedQos2.Code:
			granted = append(granted, f.Filter)
		}
	}
	if s != nil {
		s.subscribed(granted)
	}
}

// OnUnsubscribe notes which of the subscriptions there are.
func (h *Hook) OnUnsubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	defer h.guard("OnUnsubscribe", func() {})
	s := sessionOf(cl)
	if s == nil {
		return pk
	}
	s.presence.leaving = nil
	for _, f := range pk.Filters {
		if _, ok := cl.State.Subscriptions.Get(f.Filter); ok {
			s.presence.leaving = append(s.presence.leaving, f.Filter)
		}
	}
	return pk
}

// OnUnsubscribed tells which of them are gone. mochi also calls it when a session
// ends, with a packet that nobody sent and so has no number.
func (h *Hook) OnUnsubscribed(cl *mqtt.Client, pk packets.Packet) {
	defer h.guard("OnUnsubscribed", func() {})
	s := sessionOf(cl)
	if s == nil || pk.PacketID == 0 {
		return
	}
	var gone []string
	for _, filter := range s.presence.leaving {
		if _, ok := cl.State.Subscriptions.Get(filter); !ok {
			gone = append(gone, filter)
		}
	}
	s.unsubscribed(gone)
}

// OnSessionEstablished judges the subscriptions that were inherited from an
// earlier connection of the client ID.
func (h *Hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	defer h.guard("OnSessionEstablished", func() { cl.Stop(packets.ErrNotAuthorized) })
	if s := sessionOf(cl); s != nil {
		s.presence.served.Store(true)
		s.judgeSubscriptions()
		s.attend()
	}
}

// OnSelectSubscribers keeps the server's own topics from shared subscriptions
// that begin with a wildcard, as mochi itself does for all others
// [MQTT-4.7.2-1], and has mochi choose among those members of a group who may
// receive the message: it would ask about one alone, and the message be lost.
// Those who are connected come first: who is away for long would collect its share
// of what the others could deal with, until its window is full and drops it.
func (h *Hook) OnSelectSubscribers(subs *mqtt.Subscribers, pk packets.Packet) *mqtt.Subscribers {
	defer h.guard("OnSelectSubscribers", func() { clear(subs.Shared) })
	if strings.HasPrefix(pk.TopicName, "$") {
		for filter := range subs.Shared {
			parts := strings.SplitN(filter, "/", 3)
			if len(parts) == 3 && (strings.HasPrefix(parts[2], "+") || strings.HasPrefix(parts[2], "#")) {
				delete(subs.Shared, filter)
			}
		}
	}
	for filter, members := range subs.Shared { // copies, made for this message
		var away []string
		for id := range members {
			cl, ok := h.server.Clients.Get(id)
			switch {
			case !ok || !h.OnACLCheck(cl, pk.TopicName, false):
				delete(members, id)
			case cl.Net.Conn == nil || cl.Closed():
				away = append(away, id)
			}
		}
		if len(away) < len(members) { // it waits for a member only where all are away
			for _, id := range away {
				delete(members, id)
			}
		}
		if len(members) == 0 {
			delete(subs.Shared, filter)
		}
	}
	return subs
}

// OnPublish judges what OnACLCheck could not see: the topic behind an alias,
// and whether the message may be retained. A request to the server goes to
// nobody else.
func (h *Hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (out packets.Packet, err error) {
	if cl.Net.Inline {
		return pk, nil
	}
	defer h.guard("OnPublish", func() { err = packets.ErrRejectPacket })
	aliased := pk.Properties.TopicAliasFlag
	own := strings.HasPrefix(pk.TopicName, "$")
	if !aliased && !pk.FixedHeader.Retain && !own {
		return pk, nil
	}
	s := sessionOf(cl)
	if own && s != nil && s.mayAsk(pk.TopicName) {
		out = pk
		out.Ignore, out.FixedHeader.Retain = true, false
		return out, nil
	}
	if s != nil && s.mayPublish(pk.TopicName, pk.FixedHeader.Retain) {
		return pk, nil
	}
	switch {
	case pk.FixedHeader.Qos == 0:
		return pk, packets.ErrRejectPacket
	case pk.FixedHeader.Qos == 1 && cl.Properties.ProtocolVersion == 5:
		return pk, packets.ErrNotAuthorized // the PUBACK's code
	}
	// mochi would answer QoS 2 with a PUBACK, and 3.1.1 has no code to say no.
	if s != nil {
		s.close(packets.ErrNotAuthorized)
	}
	return pk, packets.ErrRejectPacket
}

// OnPublishDropped runs when a message does not fit into a subscriber's queue,
// in the publisher's goroutine. What was promised and cannot be kept ends the
// subscriber's connection, so that it knows.
func (h *Hook) OnPublishDropped(cl *mqtt.Client, pk packets.Packet) {
	defer h.guard("OnPublishDropped", func() {})
	h.observer.Dropped(1)
	if s := sessionOf(cl); s != nil && pk.FixedHeader.Qos > 0 {
		s.overflow("its queue of messages is full")
	}
}

// OnQosPublish runs when a message of QoS 1 or 2 has taken its place in a
// subscriber's inflight window. mochi drops what comes to a full window without
// asking anyone; so the message that fills it ends the connection, and nothing
// is lost in silence while a client is connected. What is sent again at a
// reconnect (Dup) fills no new place.
func (h *Hook) OnQosPublish(cl *mqtt.Client, pk packets.Packet, _ int64, _ int) {
	defer h.guard("OnQosPublish", func() {})
	if pk.FixedHeader.Type != packets.Publish || pk.FixedHeader.Dup ||
		cl.State.Inflight.Len() < int(h.server.Options.Capabilities.MaximumInflight) {
		return
	}
	if s := sessionOf(cl); s != nil && !cl.Closed() && s.overflow("it does not acknowledge what it gets") {
		h.observer.Dropped(1)
	}
}

// OnSysInfoTick counts the messages that mochi dropped without asking, because
// the inflight window of a subscriber was full: that of one who is away, as a
// rule. It runs once a minute, on mochi's own goroutine.
func (h *Hook) OnSysInfoTick(info *system.Info) {
	defer h.guard("OnSysInfoTick", func() {})
	if n := info.InflightDropped - h.overflowed; n > 0 {
		h.observer.Dropped(int(n))
	}
	h.overflowed = info.InflightDropped
}
