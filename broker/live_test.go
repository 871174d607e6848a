package broker_test

import (
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/internal/mint"
)

// TestRevokedBetweenHandshakeAndConnect revokes a certificate while its
// connection has shaken hands and not yet sent CONNECT. None may get in.
func TestRevokedBetweenHandshakeAndConnect(t *testing.T) {
	t.Parallel()
	const rounds = 500
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	for i := range rounds {
		name := fmt.Sprintf("sensor-%d", i)
		l := f.registered(name, "all")
		conn, err := f.dial(l)
		must(t, err)
		if i%2 == 0 { // half of them when the broker has inspected it, half at any time
			f.seen.wait(t, "inspected", func(n int) bool { return n == i+1 })
		}
		_, err = f.store.UpdateCertificateStatus(t.Context(), account, id(l), muster.Revoked)
		must(t, err)
		if c, err := connectOver(conn, name, nil); err == nil {
			_ = c.Disconnect(&paho.Disconnect{})
			t.Fatalf("round %d: a revoked certificate got in", i)
		}
		_ = conn.Close()
		if i%2 == 1 {
			f.seen.wait(t, "inspected", func(n int) bool { return n == i+1 })
		}
	}
}

func TestChangesReachLiveSessions(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(f *fixture, id string) error
		code   byte
		kicked muster.Reason
	}{
		{"revoked", func(f *fixture, id string) error {
			_, err := f.store.UpdateCertificateStatus(f.t.Context(), account, id, muster.Revoked)
			return err
		}, 0x98, muster.ReasonRevoked},
		{"inactive", func(f *fixture, id string) error {
			_, err := f.store.UpdateCertificateStatus(f.t.Context(), account, id, muster.Inactive)
			return err
		}, 0x87, muster.ReasonInactive},
		{"policy detached", func(f *fixture, id string) error {
			return f.store.DetachPolicy(f.t.Context(), account, "all", muster.KindCertificate, id)
		}, 0x87, muster.ReasonPolicyDenied},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, options{})
			f.policy("all", allowAll)
			l := f.registered("application", "all")
			c := f.admitted(l, "application")
			must(t, tc.change(f, id(l)))
			d := c.closed(t)
			if d == nil || d.ReasonCode != tc.code || d.Properties == nil || len(d.Properties.ReasonString) == 0 {
				t.Errorf("the connection ended with %+v, want a DISCONNECT 0x%02X with a reason string", d, tc.code)
			}
			f.seen.wait(t, "kicked "+string(tc.kicked), func(n int) bool { return n == 1 })
		})
	}
}

// TestDeletedCertificateIsClosed deletes by way of INACTIVE, as the API demands.
func TestDeletedCertificateIsClosed(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	l := f.leaf(f.authority("factory", templateWithoutThing), "application")
	c := f.admitted(l, "application")
	_, err := f.store.UpdateCertificateStatus(t.Context(), account, id(l), muster.Inactive)
	must(t, err)
	must(t, f.store.DeleteCertificate(t.Context(), account, id(l), true))
	c.closed(t)
	f.refused(l, "application", 0x8A, muster.ReasonDeleted)
}

const readOnly = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/news/*"},
 {"Effect":"Allow","Action":"iot:Receive","Resource":"*"}]}`

// TestDetachedPolicyTakesSubscriptionsAway leaves a session its connection and
// takes from it what only the detached policy allowed.
func TestDetachedPolicyTakesSubscriptionsAway(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	f.policy("readonly", readOnly)
	l := f.registered("reader", "all")
	must(t, f.store.AttachPolicy(t.Context(), account, "readonly", muster.KindCertificate, id(l)))
	reader := f.admitted(l, "reader")
	writer := f.admitted(f.registered("writer", "all"), "writer")
	if codes := reader.subscribe(t, "news/#", "secret/#"); codes[0] != 1 || codes[1] != 1 {
		t.Fatalf("SUBACK %v", codes)
	}
	must(t, f.store.DetachPolicy(t.Context(), account, "all", muster.KindCertificate, id(l)))
	// The change is in force when the session cannot publish any more.
	for end := time.Now().Add(patience); ; {
		code, _ := reader.publish(t, &paho.Publish{Topic: "probe", QoS: 1})
		if code == 0x87 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the change is not in force")
		}
	}
	for _, topic := range []string{"secret/1", "news/1"} {
		if code, err := writer.publish(t, &paho.Publish{Topic: topic, QoS: 1}); err != nil || code >= 0x80 {
			t.Fatalf("publish: 0x%02X %v", code, err)
		}
	}
	// Messages come in order: were secret/1 delivered, it would be first.
	if p := reader.next(t); p.Topic != "news/1" {
		t.Errorf("received %s", p.Topic)
	}
	if codes := reader.subscribe(t, "secret/#"); codes[0] != 0x87 {
		t.Errorf("SUBACK 0x%02X for what is not allowed any more", codes[0])
	}
}

// TestExpiredCertificateIsClosed: a certificate may run out while it is in use.
func TestExpiredCertificateIsClosed(t *testing.T) {
	f := newFixture(t, options{gate: func(c *admission.Config) { c.Skew = time.Millisecond }})
	f.policy("all", allowAll)
	l, err := f.authority("factory", template).Issue(mint.Request{
		Subject: pkix.Name{CommonName: "sensor"}, NotAfter: time.Now().Add(2 * time.Second),
	})
	must(t, err)
	d := f.admitted(l, "sensor").closed(t)
	if d == nil || d.ReasonCode != 0x87 || !strings.HasPrefix(d.Properties.ReasonString, string(muster.ReasonOutsideValidity)) {
		t.Errorf("the connection ended with %+v", d)
	}
	if !time.Now().After(l.Cert.NotAfter) {
		t.Error("it ended early")
	}
}
