package hooks

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// OnPacketRead judges the packets of a live session before mochi acts on them:
// it lets pass what the standard does not. It runs for each packet, on the
// connection's own goroutine: no locks, no allocation.
func (h *Hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (out packets.Packet, err error) {
	out = pk
	defer h.guard("OnPacketRead", func() { err = packets.ErrRejectPacket })
	a, ok := cl.Net.Conn.(*attached)
	if !ok {
		tolerate(&out)
		return out, nil
	}
	if a.fault = faultOf(&pk); a.fault.Code != 0 {
		return pk, packets.ErrRejectPacket
	}
	h.line(cl)
	switch pk.FixedHeader.Type {
	case packets.Publish:
		if unanswered(pk.TopicName) {
			out.TopicName = "$" + pk.TopicName
		}
	case packets.Disconnect:
		if pk.ProtocolVersion == 5 && pk.FixedHeader.Remaining == 1 {
			out.ReasonCode = a.lastByte()
		}
		// mochi bounds that of CONNECT alone.
		out.Properties.SessionExpiryInterval = min(pk.Properties.SessionExpiryInterval,
			h.server.Options.Capabilities.MaximumSessionExpiryInterval)
	case packets.Subscribe:
		for i, f := range pk.Filters {
			if !wellFormed(f.Filter) {
				pk.Filters[i].Filter = illFormed
			}
		}
	}
	a.acting.Store(true)
	return out, nil
}

// OnPacketProcessed runs when mochi has acted on a packet. With an error it is
// about to tell the client.
func (h *Hook) OnPacketProcessed(cl *mqtt.Client, pk packets.Packet, err error) {
	defer h.guard("OnPacketProcessed", func() {})
	if a, ok := cl.Net.Conn.(*attached); ok && err == nil {
		a.acting.Store(false)
		a.session.will.goodbye = pk.FixedHeader.Type == packets.Disconnect && pk.ReasonCode == packets.CodeDisconnect.Code
	}
}

// tolerate has mochi take a CONNECT that the standard allows and mochi does not:
// a password or a will of no bytes (MQTT 5 §3.1.3.4, §3.1.3.6; 3.1.1 §3.1.3.3,
// §3.1.3.5).
func tolerate(pk *packets.Packet) {
	if pk.FixedHeader.Type != packets.Connect {
		return
	}
	if len(pk.Connect.Password) == 0 { // it counts for nothing here
		pk.Connect.PasswordFlag = false
	}
	if pk.Connect.WillFlag && len(pk.Connect.WillPayload) == 0 {
		pk.Connect.WillPayload = emptyWill
	}
}

// lastByte returns the code of a DISCONNECT that is nothing but its code, which
// mochi does not look at (MQTT 5 §3.14.2.1). It is the last byte that a client
// sends [MQTT-3.14.4-1]. Of a transport that does not tell, it is taken for 0x04:
// who has no more to say than goodbye may leave the code out, and most do.
func (a *attached) lastByte() byte {
	if t, ok := a.Conn.(interface{ LastByte() byte }); ok {
		return t.LastByte()
	}
	return packets.CodeDisconnectWillMessage.Code
}

// unanswered reports whether mochi passes over a message of that topic and never
// answers it: the client would wait for the PUBACK [MQTT-4.3.2-4]. All of these
// begin with $, and so are denied under another name that does.
func unanswered(topic string) bool {
	return strings.HasPrefix(topic, "$") && !strings.ContainsAny(topic, "+#") && !mqtt.IsValidFilter(topic, true)
}

// faultOf returns the code by which the standard ends the connection for a
// packet that mochi could read; the zero value for none.
func faultOf(pk *packets.Packet) packets.Code {
	switch pk.FixedHeader.Type {
	case packets.Connack, packets.Suback, packets.Unsuback, packets.Pingresp:
		return packets.Code{Code: packets.ErrProtocolViolation.Code, Reason: "only servers send this packet"}
	case packets.Auth: // no method was agreed on [MQTT-4.12.0-6]
		return packets.Code{Code: packets.ErrProtocolViolation.Code, Reason: "no authentication method was agreed on"}
	case packets.Publish:
		if strings.ContainsAny(pk.Properties.ResponseTopic, "+#") { // [MQTT-3.3.2-14]
			return packets.ErrProtocolViolationSurplusWildcard
		}
	case packets.Subscribe:
		return subscribeFault(pk)
	}
	return packets.Code{}
}

func subscribeFault(pk *packets.Packet) packets.Code {
	if ids := pk.Properties.SubscriptionIdentifier; len(ids) > 1 || len(ids) == 1 && ids[0] == 0 { // MQTT 5 §3.8.2.1.2
		return packets.Code{Code: packets.ErrProtocolViolation.Code, Reason: "the subscription identifier is 0 or there are several"}
	}
	for _, f := range pk.Filters {
		if f.RetainHandling > 2 { // MQTT 5 §3.8.3.1
			return packets.Code{Code: packets.ErrProtocolViolation.Code, Reason: "the retain handling is neither 0, 1 nor 2"}
		}
		if f.NoLocal && mqtt.IsSharedFilter(f.Filter) { // [MQTT-3.8.3-4]; mochi's SUBACK would have a code that it cannot have
			return packets.ErrProtocolViolationInvalidSharedNoLocal
		}
	}
	return packets.Code{}
}

// illFormed stands for every filter that the standard does not know: mochi finds
// out by itself that this is none, and answers 0x8F.
const illFormed = "#/"

// wellFormed reports whether a wildcard stands for whole levels [MQTT-4.7.1-1]
// [MQTT-4.7.1-2], and a shared subscription has a group and a filter
// [MQTT-4.8.2-1] [MQTT-4.8.2-2].
func wellFormed(filter string) bool {
	if filter == "" || tooDeep(filter) { // [MQTT-4.7.3-1]
		return false
	}
	if mqtt.IsSharedFilter(filter) {
		_, rest, _ := strings.Cut(filter, "/")
		group, shared, _ := strings.Cut(rest, "/")
		if group == "" || shared == "" || strings.ContainsAny(group, "+#") {
			return false
		}
		filter = shared
	}
	for more := true; more; {
		var level string
		level, filter, more = strings.Cut(filter, "/")
		if len(level) > 1 && strings.ContainsAny(level, "+#") || level == "#" && more {
			return false
		}
	}
	return true
}

// maxLevels bounds the levels of a topic and of a filter. mochi looks for each
// level from the beginning, while it holds the lock on all subscriptions: 32,768
// of them, which 64 KB can hold, would stop everyone for seconds.
const maxLevels = 128

func tooDeep(topic string) bool { return strings.Count(topic, "/") >= maxLevels }

// faultTimeout is how long the end of a connection over a bad packet may wait
// for the DISCONNECT that says so.
const faultTimeout = 250 * time.Millisecond

// Close also frees the client ID, for a connection that ends before its
// CONNACK, unless whoever drives it calls Session.End.
//
// mochi closes a connection over a packet that it cannot read before anyone can
// tell the client [MQTT-4.13.1-1]. That may be so whenever its reader does not act
// on a packet: then the end is put off until OnDisconnect, which follows at once,
// has sent a DISCONNECT.
func (a *attached) Close() error {
	if _, driven := a.Conn.(Connection); !driven {
		defer a.session.unlock()
		if !a.session.presence.served.Load() { // nobody else will tell
			defer a.session.bequeath()
			defer a.session.vanish(nil)
		}
	}
	a.session.hook.sole.release(a.session)
	if a.session.client.Properties.ProtocolVersion == 5 && a.session.established.Load() && !a.session.parting.Load() &&
		!a.acting.Load() && !a.told.Load() {
		time.AfterFunc(faultTimeout, func() { _ = a.Conn.Close() })
		return nil
	}
	return a.Conn.Close()
}

// lost reports whether an error is of the transport, and not of a packet: those
// carry a code, as a rule.
func lost(err error) bool {
	var code packets.Code
	var transport net.Error
	return !errors.As(err, &code) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, io.ErrClosedPipe) || errors.Is(err, net.ErrClosed) || errors.As(err, &transport))
}

