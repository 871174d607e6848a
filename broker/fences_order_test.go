package broker_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster/hooks"
)

// TestForgedEvents: whatever way a client has to publish, none leads to topics of
// the server. The watcher may hear everything.
func TestForgedEvents(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	watcher := f.admitted(f.registered("watcher", "all"), "watcher")
	watcher.subscribe(t, "$aws/events/forged", "$SYS/forged", "$aws/events/forged/#", "end")
	forger := f.registered("forger", "all")
	for _, topic := range []string{"$aws/events/forged", "$SYS/forged"} {
		for i, way := range []func(*raw){
			func(c *raw) { c.replies(c.publishPacket(topic, 0)) },
			func(c *raw) { c.replies(c.publishPacket(topic, 1)) },
			func(c *raw) { // QoS 2, with its release
				p := c.publishPacket(topic, 2)
				c.replies(p)
				_, _ = c.conn.Write([]byte{0x62, 2, byte(p.PacketID >> 8), byte(p.PacketID)})
				c.answers()
			},
			func(c *raw) {
				p := c.publishPacket(topic, 1)
				p.FixedHeader.Retain = true
				c.replies(p)
			},
			func(c *raw) { // an alias that is set by a refused message, and then used
				p := c.publishPacket(topic, 0)
				p.Properties.TopicAlias, p.Properties.TopicAliasFlag = 1, true
				c.replies(p)
				p = c.publishPacket("", 0)
				p.Properties.TopicAlias, p.Properties.TopicAliasFlag = 1, true
				c.replies(p)
			},
		} {
			for _, version := range versions {
				if i == 4 && version < 5 {
					continue // no aliases
				}
				c := f.raw(forger, version)
				c.admitted("forger", nil)
				way(c)
				_ = c.conn.Close()
			}
		}
		c := f.raw(forger, 5)
		if ack, err := c.connect("forger", func(p *packets.Packet) {
			p.Connect.WillFlag, p.Connect.WillTopic, p.Connect.WillPayload = true, topic, []byte("x")
		}); err != nil || ack.ReasonCode != 0x87 {
			t.Errorf("with a will on %s: CONNACK 0x%02X %v", topic, ack.ReasonCode, err)
		}
	}
	if _, err := watcher.publish(t, &paho.Publish{Topic: "end", QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if p := watcher.next(t); p.Topic != "end" {
		t.Errorf("%s arrived", p.Topic)
	}
}

// TestFaultsAreLogged: a line says what was wrong, by the code that the standard
// has for it; a flood of faults is told at a bounded rate.
func TestFaultsAreLogged(t *testing.T) {
	var lines atomic.Int64
	first := make(chan string, 1)
	f := newFixture(t, options{broker: unlimited, hook: func(c *hooks.Config) {
		c.Log = zerolog.New(writerFunc(func(line string) {
			if strings.Contains(line, `"protocol_error"`) {
				lines.Add(1)
				select {
				case first <- line:
				default:
				}
			}
		}))
	}})
	f.policy("all", allowAll)
	l := f.registered("sensor", "all")
	const many, most = 300, 200 // faults; lines in a second
	start := time.Now()
	for range many {
		c := f.raw(l, 5)
		c.admitted("sensor", nil)
		c.bytes(0x30, 0x02, 0x00, 0x05)
		if last := c.end(); last.FixedHeader.Type != packets.Disconnect || last.ReasonCode != 0x81 {
			t.Fatalf("%s 0x%02X", packets.PacketNames[last.FixedHeader.Type], last.ReasonCode)
		}
	}
	line := <-first
	for _, want := range []string{`"code":"0x81"`, fmt.Sprintf("%q", id(l)), `"client":"sensor"`, `"remote":"127.0.0.1:`} {
		if !strings.Contains(line, want) {
			t.Errorf("the log does not tell %s: %s", want, line)
		}
	}
	f.seen.wait(t, "open", func(n int) bool { return n == 0 })
	if n, took := lines.Load(), time.Since(start); float64(n) > most*(took.Seconds()+2) {
		t.Errorf("%d lines for %d faults in %v", n, many, took)
	}
}

// writerFunc is where a log goes.
type writerFunc func(string)

func (f writerFunc) Write(line []byte) (int, error) {
	f(string(line))
	return len(line), nil
}
