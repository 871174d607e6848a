package hooks_test

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"slices"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
)

const readerPolicy = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Certificate.Subject.CommonName}"},
 {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"arn:aws:iot:*:*:topic/in/*"},
 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/in/*"}]}`

const secretPolicy = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Deny","Action":"iot:Receive","Resource":"arn:aws:iot:*:*:topic/in/secret"}]}`

// resume connects to a session that is kept, as a client that takes aliases of
// topics. What it is sent comes through the channel.
func (o *own) resume(l *mint.Leaf, clientID string) (*paho.Client, <-chan string) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{RootCAs: o.roots, ServerName: "localhost", Certificates: []tls.Certificate{l.TLS()}}}
	conn, err := d.DialContext(ctx, "tcp", o.address)
	must(o.t, err)
	o.t.Cleanup(func() { _ = conn.Close() })
	topics := make(chan string, 10)
	c := paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn),
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			topics <- p.Packet.Topic
			return true, nil
		}},
	})
	kept, aliases := uint32(3600), uint16(10)
	_, err = c.Connect(ctx, &paho.Connect{ClientID: clientID, KeepAlive: 60, Properties: &paho.ConnectProperties{
		SessionExpiryInterval: &kept, TopicAliasMaximum: &aliases,
	}})
	must(o.t, err)
	return c, topics
}

// TestWaitingMessages: what waited for a client ID is delivered by the policies
// of who takes it up, and by the name of its topic: an alias means nothing to
// another connection.
func TestWaitingMessages(t *testing.T) {
	o := newOwn(t)
	_, err := o.store.CreatePolicy(t.Context(), account, "sensor", readerPolicy, nil)
	must(t, err)
	_, err = o.store.CreatePolicy(t.Context(), account, "secret", secretPolicy, nil)
	must(t, err)
	a := o.authority(provisioning)
	reader, err := a.Issue(mint.Request{Subject: pkix.Name{CommonName: "reader"}})
	must(t, err)
	writer, err := a.Issue(mint.Request{Subject: pkix.Name{CommonName: "writer"}})
	must(t, err)

	c, _ := o.resume(reader, "reader")
	_, err = c.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "in/#", QoS: 1}}})
	must(t, err)
	must(t, c.Disconnect(&paho.Disconnect{}))
	w, _, _, err := o.connect(writer, "writer")
	must(t, err)
	// One is acknowledged before it waits, and the next one after that.
	for _, topic := range []string{"in/secret", "in/open", "in/open", "in/secret"} {
		_, err := w.Publish(t.Context(), &paho.Publish{Topic: topic, QoS: 1})
		must(t, err)
	}
	must(t, o.store.AttachPolicy(t.Context(), account, "secret", muster.KindCertificate, muster.Fingerprint(reader.Cert.Raw)))

	c, topics := o.resume(reader, "reader")
	_, err = c.Publish(t.Context(), &paho.Publish{Topic: "in/last", QoS: 1}) // is read when all that waited is sent
	must(t, err)
	var got []string
	for topic := range topics {
		if got = append(got, topic); topic == "in/last" {
			break
		}
	}
	slices.Sort(got)
	if want := []string{"in/last", "in/open", "in/open"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
