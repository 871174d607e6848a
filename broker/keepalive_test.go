package broker_test

import (
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster/hooks"
)

// TestKeepAlive: only MQTT 5 has a way to tell that the server wants another
// one [MQTT-3.1.2-21].
func TestKeepAlive(t *testing.T) {
	f := newFixture(t, options{hook: func(c *hooks.Config) { c.KeepAliveMax = 20 * time.Minute }})
	f.policy("all", allowAll)
	l := f.registered("sensor", "all")
	for _, tc := range []struct {
		name    string
		version byte
		asked   uint16
		told    uint16 // 0: nothing
	}{
		{"v5 none", 5, 0, 1200},
		{"v5 short", 5, 60, 0},
		{"v5 longest", 5, 1200, 0},
		{"v5 too long", 5, 1201, 1200},
		{"v5 beyond mochi's arithmetic", 5, 43691, 1200},
		{"v5 greatest", 5, 65535, 1200},
		{"v3.1.1 none", 4, 0, 0},
		{"v3.1.1 long", 4, 43690, 0},
		{"v3.1.1 whose half more is a deadline in the past", 4, 43691, 0},
		{"v3.1.1 whose half more is two seconds", 4, 43692, 0},
		{"v3.1.1 greatest", 4, 65535, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := f.raw(l, tc.version)
			ack := c.admitted("sensor", func(p *packets.Packet) { p.Connect.Keepalive = tc.asked })
			if ack.Properties.ServerKeepAliveFlag != (tc.told > 0) || ack.Properties.ServerKeepAlive != tc.told {
				t.Errorf("told %v %d, want %d", ack.Properties.ServerKeepAliveFlag, ack.Properties.ServerKeepAlive, tc.told)
			}
			if !c.alive() {
				t.Error("disconnected at once")
			}
		})
	}
}

// TestKeepAliveIsKept disconnects one who is silent for half more than that.
func TestKeepAliveIsKept(t *testing.T) {
	f := newFixture(t, options{hook: func(c *hooks.Config) { c.KeepAliveMax = time.Second }})
	f.policy("all", allowAll)
	c := f.raw(f.registered("sensor", "all"), 5)
	if ack := c.admitted("sensor", nil); ack.Properties.ServerKeepAlive != 1 {
		t.Fatalf("told %d", ack.Properties.ServerKeepAlive)
	}
	c.end()
}
