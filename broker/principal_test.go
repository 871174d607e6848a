package broker_test

import (
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
)

// TestConnectAsAnother: policy variables bind the client ID to the certificate
// and to the thing.
func TestConnectAsAnother(t *testing.T) {
	for _, variable := range []string{"iot:Certificate.Subject.CommonName", "iot:Connection.Thing.ThingName"} {
		t.Run(variable, func(t *testing.T) {
			f := newFixture(t, options{})
			f.policy("all", `{"Version":"2012-10-17","Statement":[
			 {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${`+variable+`}"},
			 {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/${`+variable+`}/*"}]}`)
			a := f.authority("factory", template)
			l := f.leaf(a, "sensor-1")
			f.admitted(f.leaf(a, "sensor-2"), "sensor-2")
			for _, other := range []string{"sensor-2", "sensor", "sensor-1x", "*", "SENSOR-1"} {
				f.refused(l, other, 0x87, muster.ReasonPolicyDenied)
			}
			c := f.admitted(l, "sensor-1")
			for topic, want := range map[string]byte{"sensor-1/a": 0, "sensor-2/a": 0x87} {
				if code, _ := c.publish(t, &paho.Publish{Topic: topic, QoS: 1}); code&0x80 != want&0x80 {
					t.Errorf("%s: PUBACK 0x%02X", topic, code)
				}
			}
		})
	}
}

const templateWithGroup = `{"Parameters":{"AWS::IoT::Certificate::CommonName":{"Type":"String"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"AWS::IoT::Certificate::CommonName"},"ThingGroups":["greenhouse"]}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}}}}`

