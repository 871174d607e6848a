package hooks

import (
	"bytes"
	"strings"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
)

// Codes that each packet may carry: MQTT 5 §3.2.2.2 and §3.14.2.1, and 3.1.1
// §3.2.2.3. A code of the wrong packet is a protocol error of ours.
const (
	connackCodes    = "\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8A\x8C\x90\x95\x97\x99\x9A\x9B\x9C\x9D\x9F"
	disconnectCodes = "\x80\x81\x82\x83\x87\x89\x8B\x8D\x8E\x8F\x90\x93\x94\x95\x96\x97\x98\x99\x9A\x9B\x9C\x9D\x9E\x9F\xA0\xA1\xA2"
	connackCodesV3  = "\x01\x02\x03\x04\x05"
)

func TestCodes(t *testing.T) {
	for _, tc := range []struct {
		reason         muster.Reason
		v5, v3, kicked byte
	}{
		{muster.ReasonUnacceptableCertificate, 0x87, 5, 0x87},
		{muster.ReasonOutsideValidity, 0x87, 5, 0x87},
		{muster.ReasonAmbiguousAccount, 0x87, 5, 0x87},
		{muster.ReasonDeleted, 0x8A, 5, 0x98},
		{muster.ReasonTransferred, 0x8A, 5, 0x98},
		{muster.ReasonInactive, 0x87, 5, 0x87},
		{muster.ReasonRevoked, 0x8A, 5, 0x98},
		{muster.ReasonPendingTransfer, 0x87, 5, 0x87},
		{muster.ReasonUntrustedIssuer, 0x87, 5, 0x87},
		{muster.ReasonAuthorityDeleted, 0x87, 5, 0x87},
		{muster.ReasonAuthorityUnverified, 0x87, 5, 0x87},
		{muster.ReasonAuthorityInactive, 0x87, 5, 0x87},
		{muster.ReasonAuthorityExpired, 0x87, 5, 0x87},
		{muster.ReasonAutoRegistrationDisabled, 0x87, 5, 0x87},
		{muster.ReasonProvisioningFailed, 0x87, 5, 0x87},
		{muster.ReasonPendingActivation, 0x87, 5, 0x87},
		{muster.ReasonPendingQuota, 0x89, 3, 0x89},
		{muster.ReasonRevocationUnknown, 0x88, 3, 0x80},
		{muster.ReasonInternalError, 0x88, 3, 0x80},
		{muster.ReasonNoCertificate, 0x87, 5, 0x87},
		{muster.ReasonConnectInvalid, 0x82, 5, 0x82},
		{muster.ReasonTooManyConnections, 0x9F, 3, 0x9F},
		{muster.ReasonPolicyDenied, 0x87, 5, 0x87},
		{muster.ReasonShutdown, 0x89, 3, 0x8B},
		{muster.ReasonBusy, 0x89, 3, 0x89},
		{muster.ReasonSessionQuota, 0x97, 3, 0x97},
	} {
		v5, v3, kicked := code(tc.reason, "seen", client(5)), code(tc.reason, "seen", client(4)), disconnectOf(tc.reason)
		if v5.Code != tc.v5 || v3.Code != tc.v3 || kicked.Code != tc.kicked {
			t.Errorf("%s: CONNACK 0x%02X and %d, DISCONNECT 0x%02X; want 0x%02X and %d, 0x%02X",
				tc.reason, v5.Code, v3.Code, kicked.Code, tc.v5, tc.v3, tc.kicked)
		}
		if v5.Reason != string(tc.reason)+": seen" {
			t.Errorf("%s: reason string %q", tc.reason, v5.Reason)
		}
		legal(t, tc.reason, connackCodes, v5)
		legal(t, tc.reason, connackCodesV3, v3)
		legal(t, tc.reason, disconnectCodes, kicked)
	}
}

func client(version byte) mqtt.ClientProperties {
	return mqtt.ClientProperties{ProtocolVersion: version}
}

