package hooks

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
)

// DisconnectReason is why a connection ended, in the words of AWS IoT's
// lifecycle events.
type DisconnectReason string

// The reasons that are told. AWS has two more, for what is not done here.
const (
	DisconnectAuthError       DisconnectReason = "AUTH_ERROR"                  // the certificate counts no more, or a publish was not allowed
	DisconnectClientInitiated DisconnectReason = "CLIENT_INITIATED_DISCONNECT" // the client said goodbye
	DisconnectClientError     DisconnectReason = "CLIENT_ERROR"                // a packet against the standard
	DisconnectConnectionLost  DisconnectReason = "CONNECTION_LOST"
	DisconnectDuplicate       DisconnectReason = "DUPLICATE_CLIENTID"
	DisconnectForbidden       DisconnectReason = "FORBIDDEN_ACCESS" // the policies let it connect no more
	DisconnectKeepAlive       DisconnectReason = "MQTT_KEEP_ALIVE_TIMEOUT"
	DisconnectServerError     DisconnectReason = "SERVER_ERROR"
	DisconnectServerInitiated DisconnectReason = "SERVER_INITIATED_DISCONNECT" // the server stops
	DisconnectThrottled       DisconnectReason = "THROTTLED"                   // a limit, or a subscriber that does not keep up
)

// presence is what subscribers of $aws/events/presence/… are told of one
// connection: that it is there, and once, after that, that it is gone.
type presence struct {
	mu      sync.Mutex
	session string // its identifier; "": nothing is to be told (yet)
	version int64
	before  *Session // whose client ID it takes over; nil once that is told
	here    bool     // told
	gone    bool     // told

	superseded bool        // another connection takes over its client ID
	throttled  atomic.Bool // it did not keep up
	served     atomic.Bool // mochi reads its packets, and so tells of its end
	leaving    []string    // what an UNSUBSCRIBE names and is there; its connection's goroutine owns this
}

// presenceEvent is the payload of AWS's lifecycle events.
type presenceEvent struct {
	ClientID         string           `json:"clientId"`
	ThingName        string           `json:"thingName,omitempty"` // of an exclusive thing alone
	Timestamp        int64            `json:"timestamp"`           // milliseconds
	EventType        string           `json:"eventType"`
	ClientInitiated  *bool            `json:"clientInitiatedDisconnect,omitempty"`
	DisconnectReason DisconnectReason `json:"disconnectReason,omitempty"`
	SessionID        string           `json:"sessionIdentifier"`
	Principal        string           `json:"principalIdentifier"` // the certificate's ID
	IPAddress        string           `json:"ipAddress,omitempty"`
	Version          int64            `json:"versionNumber,omitempty"`
	Topics           []string         `json:"topics,omitempty"`
}

// versions numbers the connections of a server, each higher than those before,
// also than those before a restart: they are microseconds of Unix time, unless
// there were more connections than that.
type versions struct{ last atomic.Int64 }

func (v *versions) next(now time.Time) int64 {
	for {
		last := v.last.Load()
		n := max(last+1, now.UnixMicro())
		if v.last.CompareAndSwap(last, n) {
			return n
		}
	}
}

// begins notes that nothing keeps the connection out any more. before had the
// client ID until now; nil for nobody. The caller holds the ID.
func (s *Session) begins(before *Session) {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // does not fail
	if before != nil {
		before.presence.mu.Lock()
		before.presence.superseded = !before.client.Closed()
		before.presence.mu.Unlock()
	}
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	s.presence.session, s.presence.version = hex.EncodeToString(id), s.hook.versions.next(time.Now())
	s.presence.before = before
}

// appear tells that the connection is there, and before that, that the one that
// had its client ID is gone.
func (s *Session) appear() {
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	s.appearLocked()
}

func (s *Session) appearLocked() {
	p := &s.presence
	if p.session == "" || p.here {
		return
	}
	p.here = true
	if p.before != nil {
		p.before.vanish(p.before.client.StopCause())
		p.before = nil
	}
	s.tell("presence/connected", presenceEvent{EventType: "connected", IPAddress: ipOf(s.candidate.Remote), Version: p.version})
}

// vanish tells that the connection is gone, and why. Only the first call counts.
func (s *Session) vanish(cause error) {
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	p := &s.presence
	if p.session == "" || p.gone {
		return
	}
	s.appearLocked() // its CONNACK could not be written
	p.gone = true
	reason := s.disconnectReason(cause)
	own := reason == DisconnectClientInitiated
	s.tell("presence/disconnected", presenceEvent{
		EventType: "disconnected", ClientInitiated: &own, DisconnectReason: reason,
		IPAddress: ipOf(s.candidate.Remote), Version: p.version,
	})
}

// vanishAt is vanish at the end of a connection whose end mochi has told nobody,
// or that a packet ended which made mochi panic.
func (s *Session) vanishAt(panicked bool) {
	cause := s.client.StopCause()
	if panicked {
		cause = packets.ErrMalformedPacket
	}
	s.vanish(cause)
}