// answerFault tells the client, and the log at a bounded rate, what was wrong
// with a packet for which the connection ends, and closes it.
func (s *Session) answerFault(err error) {
	a, ok := s.client.Net.Conn.(*attached)
	if !ok {
		return
	}
	defer a.Conn.Close()
	code := a.fault
	if code.Code == 0 && !errors.As(err, &code) {
		code = packets.ErrMalformedPacket
	}
	switch {
	case err == nil, lost(err), s.parting.Load(): // the peer has left, or was told why it has to
		return
	case a.fault.Code == 0 && errors.Is(err, packets.ErrRejectPacket): // by another hook, which tells of it
		return
	case code.Code < packets.ErrMalformedPacket.Code, code.Code == packets.ErrNotAuthorized.Code: // a word of its own, or of the policies
		return
	case code.Code == packets.ErrClientIdentifierNotValid.Code: // of a second CONNECT
		code = packets.ErrProtocolViolationSecondConnect
	}
	s.hook.observer.ProtocolError()
	detail := cmp.Or(code.Reason, err.Error())
	s.hook.refusalLog.Warn().Str("event", "protocol_error").Str("code", fmt.Sprintf("0x%02X", code.Code)).Str("detail", detail).
		Str("certificate", s.candidate.ID).Str("client", fmt.Sprintf("%.128s", s.client.ID)).Str("account", s.candidate.Account).
		Str("remote", s.candidate.Remote).Msg("a packet against the standard; connection closed")
	if s.client.Properties.ProtocolVersion == 5 && !a.told.Load() {
		defer cutAfter(faultTimeout, a.Conn)()
		s.disconnect(code)
	}
}