// TestReasonString keeps to what the client takes: the word before all else.
func TestReasonString(t *testing.T) {
	long := strings.Repeat("é", maxReason)
	for name, tc := range map[string]struct {
		detail string
		asked  packets.Properties
		want   string
	}{
		"all of it":              {"seen", packets.Properties{}, "inactive: seen"},
		"no detail":              {"", packets.Properties{}, "inactive"},
		"bounded":                {long, packets.Properties{}, "inactive: " + strings.Repeat("é", (maxReason-13)/2) + "…"},
		"no problem information": {"seen", packets.Properties{RequestProblemInfoFlag: true}, ""},
		"problem information":    {"seen", packets.Properties{RequestProblemInfoFlag: true, RequestProblemInfo: 1}, "inactive: seen"},
		"small packets":          {"a longer detail", packets.Properties{MaximumPacketSize: connackAside + 20}, "inactive: a longe…"},
		"control characters":     {"a\x00b\r\nc\u009b", packets.Properties{}, "inactive: a b  c "},
		"no UTF-8":               {"a\xc3(", packets.Properties{}, "inactive: a\ufffd("},
		"just the word":          {"a longer detail", packets.Properties{MaximumPacketSize: connackAside + 9}, "inactive"},
		"not even the word":      {"seen", packets.Properties{MaximumPacketSize: connackAside + 7}, ""},
		"smaller than a CONNACK": {"seen", packets.Properties{MaximumPacketSize: 1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := reasonString(muster.ReasonInactive, tc.detail, tc.asked)
			if got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
			sent := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connack}, ProtocolVersion: 5, ReasonCode: 0x87,
				Properties: packets.Properties{ReasonString: got, ReceiveMaximum: 1, ServerKeepAlive: 1, ServerKeepAliveFlag: true}}
			var b bytes.Buffer
			if err := sent.ConnackEncode(&b); err != nil {
				t.Fatal(err)
			}
			if limit := tc.asked.MaximumPacketSize; got != "" && limit > 0 && b.Len() >= int(limit) {
				t.Errorf("a CONNACK of %d bytes for a client that takes %d", b.Len(), limit)
			}
		})
	}
}

func legal(t *testing.T, r muster.Reason, codes string, c packets.Code) {
	t.Helper()
	for i := range len(codes) {
		if codes[i] == c.Code {
			return
		}
	}
	t.Errorf("%s: the packet knows no code 0x%02X", r, c.Code)
}

// TestCorrect gives the CONNACK of a CONNECT that mochi refuses by itself a word
// and a code that its client knows.
func TestCorrect(t *testing.T) {
	for name, tc := range map[string]struct {
		version byte
		code    packets.Code
		want    byte
		says    string
	}{
		"admitted":                    {4, packets.CodeSuccess, 0, ""},
		"ours, 5":                     {5, code(muster.ReasonInactive, "seen", client(5)), 0x87, "inactive: seen"},
		"ours, without a detail":      {5, code(muster.ReasonNoCertificate, "", client(5)), 0x87, "no_certificate"},
		"ours, 3.1.1":                 {4, code(muster.ReasonRevocationUnknown, "seen", client(4)), 3, ""},
		"another protocol, 5":         {5, packets.ErrProtocolViolationProtocolName, 0x82, "connect_invalid: protocol violation: protocol name"},
		"another protocol, 3.1.1":     {4, packets.ErrProtocolViolationProtocolName, 1, "connect_invalid: protocol violation: protocol name"},
		"an unknown version":          {6, packets.ErrProtocolViolationProtocolVersion, 1, "connect_invalid: protocol violation: protocol version"},
		"no client ID to keep, 3.1.1": {4, packets.ErrUnspecifiedError, 2, "connect_invalid: unspecified error"},
		"too busy, 5":                 {5, packets.ErrServerBusy, 0x89, "connect_invalid: server busy"},
		"anything else, 3.1.1":        {4, packets.ErrQosNotSupported, 5, "connect_invalid: qos not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			pk := packets.Packet{ProtocolVersion: tc.version, ReasonCode: tc.code.Code}
			if tc.code.Code != 0 {
				pk.Properties.ReasonString = tc.code.Reason
			}
			correct(&pk)
			if pk.ReasonCode != tc.want || pk.Properties.ReasonString != tc.says {
				t.Errorf("0x%02X %q, want 0x%02X %q", pk.ReasonCode, pk.Properties.ReasonString, tc.want, tc.says)
			}
		})
	}
}
