package hooks

import (
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
	}
	return notAuthorized
}

// code returns the packet code for a protocol version, with the reason and
// what was seen as the reason string of MQTT 5.
func code(r muster.Reason, detail string, version byte) packets.Code {
	c := connackOf(r)
	if version < 5 {
		return c.v3
	}
	text := string(r)
	if detail != "" {
		text += ": " + detail
	}
	return packets.Code{Code: c.v5.Code, Reason: text}
}
