package hooks

import (
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

// TestPacketReadDoesNotAllocate: it runs for each packet that a client sends.
func TestPacketReadDoesNotAllocate(t *testing.T) {
	h, cl := admitted(t)
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish}, TopicName: "a", ProtocolVersion: 5}
	n := testing.AllocsPerRun(100, func() {
		if _, err := h.OnPacketRead(cl, pk); err != nil {
			t.Error(err)
		}
		h.OnPacketProcessed(cl, pk, nil)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestDisconnectExtendsNoSession: mochi bounds the session expiry of CONNECT and
// takes that of DISCONNECT as it comes (MQTT 5 §3.14.2.2.2).
func TestDisconnectExtendsNoSession(t *testing.T) {
	h, cl := admitted(t)
	h.server.Options.Capabilities.MaximumSessionExpiryInterval = 3600
	for asked, want := range map[uint32]uint32{0: 0, 60: 60, 3601: 3600, 0xFFFFFFFF: 3600} {
		pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ProtocolVersion: 5,
			Properties: packets.Properties{SessionExpiryInterval: asked, SessionExpiryIntervalFlag: true}}
		out, err := h.OnPacketRead(cl, pk)
		if got := out.Properties.SessionExpiryInterval; err != nil || got != want {
			t.Errorf("%d: %d %v, want %d", asked, got, err, want)
		}
	}
}

func TestWellFormed(t *testing.T) {
	for filter, want := range map[string]bool{
		"a": true, "/": true, "a//b": true, "#": true, "+": true, "+/+": true, "a/#": true, "+/#": true, "/#": true, "$SYS/#": true,
		"$share/g/a": true, "$share/g/#": true, "$share/g//": true, "$SHARE/g/+": true, "$shared/a": true,
		"": false, "a#": false, "#a": false, "a+": false, "+a": false, "a/#/b": false, "#/": false, "##": false, "++": false, "a/+b/c": false,
		"$share": false, "$share/": false, "$share/g": false, "$share/g/": false, "$share//a": false, "$share/+/a": false,
		"$share/#/a": false, "$share/g+/a": false, "$sHaRe/g/a#": false,
	} {
		if got := wellFormed(filter); got != want {
			t.Errorf("%q: %v", filter, got)
		}
	}
}

// TestLevels: who could make others wait by the depth of a topic is denied, as a
// subscriber and as a publisher.
func TestLevels(t *testing.T) {
	h, cl := admitted(t)
	for levels, want := range map[int]bool{1: true, maxLevels: true, maxLevels + 1: false, 32768: false} {
		topic := strings.Repeat("/", levels-1) + "a"
		if got := wellFormed(topic); got != want {
			t.Errorf("a filter of %d levels: %v", levels, got)
		}
		if got := h.OnACLCheck(cl, topic, true); got != want {
			t.Errorf("a topic of %d levels: %v", levels, got)
		}
	}
}

// FuzzWellFormed holds that what is well-formed has wildcards as whole levels.
func FuzzWellFormed(f *testing.F) {
	for _, filter := range []string{"a/+/#", "$share/g/a", "a#b", "/", ""} {
		f.Add(filter)
	}
	f.Fuzz(func(t *testing.T, filter string) {
		if !wellFormed(filter) {
			return
		}
		for _, level := range strings.Split(filter, "/") {
			if strings.ContainsAny(level, "+#") && len(level) != 1 {
				t.Errorf("%q has the level %q", filter, level)
			}
		}
		if i := strings.IndexByte(filter, '#'); i >= 0 && i != len(filter)-1 {
			t.Errorf("%q has # before its end", filter)
		}
	})
}

// TestGoodbyeOfOneByte of a transport that does not tell the byte: no will is lost.
func TestGoodbyeOfOneByte(t *testing.T) {
	h, cl := admitted(t)
	for version, want := range map[byte]byte{4: 0, 5: packets.CodeDisconnectWillMessage.Code} {
		pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect, Remaining: 1}, ProtocolVersion: version}
		if out, err := h.OnPacketRead(cl, pk); err != nil || out.ReasonCode != want {
			t.Errorf("version %d: 0x%02X %v", version, out.ReasonCode, err)
		}
	}
}

// TestPubrecOfWhatCameAgain says that it has come, for the client to go on
// [MQTT-4.3.3-10].
func TestPubrecOfWhatCameAgain(t *testing.T) {
	h, cl := admitted(t)
	for code, want := range map[byte]byte{0x91: 0, 0x87: 0x87, 0: 0} {
		out := h.OnPacketEncode(cl, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pubrec}, ReasonCode: code})
		if out.ReasonCode != want {
			t.Errorf("0x%02X becomes 0x%02X", code, out.ReasonCode)
		}
	}
}