// TestGroupPolicies: what is attached to a group, or to one above it, reaches
// the devices in it, also those that are connected.
func TestGroupPolicies(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("connect", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["iot:Connect","iot:Subscribe"],"Resource":"*"}}`)
	f.policy("publish", publishOnly)
	_, err := f.store.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "farm"})
	must(t, err)
	_, err = f.store.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "greenhouse", Parent: "farm"})
	must(t, err)
	l := f.leaf(f.authority("factory", templateWithGroup), "sensor")
	f.refused(l, "sensor", 0x87, muster.ReasonPolicyDenied)
	must(t, f.store.AttachPolicy(t.Context(), account, "connect", muster.KindThingGroup, "farm"))

	c := f.raw(l, 5)
	c.admitted("sensor", nil)
	c.untilDenied("a")
	must(t, f.store.AttachPolicy(t.Context(), account, "publish", muster.KindThingGroup, "greenhouse"))
	c.untilAllowed("a")
	must(t, f.store.DetachPolicy(t.Context(), account, "publish", muster.KindThingGroup, "greenhouse"))
	c.untilDenied("a")
	must(t, f.store.DetachPolicy(t.Context(), account, "connect", muster.KindThingGroup, "farm"))
	if last := c.end(); last.FixedHeader.Type != packets.Disconnect || last.ReasonCode != 0x87 {
		t.Errorf("ended with %s 0x%02X", packets.PacketNames[last.FixedHeader.Type], last.ReasonCode)
	}
	f.refused(l, "sensor", 0x87, muster.ReasonPolicyDenied)
}

func withWill(topic string) func(*packets.Packet) {
	return func(p *packets.Packet) {
		p.Connect.WillFlag, p.Connect.WillTopic, p.Connect.WillPayload = true, topic, []byte("x")
	}
}

// willFixture has a watcher of everything, and a device that may do everything
// and something more by a policy of its own.
func willFixture(t *testing.T) (f *fixture, watcher *client, l *mint.Leaf) {
	f = newFixture(t, options{})
	f.policy("all", allowAll)
	f.policy("sensor", sensorPolicy)
	watcher = f.admitted(f.registered("watcher", "all"), "watcher")
	watcher.subscribe(t, "#")
	return f, watcher, f.registered("sensor", "sensor")
}

// arrives publishes an end mark once only the watcher is connected, and tells
// what came before it.
func (f *fixture) arrives(watcher *client) []string {
	f.t.Helper()
	f.seen.wait(f.t, "open", func(n int) bool { return n == 1 })
	if _, err := watcher.publish(f.t, &paho.Publish{Topic: "end", QoS: 1}); err != nil {
		f.t.Fatal(err)
	}
	var topics []string
	for p := watcher.next(f.t); p.Topic != "end"; p = watcher.next(f.t) {
		topics = append(topics, p.Topic)
	}
	return topics
}

func TestWill(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			f, watcher, l := willFixture(t)
			ack, err := f.raw(l, version).connect("sensor", withWill("in/open/1"))
			if want := map[byte]byte{4: 5, 5: 0x87}[version]; err != nil || ack.ReasonCode != want {
				t.Errorf("a will that is not allowed: CONNACK 0x%02X, %v", ack.ReasonCode, err)
			}
			retained := func(p *packets.Packet) { withWill("out/1")(p); p.Connect.WillRetain = true }
			if ack, err := f.raw(l, version).connect("sensor", retained); err != nil || ack.ReasonCode == 0 {
				t.Errorf("a retained will that is not allowed: CONNACK 0x%02X, %v", ack.ReasonCode, err)
			}
			if got := f.arrives(watcher); got != nil {
				t.Errorf("%q arrived", got)
			}
			c := f.raw(l, version)
			c.admitted("sensor", withWill("out/1"))
			must(t, c.conn.Close())
			if got := f.arrives(watcher); len(got) != 1 || got[0] != "out/1" {
				t.Errorf("%q arrived, not the will", got)
			}
		})
	}
}

// TestWillOfOneWhoIsClosedForAPublish [MQTT-3.1.2-8].
func TestWillOfOneWhoIsClosedForAPublish(t *testing.T) {
	f, watcher, l := willFixture(t)
	c := f.raw(l, 4)
	c.admitted("sensor", withWill("out/will"))
	p := c.publishPacket("out/1", 1)
	p.FixedHeader.Retain = true // which 3.1.1 cannot be told is not allowed
	if got := c.replies(p); got != "closed" {
		t.Errorf("answered %q", got)
	}
	if got := f.arrives(watcher); len(got) != 1 || got[0] != "out/will" {
		t.Errorf("%q arrived, not the will", got)
	}
}

// TestWillThatIsNotAllowedAnyMore asks the policies when it would go out.
func TestWillThatIsNotAllowedAnyMore(t *testing.T) {
	f, watcher, l := willFixture(t)
	must(t, f.store.AttachPolicy(t.Context(), account, "all", muster.KindCertificate, id(l)))
	c := f.raw(l, 5)
	c.admitted("sensor", withWill("private"))
	must(t, f.store.DetachPolicy(t.Context(), account, "all", muster.KindCertificate, id(l)))
	c.untilDenied("probe")
	must(t, c.conn.Close())
	for _, topic := range f.arrives(watcher) {
		if topic != "probe" {
			t.Errorf("%s arrived", topic)
		}
	}
}

// TestWillOfOneWhoSaysGoodbye stays where it is.
func TestWillOfOneWhoSaysGoodbye(t *testing.T) {
	f, watcher, l := willFixture(t)
	c, err := f.connect(l, "sensor", func(p *paho.Connect) {
		p.WillMessage = &paho.WillMessage{Topic: "out/1", Payload: []byte("x")}
	})
	must(t, err)
	must(t, c.Disconnect(&paho.Disconnect{}))
	if got := f.arrives(watcher); got != nil {
		t.Errorf("%q arrived", got)
	}
}

// TestGoodbyeOfOneByte: a DISCONNECT may be its code alone (MQTT 5 §3.14.2.1), as
// mosquitto's clients send it. Only that of 0 takes the will away.
func TestGoodbyeOfOneByte(t *testing.T) {
	for code, want := range map[byte]string{0: "", packets.CodeDisconnectWillMessage.Code: "out/1"} {
		f, watcher, l := willFixture(t)
		r := f.raw(l, 5)
		if ack, err := r.connect("sensor", withWill("out/1")); err != nil || ack.ReasonCode != 0 {
			t.Fatalf("%+v, %v", ack, err)
		}
		_, err := r.conn.Write([]byte{packets.Disconnect << 4, 1, code})
		must(t, err)
		if got := strings.Join(f.arrives(watcher), " "); got != want {
			t.Errorf("0x%02X: %q arrived", code, got)
		}
	}
}
