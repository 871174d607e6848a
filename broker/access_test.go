package broker_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
)

const sensorPolicy = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
 {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/out/*"},
 {"Effect":"Allow","Action":"iot:RetainPublish","Resource":"arn:aws:iot:*:*:topic/out/kept"},
 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/in/*"},
 {"Effect":"Deny","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/in/secret/*"},
 {"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:*:*:topic/in/open/*"}]}`

// versions of MQTT, as CONNECT has them.
var versions = map[string]byte{"v3.1.1": 4, "v5": 5}

func TestSubscribe(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("sensor", sensorPolicy)
	l := f.registered("sensor", "sensor")
	filters := []struct {
		filter  string
		granted bool
	}{
		{"in/open/1", true}, // a literal filter needs iot:Receive too
		{"in/closed", false},
		{"elsewhere", false},
		{"in/#", true},
		{"in/+/1", true},
		{"in/secret/#", false},
		{"#", false},
		{"+/open/1", false},
		{"$share/g/in/#", true},
		{"$share/g/in/open/1", true},
		{"$share/g/in/secret/#", false}, // the filter is judged, not what stands before it
		{"$SHARE/g/in/secret/#", false}, // mochi takes the prefix in any case
		{"$sHaRe/g/elsewhere", false},
		{"$share/in/open/1", false}, // the group is "in"
		{"$share/g/#", false},
		{"$share/in", false},
		{"$SYS/#", false},
	}
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			var all []string
			var want []byte
			for _, tc := range filters {
				code := byte(1)
				switch {
				case tc.granted:
				case version == 5:
					code = 0x87
				default:
					code = 0x80
				}
				c := f.raw(l, version)
				c.admitted("sensor-"+name, nil)
				if got := c.replies(c.subscribePacket(tc.filter)); got != suback(code) {
					t.Errorf("%s: %s, want %s", tc.filter, got, suback(code))
				}
				all, want = append(all, tc.filter), append(want, code)
			}
			c := f.raw(l, version)
			c.admitted("sensor-"+name, nil)
			if got := c.replies(c.subscribePacket(all...)); got != suback(want...) {
				t.Errorf("all in one packet: %s, want %s", got, suback(want...))
			}
		})
	}
}

func suback(codes ...byte) string {
	var b strings.Builder
	b.WriteString("Suback ")
	for _, c := range codes {
		const hex = "0123456789ABCDEF"
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// TestReceive has a device subscribe more than it may receive.
func TestReceive(t *testing.T) {
	for _, filter := range []string{"in/#", "$share/g/in/#"} {
		t.Run(filter, func(t *testing.T) {
			f := newFixture(t, options{})
			f.policy("sensor", sensorPolicy)
			f.policy("all", allowAll)
			sensor := f.admitted(f.registered("sensor", "sensor"), "sensor")
			writer := f.admitted(f.registered("writer", "all"), "writer")
			if codes := sensor.subscribe(t, filter); codes[0] != 1 {
				t.Fatalf("SUBACK 0x%02X", codes[0])
			}
			for _, topic := range []string{"in/closed", "in/open/1"} {
				if code, err := writer.publish(t, &paho.Publish{Topic: topic, QoS: 1}); err != nil || code >= 0x80 {
					t.Fatalf("publish: 0x%02X %v", code, err)
				}
			}
			if p := sensor.next(t); p.Topic != "in/open/1" { // messages come in order
				t.Errorf("received %s", p.Topic)
			}
		})
	}
}

// TestRetainedMessagesNeedReceive has the message there before the subscriber.
func TestRetainedMessagesNeedReceive(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("sensor", sensorPolicy)
	f.policy("all", allowAll)
	writer := f.admitted(f.registered("writer", "all"), "writer")
	// The last is answered when those before it have been routed.
	for _, topic := range []string{"in/closed", "in/open/1", "elsewhere"} {
		if _, err := writer.publish(t, &paho.Publish{Topic: topic, QoS: 1, Retain: true, Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	sensor := f.admitted(f.registered("sensor", "sensor"), "sensor")
	sensor.subscribe(t, "in/#")
	if p := sensor.next(t); p.Topic != "in/open/1" || !p.Retain {
		t.Errorf("received %s first", p.Topic)
	}
	sensor.subscribe(t, "in/none/+") // answered when all that was retained is on its way
	if _, err := writer.publish(t, &paho.Publish{Topic: "in/open/2", QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if p := sensor.next(t); p.Topic != "in/open/2" {
		t.Errorf("received %s second", p.Topic)
	}
}

func TestPublish(t *testing.T) {
	for _, tc := range []struct {
		name    string
		version byte
		qos     byte
		topic   string
		retain  bool
		alias   uint16
		want    string // what is answered
		routed  bool
	}{
		{"allowed 0", 5, 0, "out/1", false, 0, "", true},
		{"allowed 1", 5, 1, "out/1", false, 0, "Puback 00", true},
		{"allowed 2", 5, 2, "out/1", false, 0, "Pubrec 00", true},
		{"denied 0", 5, 0, "in/1", false, 0, "", false},
		{"denied 1", 5, 1, "in/1", false, 0, "Puback 87", false},
		{"denied 2", 5, 2, "in/1", false, 0, "Pubrec 87", false},
		{"denied 0 of 3.1.1", 4, 0, "in/1", false, 0, "", false},
		{"denied 1 of 3.1.1", 4, 1, "in/1", false, 0, "closed", false},
		{"denied 2 of 3.1.1", 4, 2, "in/1", false, 0, "closed", false},
		{"retained", 5, 1, "out/kept", true, 0, "Puback 00", true},
		{"retained of 3.1.1", 4, 1, "out/kept", true, 0, "Puback 00", true},
		{"retain denied 0", 5, 0, "out/1", true, 0, "", false},
		{"retain denied 1", 5, 1, "out/1", true, 0, "Puback 87", false},
		{"retain denied 2", 5, 2, "out/1", true, 0, "Disconnect 87 closed", false},
		{"retain denied 0 of 3.1.1", 4, 0, "out/1", true, 0, "", false},
		{"retain denied 1 of 3.1.1", 4, 1, "out/1", true, 0, "closed", false},
		{"alias allowed 0", 5, 0, "out/1", false, 3, "", true},
		{"alias allowed 1", 5, 1, "out/1", false, 3, "Puback 00", true},
		{"alias denied 0", 5, 0, "in/1", false, 3, "", false},
		{"alias denied 1", 5, 1, "in/1", false, 3, "Puback 87", false},
		{"alias denied 2", 5, 2, "in/1", false, 3, "Pubrec 87", false},
		{"alias unknown 0", 5, 0, "", false, 4, "", false},
		{"alias unknown 1", 5, 1, "", false, 4, "Puback 87", false},
		{"alias unknown 2", 5, 2, "", false, 4, "Disconnect 87 closed", false},
		{"alias out of bounds", 5, 1, "out/1", false, 33, "Disconnect 94 closed", false},
		{"of the server", 5, 1, "$aws/events/1", false, 0, "Puback 87", false},
		{"of the server by alias", 5, 1, "$aws/events/1", false, 3, "Puback 87", false},
		{"of the server's figures", 5, 0, "$SYS/broker/uptime", false, 0, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, options{})
			f.policy("all", allowAll)
			f.policy("sensor", sensorPolicy)
			watcher := f.admitted(f.registered("watcher", "all"), "watcher")
			watcher.subscribe(t, "#", "$aws/#")
			l := f.registered("sensor", "sensor")
			if strings.HasPrefix(tc.topic, "$") {
				l = f.registered("mighty", "all") // not even by a policy that allows everything
			}
			c := f.raw(l, tc.version)
			c.admitted("sensor", nil)
			p := c.publishPacket(tc.topic, tc.qos)
			p.FixedHeader.Retain = tc.retain
			p.Properties.TopicAlias, p.Properties.TopicAliasFlag = tc.alias, tc.alias > 0
			if got := c.replies(p); got != tc.want {
				t.Errorf("answered %q, want %q", got, tc.want)
			}
			if code, err := watcher.publish(t, &paho.Publish{Topic: "end", QoS: 1}); err != nil || code >= 0x80 {
				t.Fatalf("publish: 0x%02X %v", code, err)
			}
			if got := nextOfDevices(t, watcher).Topic; tc.routed != (got == tc.topic) {
				t.Errorf("%s arrived", got)
			}
		})
	}
}

// nextOfDevices is the next message that is no lifecycle event, for who hears those
// as well.
func nextOfDevices(t *testing.T, c *client) *paho.Publish {
	t.Helper()
	for {
		p := c.next(t)
		if !strings.HasPrefix(p.Topic, "$aws/events/presence/") && !strings.HasPrefix(p.Topic, "$aws/events/subscriptions/") {
			return p
		}
	}
}

// TestAliasIsJudgedEachTime takes away, between two publishes under one alias,
// the policy that allowed the first.
func TestAliasIsJudgedEachTime(t *testing.T) {
	for qos, want := range []string{"", "Puback 87", "Disconnect 87 closed"} {
		f := newFixture(t, options{})
		f.policy("all", allowAll)
		f.policy("sensor", sensorPolicy)
		watcher := f.admitted(f.registered("watcher", "all"), "watcher")
		watcher.subscribe(t, "#")
		l := f.registered("sensor", "sensor")
		must(t, f.store.AttachPolicy(t.Context(), account, "all", muster.KindCertificate, id(l)))
		c := f.raw(l, 5)
		c.admitted("sensor", nil)
		p := c.publishPacket("private", 0)
		p.Properties.TopicAlias, p.Properties.TopicAliasFlag = 7, true
		if got := c.replies(p); got != "" {
			t.Fatalf("QoS %d: %q to the first", qos, got)
		}
		if got := watcher.next(t).Topic; got != "private" {
			t.Fatalf("QoS %d: %s arrived", qos, got)
		}
		must(t, f.store.DetachPolicy(t.Context(), account, "all", muster.KindCertificate, id(l)))
		c.untilDenied("private")
		p = c.publishPacket("", byte(qos))
		p.Properties.TopicAlias, p.Properties.TopicAliasFlag = 7, true
		if got := c.replies(p); got != want {
			t.Errorf("QoS %d: %q, want %q", qos, got, want)
		}
		if _, err := watcher.publish(t, &paho.Publish{Topic: "end", QoS: 1}); err != nil {
			t.Fatal(err)
		}
		for got := watcher.next(t); got.Topic != "end"; got = watcher.next(t) {
			if got.Topic != "private" || got.QoS != 1 { // those of untilDenied
				t.Errorf("QoS %d: %s of QoS %d arrived", qos, got.Topic, got.QoS)
			}
		}
	}
}

// untilDenied and untilAllowed publish on a topic with QoS 1 until a change of
// policies is in force.
func (r *raw) untilDenied(topic string)  { r.t.Helper(); r.until(topic, "Puback 87", "Puback 00") }
func (r *raw) untilAllowed(topic string) { r.t.Helper(); r.until(topic, "Puback 00", "Puback 87") }

func (r *raw) until(topic, want, meanwhile string) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; {
		got := r.replies(r.publishPacket(topic, 1))
		switch {
		case got == want:
			return
		case got != meanwhile:
			r.t.Fatalf("answered %q", got)
		case time.Now().After(end):
			r.t.Fatalf("still answered %q", got)
		}
	}
}

// TestServerTopicsStayFromSharedWildcards: what the server publishes under $
// reaches those who name it, and no shared subscription that begins with a
// wildcard [MQTT-4.7.2-1].
func TestServerTopicsStayFromSharedWildcards(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	a := f.authority("workshop", "")
	l := f.registered("application", "all")
	named, shared := f.admitted(l, "named"), f.admitted(l, "shared")
	named.subscribe(t, "$share/named/$aws/events/#")
	shared.subscribe(t, "$share/g/#", "$SHARE/h/+/events/#", "#", "+/events/#")
	f.refused(f.leaf(a, "sensor-1"), "sensor-1", 0x87, muster.ReasonPendingActivation)
	if p := named.next(t); !strings.HasPrefix(p.Topic, "$aws/events/") {
		t.Errorf("%s arrived", p.Topic)
	}
	if _, err := named.publish(t, &paho.Publish{Topic: "end", QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if p := shared.next(t); p.Topic != "end" {
		t.Errorf("%s arrived", p.Topic)
	}
}

// TestOverflowOfAcknowledgements sends a subscriber that acknowledges nothing
// more than its window holds.
func TestOverflowOfAcknowledgements(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	l := f.registered("application", "all")
	lazy := f.raw(l, 5)
	lazy.admitted("lazy", nil)
	if got := lazy.replies(lazy.subscribePacket("flood")); got != suback(1) {
		t.Fatal(got)
	}
	ended := make(chan packets.Packet, 1)
	go func() {
		last, _ := lazy.drain()
		ended <- last
	}()
	f.flood(f.admitted(l, "writer"), "flood", make([]byte, 10), ended)
	f.seen.wait(t, "dropped", func(n int) bool { return n > 0 })
}

// flood publishes with QoS 1 until a subscriber was disconnected for it.
func (f *fixture) flood(writer *client, topic string, payload []byte, ended <-chan packets.Packet) {
	f.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		select {
		case last := <-ended:
			if last.FixedHeader.Type != packets.Disconnect || last.ReasonCode != 0x97 {
				f.t.Errorf("the subscriber ended with %s 0x%02X", packets.PacketNames[last.FixedHeader.Type], last.ReasonCode)
			}
			return
		default:
		}
		if code, err := writer.publish(f.t, &paho.Publish{Topic: topic, QoS: 1, Payload: payload}); err != nil || code >= 0x80 {
			f.t.Fatalf("publish: 0x%02X %v", code, err)
		}
	}
	f.t.Fatal("the subscriber is still connected")
}

// TestTooManySubscriptions: a session has room for 10,000; what is subscribed
// anew takes none, and what is given up makes some.
func TestTooManySubscriptions(t *testing.T) {
	const most, each = 10_000, 500
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, options{})
			f.policy("all", allowAll)
			c := f.raw(f.registered("sensor", "all"), version)
			c.admitted("sensor", nil)
			for n := 0; n < most; n += each {
				filters := make([]string, each)
				for i := range filters {
					filters[i] = fmt.Sprintf("in/%d", n+i)
				}
				if got, want := c.replies(c.subscribePacket(filters...)), suback(bytes.Repeat([]byte{1}, each)...); got != want {
					t.Fatalf("from %d on: %.100s…", n, got)
				}
			}
			code := byte(0x97)
			if version < 5 {
				code = 0x80
			}
			if got := c.replies(c.subscribePacket("in/0", "in/more", "in/+", "in/1")); got != suback(1, code, code, 1) {
				t.Errorf("two more of four: %s", got)
			}
		})
	}
}
