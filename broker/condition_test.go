package broker_test

import (
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
)

// TestConnectAttributesOfLiveSessions: a policy that forbids what a CONNECT
// asked for refuses it, and closes the sessions that asked for it before.
func TestConnectAttributesOfLiveSessions(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	f.policy("plain", `{"Version":"2012-10-17","Statement":[
	 {"Effect":"Deny","Action":"iot:Connect","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"iot:ConnectAttributes":["PersistentConnect","LastWill"]}}},
	 {"Effect":"Deny","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/probe"}]}`)
	l := f.registered("sensor", "all")
	expiry := func(seconds uint32, clean bool) func(*packets.Packet) {
		return func(p *packets.Packet) {
			p.Connect.Clean = clean
			p.Properties.SessionExpiryInterval, p.Properties.SessionExpiryIntervalFlag = seconds, true
		}
	}
	for name, tc := range map[string]struct {
		version byte
		edit    func(*packets.Packet)
		plain   bool
	}{
		"v5 plain":              {version: 5, plain: true},
		"v5 kept":               {version: 5, edit: expiry(60, true)},
		"v5 taken up, not kept": {version: 5, edit: expiry(0, false), plain: true},
		"v5 will":               {version: 5, edit: withWill("w")},
		"v3 plain":              {version: 4, plain: true},
		"v3 kept":               {version: 4, edit: func(p *packets.Packet) { p.Connect.Clean = false }},
		"v3 will":               {version: 4, edit: withWill("w")},
	} {
		t.Run(name, func(t *testing.T) {
			live := f.raw(l, tc.version)
			live.admitted(name, tc.edit)
			must(t, f.store.AttachPolicy(t.Context(), account, "plain", muster.KindCertificate, id(l)))
			defer func() {
				must(t, f.store.DetachPolicy(t.Context(), account, "plain", muster.KindCertificate, id(l)))
			}()
			if !tc.plain {
				if last := live.end(); tc.version == 5 && (last.FixedHeader.Type != packets.Disconnect || last.ReasonCode != 0x87) {
					t.Errorf("ended with %s 0x%02X", packets.PacketNames[last.FixedHeader.Type], last.ReasonCode)
				}
			} else if tc.version == 5 {
				live.untilDenied("probe") // it was judged again
			}
			want := byte(0)
			if !tc.plain {
				want = map[byte]byte{4: 5, 5: 0x87}[tc.version]
			}
			if ack, err := f.raw(l, tc.version).connect(name, tc.edit); err != nil || ack.ReasonCode != want {
				t.Errorf("a new connection: CONNACK 0x%02X, %v; want 0x%02X", ack.ReasonCode, err, want)
			}
		})
	}
}
