package hooks

import (
	"errors"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster/policy"
)

// Requests answers what clients ask on topics that begin with $, such as those of
// AWS IoT's fleet provisioning: the only ones of these that clients may publish
// to. A message there is a request, for which the client needs iot:Publish. It is
// acknowledged and goes to Requests, and to no subscriber; it is not retained.
type Requests interface {
	// Serves reports whether a topic is one of a request. It is asked for each
	// message to a topic that begins with $, and must neither block nor allocate.
	Serves(topic string) bool
	// Request takes one. It is called on the connection's own goroutine and must
	// not block; the answer follows by Session.Answer.
	Request(r Request)
}

// Request is a message to a topic that Requests serves.
type Request struct {
	Account       string
	CertificateID string
	ClientID      string
	Remote        string // address and port
	Topic         string
	Payload       []byte
	Session       *Session // of the connection that asks
}

// mayAsk judges a message to a topic of the server's.
func (s *Session) mayAsk(topic string) bool {
	return topic != "" && topic[0] == '$' && s.hook.requests != nil && s.hook.requests.Serves(topic) &&
		s.allowed(policy.Publish, topic)
}

// OnPublished hands a request on, after mochi has acknowledged it where it does
// that by itself.
func (h *Hook) OnPublished(cl *mqtt.Client, pk packets.Packet) {
	if !pk.Ignore {
		return
	}
	defer h.guard("OnPublished", func() {})
	s := sessionOf(cl)
	if s == nil || h.requests == nil || !h.requests.Serves(pk.TopicName) {
		return
	}
	h.requests.Request(Request{
		Account: s.candidate.Account, CertificateID: s.candidate.ID, ClientID: cl.ID, Remote: s.candidate.Remote,
		Topic: pk.TopicName, Payload: pk.Payload, Session: s,
	})
}

// Gone reports whether the connection has ended, or is about to for a reason.
func (s *Session) Gone() bool {
	return s.kicked.Load() != nil || s.parting.Load() || s.client.Closed()
}

// Listens reports whether an answer on a topic would reach the connection: it has
// a subscription that covers the topic and is not shared with others, and its
// policies let it receive that.
func (s *Session) Listens(topic string) bool {
	_, ok := s.subscriptionsOf(topic)
	return ok
}

// subscriptionsOf returns the identifiers of the subscriptions that cover a topic
// [MQTT-3.3.4-3]; ok is false if there are none.
func (s *Session) subscriptionsOf(topic string) (identifiers []int, ok bool) {
	if s.Gone() || !s.allowed(policy.Receive, topic) {
		return nil, false
	}
	for filter, sub := range s.client.State.Subscriptions.GetAll() {
		if !covers(filter, topic) {
			continue
		}
		ok = true
		if sub.Identifier > 0 {
			identifiers = append(identifiers, sub.Identifier)
		}
	}
	return identifiers, ok
}

// Answer sends a message to this connection and to nobody else, whoever may have
// subscribed to its topic. It passes mochi's subscribers by, is of QoS 0 whatever
// was granted, and so is neither retained nor kept for whoever has the client ID
// next: it may hold a private key. It may take as long as one write to the client.
func (s *Session) Answer(topic string, payload []byte) error {
	identifiers, ok := s.subscriptionsOf(topic)
	if !ok {
		return errors.New("the connection has ended, or is not subscribed to the answer any more")
	}
	return s.client.WritePacket(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish}, ProtocolVersion: s.client.Properties.ProtocolVersion,
		TopicName: topic, Payload: payload, Created: time.Now().Unix(),
		Properties: packets.Properties{SubscriptionIdentifier: identifiers},
	})
}

// covers reports whether a filter covers a topic of the server's, which begins
// with $: no wildcard stands for its first level [MQTT-4.7.2-1], and a shared
// subscription begins with another.
func covers(filter, topic string) bool {
	if filter == "" || filter[0] != '$' {
		return false
	}
	for {
		want, filterRest, filterMore := strings.Cut(filter, "/")
		level, topicRest, topicMore := strings.Cut(topic, "/")
		switch {
		case want == "#":
			return true
		case want != "+" && want != level:
			return false
		case !filterMore || !topicMore:
			return filterMore == topicMore || filterRest == "#" && !topicMore
		}
		filter, topic = filterRest, topicRest
	}
}

// beginClaim has the session of a claim certificate end with its connection:
// nobody comes back for it.
func (s *Session) beginClaim() {
	p := &s.client.Properties
	p.Clean, p.Props.SessionExpiryInterval = true, 0
	s.claim = true
}

// mayDisplace reports whether the session may take its client ID from a client of
// mochi's. Claim certificates may use any ID, and many hold the same: they take it
// from each other and from nobody else.
func (s *Session) mayDisplace(old *mqtt.Client) bool {
	if !s.claim {
		return true
	}
	held := sessionOf(old)
	return held != nil && held.claim
}
