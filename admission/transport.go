package admission

import (
	"encoding/json"

	"github.com/muster-mqtt/muster"
)

// Cause is what ended a connection where no rule was asked: a limit, TLS, or a
// first packet that is no CONNECT. The set is closed; a transport names it and
// Mend knows what helps.
type Cause string

// The causes. The zero value is none.
const (
	CauseConnections   Cause = "connections"            // limits.connections
	CauseHandshakes    Cause = "handshakes"             // limits.handshakes
	CauseAddress       Cause = "connects_per_address"   // limits.connects_per_address
	CauseConnects      Cause = "connects"               // limits.connects
	CauseAuthority     Cause = "connects_per_authority" // limits.connects_per_authority
	CauseRegistrations Cause = "registrations"          // limits.registrations
	CauseBusy          Cause = "busy"                   // known devices wait for their turn
	CauseNotTLS        Cause = "not_tls"                // the first bytes are something else
	CauseVersion       Cause = "tls_version"            // no shared version of TLS
	CauseCipher        Cause = "cipher"                 // no shared cipher suite or curve
	CauseProtocol      Cause = "alpn"                   // none of the offered application protocols is spoken here
	CauseNoCertificate Cause = "no_certificate"
	CauseKey           Cause = "key"        // the device could not prove that it holds its key
	CauseDistrust      Cause = "distrust"   // the device does not accept the server's certificate
	CauseLeft          Cause = "left"       // the device went away during the handshake
	CauseSlow          Cause = "slow"       // TLS was not done in time
	CauseTLS           Cause = "tls"        // anything else that TLS does not like
	CauseNoConnect     Cause = "no_connect" // no CONNECT came in time
	CauseFirstPacket   Cause = "first_packet"
	CauseTooLarge      Cause = "too_large"      // the CONNECT is larger than mqtt.max_packet_size
	CauseMalformed     Cause = "malformed"      // the CONNECT is against the standard
	CauseWebProtocol   Cause = "alpn_websocket" // the same on a listener of WebSocket
	CauseWebSocket     Cause = "websocket"      // the client opened the WebSocket wrongly, or breaks its rules
	CauseWill          Cause = "will"           // the topic of the will has a wildcard
)

// Failure is a connection that ended before its certificate was known.
type Failure struct {
	Reason muster.Reason
	Cause  Cause
	Detail string
	SNI    string // the server name that the device sent
	Remote string // its address
}

// Failed remembers a connection that ended before its certificate was known, by
// its address: so an operator whose device gets no answer at all finds out why.
func (g *Gate) Failed(f Failure) {
	if g.memory == nil {
		return
	}
	now := g.now()
	// These come at the rate of a flood: only what says something is written.
	facts, err := json.Marshal(struct {
		SNI   string `json:"sni,omitempty"`
		Cause Cause  `json:"cause"`
	}{clip(f.SNI), f.Cause})
	if err != nil {
		g.log.Error().Err(err).Msg("a refusal could not be kept")
		return
	}
	g.memory.Remember(muster.Refusal{
		Time: now, First: now, Count: 1, Reason: f.Reason, Detail: clipTo(f.Detail, maxDetail), Remote: f.Remote, Facts: facts,
	})
}

// Located adds to the refusal of a stranger where it came from, which the check
// in the handshake cannot know.
func (g *Gate) Located(e *UntrustedError, remote string) {
	if g.memory != nil {
		g.memory.locate(e.ID, remote)
	}
}

// mendTransport says what helps against what ended a connection outside the
// rules; "" for a cause that is none of these.
func mendTransport(c Cause) string {
	switch c {
	case CauseConnections:
		return "raise limits.connections, or find out who keeps so many connections open"
	case CauseHandshakes:
		return "raise limits.handshakes, or find out who begins so many connections at once: a fleet that starts together should wait a random time"
	case CauseAddress:
		return "let the device wait longer between its connects, or raise limits.connects_per_address if a whole fleet comes from one address"
	case CauseConnects:
		return "raise limits.connects, or find out who connects so often: a fleet that starts together should wait a random time"
	case CauseAuthority:
		return "raise limits.connects_per_authority, or find out why the devices of this authority connect so often"
	case CauseRegistrations:
		return "let the device connect again after a random time; raise limits.registrations, or find out what holds registrations up: the OCSP responder, most often"
	case CauseBusy:
		return "let the device connect again after a random time; devices that are registered go first, and this server needs more processors if that happens often"
	case CauseNotTLS:
		return "let the device speak MQTT over TLS (mqtts, ssl://) to this port, with its certificate"
	case CauseVersion:
		return "let the device speak TLS 1.2 or 1.3: update its TLS library, or allow these versions in its settings"
	case CauseCipher:
		return "let the device offer ECDHE cipher suites with AES-GCM or ChaCha20 and the curve P-256 or X25519, and signatures that fit the key of mqtt.certificate"
	case CauseProtocol:
		return "let the device offer the application protocol (ALPN) mqtt or x-amzn-mqtt-ca, or none; clients of WebSocket, which offer http/1.1, connect to a port of mqtt.websocket"
	case CauseWebProtocol:
		return "this port speaks MQTT over WebSocket: let the client offer the application protocol (ALPN) http/1.1 or none; others connect to a port of mqtt.address"
	case CauseWebSocket:
		return "let the client open wss://HOST:PORT/mqtt with the subprotocol mqtt and send MQTT in binary messages; clients without WebSocket connect to a port of mqtt.address"
	case CauseNoCertificate:
		return "give the device its certificate and key (mosquitto_pub --cert and --key), of a kind that its TLS library can use: RSA, or ECDSA on P-256 or better"
	case CauseKey:
		return "give the device the key that belongs to its certificate, RSA or ECDSA on P-256 or better"
	case CauseDistrust:
		return "give the device the root of the server's certificate (ca.pem of muster init) and let it connect to a name that stands in mqtt.certificate"
	case CauseLeft:
		return "look at the device's own log: most often it does not trust the server's certificate (give it ca.pem of muster init), or its own time limit is too short"
	case CauseSlow:
		return "find out what delays the device or its network, or raise mqtt.handshake_timeout"
	case CauseNoConnect:
		return "let the device send CONNECT as soon as TLS is there, or raise mqtt.connect_timeout"
	case CauseFirstPacket:
		return "let the device speak MQTT 3.1.1 or 5 and begin with CONNECT; clients of WebSocket connect to a port of mqtt.websocket"
	case CauseWill:
		return "let the device name one topic for its will, without + and #"
	case CauseTooLarge:
		return "let the device send less in its CONNECT, most often a smaller will, or raise mqtt.max_packet_size"
	}
	return ""
}
