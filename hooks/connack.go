package hooks

import (
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
	quotaExceeded = connack{packets.ErrQuotaExceeded, packets.Err3ServerUnavailable}
	violation     = connack{packets.ErrProtocolViolation, packets.Err3NotAuthorized}
	badMethod     = connack{packets.ErrBadAuthenticationMethod, packets.Err3NotAuthorized}
)

// connackOf returns the codes for a reason. What is not listed is not
// authorized: the client can do nothing about it by itself.
func connackOf(r muster.Reason) connack {
	switch r {
	case muster.ReasonRevoked, muster.ReasonDeleted, muster.ReasonTransferred:
		return banned
	case muster.ReasonRevocationUnknown, muster.ReasonInternalError:
		return unavailable
	case muster.ReasonPendingQuota, muster.ReasonShutdown, muster.ReasonBusy:
		return busy
	case muster.ReasonSessionQuota:
		return quotaExceeded
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
	switch r {
	case muster.ReasonShutdown:
		return packets.ErrServerShuttingDown
	case muster.ReasonTakenOver:
		return packets.ErrSessionTakenOver
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

// code returns the CONNACK code for a client, with a reason string for MQTT 5.
func code(r muster.Reason, detail string, p mqtt.ClientProperties) packets.Code {
	c := connackOf(r)
	if r == muster.ReasonConnectInvalid && p.Props.AuthenticationMethod != "" {
		c = badMethod // [MQTT-4.12.0-1]
	}
	if p.ProtocolVersion < 5 {
		return c.v3
	}
	return packets.Code{Code: c.v5.Code, Reason: reasonString(r, detail, p.Props)}
}
