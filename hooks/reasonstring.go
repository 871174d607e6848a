package hooks

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
)

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
		s += ": " + strings.Map(printable, detail)
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

// printable keeps out what a string of MQTT should not have, or not at all (MQTT 5
// §1.5.4): details cite certificates, responders and clients. What is no UTF-8 comes
// as U+FFFD.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return ' '
	}
	return r
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
