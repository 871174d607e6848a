package hooks

import (
	"regexp"
	"strings"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
)

// connack holds the codes of one reason: MQTT 5 §3.2.2.2 and 3.1.1 §3.2.2.3.
// The older ones are spelled out because mochi would send most of the newer
// ones to an old client as they are.
type connack struct{ v5, v3 packets.Code }

var (
	notAuthorized = connack{packets.ErrNotAuthorized, packets.Err3NotAuthorized}
	banned        = connack{packets.ErrBanned, packets.Err3NotAuthorized}
	unavailable   = connack{packets.ErrServerUnavailable, packets.Err3ServerUnavailable}
	busy          = connack{packets.ErrServerBusy, packets.Err3ServerUnavailable}
	rateExceeded  = connack{packets.ErrConnectionRateExceeded, packets.Err3ServerUnavailable}
	violation     = connack{packets.ErrProtocolViolation, packets.Err3NotAuthorized}
)

// connackOf returns the codes for a reason. What is not listed is not
// authorized: the client can do nothing about it by itself.
func connackOf(r muster.Reason) connack {
	switch r {
	case muster.ReasonRevoked, muster.ReasonDeleted, muster.ReasonTransferred:
		return banned
	case muster.ReasonRevocationUnknown, muster.ReasonInternalError:
		return unavailable
	case muster.ReasonPendingQuota, muster.ReasonShutdown:
		return busy
	case muster.ReasonTooManyConnections:
		return rateExceeded
	case muster.ReasonConnectInvalid:
		return violation
	}
	return notAuthorized
}

// disconnectOf returns the code of a DISCONNECT, which knows fewer than CONNACK
// does: neither 0x88 nor 0x8A (MQTT 5 §3.14.2.1).
func disconnectOf(r muster.Reason) packets.Code {
	if r == muster.ReasonShutdown {
		return packets.ErrServerShuttingDown
	}
	switch c := connackOf(r); c {
	case banned:
		return packets.ErrAdministrativeAction
	case unavailable:
		return packets.ErrUnspecifiedError
	default:
		return c.v5
	}
}

// maxReason bounds a reason string, in bytes: enough for a sentence with two
// fingerprints, and little enough for a device with small buffers that did not
// say how small.
const maxReason = 480

// connackAside is what a CONNACK, or a DISCONNECT, has at most besides its
// reason string, in bytes: header, flags, code, and the properties that mochi
// adds.
const connackAside = 24

// reasonString is what a client of MQTT 5 reads: the word, and as much of what
// was seen as fits into the packets that it takes [MQTT-3.1.2-25]. A client that
// asked for no problem information gets none.
func reasonString(r muster.Reason, detail string, asked packets.Properties) string {
	if asked.RequestProblemInfoFlag && asked.RequestProblemInfo == 0 {
		return ""
	}
	room := maxReason
	if asked.MaximumPacketSize > 0 {
		room = int(min(int64(room), int64(asked.MaximumPacketSize)-connackAside))
	}
	s := string(r)
	if detail != "" {
		s += ": " + detail
	}
	const more = "…"
	switch {
	case len(s) <= room:
		return s
	case len(r)+len(more) < room:
		return strings.ToValidUTF8(s[:room-len(more)], "") + more
	case len(r) <= room:
		return string(r)
	}
	return ""
}

// ownWord begins the reason strings of this package: a word, and then a colon or
// nothing. mochi's begin with plain words.
var ownWord = regexp.MustCompile(`^[a-z_]+(:|$)`)

// correct mends the CONNACK by which mochi itself refuses a CONNECT: it gives
// such a reason the word that explain knows it by, and clients of MQTT 3.1.1 a
// code of theirs, where mochi would send most codes of MQTT 5 as they are.
func correct(pk *packets.Packet) {
	if pk.ReasonCode == packets.CodeSuccess.Code {
		return
	}
	if s := pk.Properties.ReasonString; s != "" && !ownWord.MatchString(s) {
		pk.Properties.ReasonString = string(muster.ReasonConnectInvalid) + ": " + s
	}
	if pk.ProtocolVersion == 5 || pk.ReasonCode <= packets.Err3NotAuthorized.Code {
		return
	}
	switch pk.ReasonCode {
	case packets.ErrProtocolViolation.Code, packets.ErrUnsupportedProtocolVersion.Code:
		pk.ReasonCode = packets.Err3UnsupportedProtocolVersion.Code
	case packets.ErrUnspecifiedError.Code: // no client ID for a session that is to be kept [MQTT-3.1.3-8]
		pk.ReasonCode = packets.Err3ClientIdentifierNotValid.Code
	default:
		pk.ReasonCode = packets.Err3NotAuthorized.Code
	}
}

// code returns the CONNACK code for a client, with a reason string for MQTT 5.
func code(r muster.Reason, detail string, p mqtt.ClientProperties) packets.Code {
	c := connackOf(r)
	if p.ProtocolVersion < 5 {
		return c.v3
	}
	return packets.Code{Code: c.v5.Code, Reason: reasonString(r, detail, p.Props)}
}