// subscribed and unsubscribed tell what changed in the session's subscriptions.
func (s *Session) subscribed(topics []string) {
	s.tellTopics("subscriptions/subscribed", presenceEvent{EventType: "subscribed", Topics: topics})
}

func (s *Session) unsubscribed(topics []string) {
	s.tellTopics("subscriptions/unsubscribed", presenceEvent{EventType: "unsubscribed", Topics: topics})
}

func (s *Session) tellTopics(topic string, e presenceEvent) {
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	if s.presence.session != "" && len(e.Topics) > 0 {
		s.tell(topic, e)
	}
}

// maxTopic is how long a topic may be (MQTT 5 §1.5.4).
const maxTopic = 65_535

// tell publishes an event of the session, if anyone listens. Client IDs that no
// topic could name have none (AWS IoT, “Lifecycle events”). The session's
// presence is locked, so that its events keep their order.
func (s *Session) tell(topic string, e presenceEvent) {
	defer s.hook.guard("presence", func() {})
	topic = "$aws/events/" + topic + "/" + s.client.ID
	if strings.ContainsAny(s.client.ID, "+#") || len(topic) > maxTopic || !s.hook.listened(topic) {
		return
	}
	e.ClientID, e.SessionID, e.Principal = s.client.ID, s.presence.session, s.candidate.ID
	e.ThingName, _ = s.exclusive.Load().(string)
	e.Timestamp = time.Now().UnixMilli()
	payload, err := json.Marshal(e)
	if err == nil {
		err = s.hook.server.Publish(topic, payload, false, 0)
	}
	if err != nil {
		s.hook.log.Error().Err(err).Str("certificate", s.candidate.ID).Msg("a lifecycle event was not published")
	}
}

// listened reports whether any subscription is for a topic.
func (h *Hook) listened(topic string) bool { return listened(h.server, topic) }

func listened(s *mqtt.Server, topic string) bool {
	subs := s.Topics.Subscribers(topic)
	return len(subs.Subscriptions)+len(subs.Shared)+len(subs.InlineSubscriptions) > 0
}

// disconnectReason says why the connection ended: what we closed it for, or else
// the cause that mochi stopped it for; nil if that gave none.
func (s *Session) disconnectReason(cause error) DisconnectReason {
	a, ok := s.client.Net.Conn.(*attached)
	switch k := s.kicked.Load(); {
	case k != nil:
		return kickedFor(k.Reason)
	case s.presence.superseded:
		return DisconnectDuplicate
	case s.presence.throttled.Load():
		return DisconnectThrottled
	case ok && a.fault.Code != 0:
		return DisconnectClientError
	case cause == nil: // it never began to read
		return DisconnectConnectionLost
	}
	var code packets.Code
	if errors.As(cause, &code) {
		return stoppedFor(code)
	}
	var network net.Error
	switch {
	case errors.Is(cause, os.ErrDeadlineExceeded):
		return DisconnectKeepAlive
	case errors.As(cause, &network), errors.Is(cause, io.EOF), errors.Is(cause, io.ErrUnexpectedEOF),
		errors.Is(cause, net.ErrClosed), errors.Is(cause, syscall.ECONNRESET), errors.Is(cause, syscall.EPIPE):
		return DisconnectConnectionLost
	}
	return DisconnectClientError // mochi could not read a packet
}

// kickedFor is the word for a reason of ours.
func kickedFor(r muster.Reason) DisconnectReason {
	switch r {
	case muster.ReasonShutdown:
		return DisconnectServerInitiated
	case muster.ReasonTakenOver:
		return DisconnectDuplicate
	case muster.ReasonPolicyDenied:
		return DisconnectForbidden
	case muster.ReasonInternalError:
		return DisconnectServerError
	case muster.ReasonBusy, muster.ReasonSessionQuota, muster.ReasonTooManyConnections:
		return DisconnectThrottled
	}
	return DisconnectAuthError
}

// stoppedFor is the word for a code that mochi stopped a client with.
func stoppedFor(code packets.Code) DisconnectReason {
	switch code.Code {
	case packets.CodeDisconnect.Code, packets.CodeDisconnectWillMessage.Code:
		return DisconnectClientInitiated
	case packets.ErrSessionTakenOver.Code:
		return DisconnectDuplicate
	case packets.ErrServerShuttingDown.Code:
		return DisconnectServerInitiated
	case packets.ErrNotAuthorized.Code:
		return DisconnectAuthError
	case packets.ErrQuotaExceeded.Code:
		return DisconnectThrottled
	case packets.ErrKeepAliveTimeout.Code:
		return DisconnectKeepAlive
	case packets.ErrUnspecifiedError.Code, packets.ErrImplementationSpecificError.Code:
		return DisconnectServerError
	}
	return DisconnectClientError
}

// ipOf returns the IP address of host:port; "" if there is none.
func ipOf(remote string) string {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	return a.Addr().Unmap().WithZone("").String()
}
