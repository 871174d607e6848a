package broker

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
)

// reject closes a connection that met a limit before TLS, and tells of it.
func (b *Broker) reject(nc net.Conn, limit admission.Cause) {
	remote := nc.RemoteAddr().String()
	detail := b.limits.detail(limit)
	b.gate.Failed(admission.Failure{Reason: muster.ReasonTooManyConnections, Cause: limit, Detail: detail, Remote: remote})
	b.observer.Rejected(string(limit))
	b.refusals.Warn().Str("event", "rejected").Str("reason", string(muster.ReasonTooManyConnections)).
		Str("limit", string(limit)).Str("detail", detail).Str("remote", remote).Msg("connection closed before TLS")
	_ = nc.Close()
}

// unheard tells of a peer that package hooks does not hear of, for its CONNECT
// was none or never came. One that just left again is not worth a line.
func (b *Broker) unheard(c *conn, err error) {
	reason, cause, detail := muster.ReasonConnectInvalid, admission.CauseMalformed, ""
	var code packets.Code
	var web *webError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET):
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason, cause = muster.ReasonHandshakeTimeout, admission.CauseNoConnect
		detail = fmt.Sprintf("no CONNECT came within %v after TLS", b.connectTimeout)
	case errors.As(err, &web):
		cause, detail = admission.CauseWebSocket, web.detail
	case errors.Is(err, packets.ErrProtocolViolationRequireFirstConnect):
		cause, detail = admission.CauseFirstPacket, "the first packet is no CONNECT"
	case errors.Is(err, packets.ErrPacketTooLarge):
		cause, detail = admission.CauseTooLarge, fmt.Sprintf("the CONNECT has more than the %d bytes of mqtt.max_packet_size", b.servers.maxPacketSize)
	case errors.As(err, &code):
		detail = "the CONNECT is against the standard: " + cmp.Or(code.Reason, fmt.Sprintf("code 0x%02X", code.Code))
	case err != nil:
		detail = fmt.Sprintf("the CONNECT could not be read: %v", err)
	}
	candidate := *c.candidate // its facts are the connection's own
	candidate.Facts.Cause = cause
	b.gate.Refused(&candidate, admission.Decision{Reason: reason, Detail: detail}, "")
	b.observer.Refused(reason)
	b.refusals.Warn().Str("event", "refused").Str("reason", string(reason)).Str("detail", detail).
		Str("certificate", candidate.ID).Str("subject", candidate.Facts.Leaf.Subject).
		Str("account", candidate.Account).Str("remote", candidate.Remote).Err(err).Msg("no CONNECT")
}
