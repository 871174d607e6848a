package broker_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
)

func TestProvisionedAtFirstConnect(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	a := f.authority("factory", template)
	l := f.leaf(a, "sensor-1")
	c := f.admitted(l, "sensor-1")
	if code, err := c.publish(t, &paho.Publish{Topic: "a", QoS: 1}); err != nil || code >= 0x80 {
		t.Errorf("publish: 0x%02X %v", code, err)
	}
	r, err := f.store.Certificate(t.Context(), account, id(l))
	must(t, err)
	if r.Status != muster.Active || len(r.Things) != 1 || r.Things[0] != "sensor-1" || len(r.Policies) != 1 {
		t.Errorf("record %+v", r)
	}
	_ = f.admitted(l, "sensor-1") // and takes over its own client ID
	if d := c.closed(t); d == nil || d.ReasonCode != 0x8E {
		t.Errorf("the first connection ended with %+v, not with 0x8E session taken over", d)
	}
}

// TestSessionsDoNotStayForever: what a device leaves behind has an end.
func TestSessionsDoNotStayForever(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	ages := uint32(1 << 31)
	c, err := f.connect(f.registered("application", "all"), "application", func(p *paho.Connect) {
		p.CleanStart = false
		p.Properties = &paho.ConnectProperties{SessionExpiryInterval: &ages}
	})
	must(t, err)
	defer func() { _ = c.Disconnect(&paho.Disconnect{}) }()
	if got := c.ack.Properties.SessionExpiryInterval; got == nil || *got != 7*24*60*60 {
		t.Errorf("the session is granted %v seconds", got)
	}
}

func TestHandshakeRegistersNothing(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	l := f.leaf(f.authority("factory", template), "sensor-1")
	conn, err := f.dial(l)
	must(t, err)
	f.seen.wait(t, "inspected", func(n int) bool { return n == 1 })
	must(t, conn.Close())
	f.seen.wait(t, "open", func(n int) bool { return n == 0 })
	if _, err := f.store.Certificate(t.Context(), account, id(l)); !errors.Is(err, muster.ErrNotFound) {
		t.Errorf("a bare handshake left a record: %v", err)
	}
}

func TestWaitsForAnOperator(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	a := f.authority("workshop", "")
	listener := f.admitted(f.registered("application", "all"), "application")
	topic := "$aws/events/certificates/registered/" + muster.Fingerprint(a.Cert.Raw)
	if codes := listener.subscribe(t, topic); codes[0] != 1 {
		t.Fatalf("SUBACK 0x%02X", codes[0])
	}
	l := f.leaf(a, "sensor-1")
	f.refused(l, "sensor-1", 0x87, muster.ReasonPendingActivation)
	p := listener.next(t)
	var event map[string]any
	must(t, json.Unmarshal(p.Payload, &event))
	want := map[string]any{
		"certificateId": id(l), "caCertificateId": muster.Fingerprint(a.Cert.Raw), "timestamp": event["timestamp"],
		"certificateStatus": "PENDING_ACTIVATION", "awsAccountId": account, "certificateRegistrationTimestamp": nil,
	}
	if got, _ := json.Marshal(event); string(got) != string(marshal(t, want)) || p.Topic != topic {
		t.Errorf("event on %s: %s", p.Topic, p.Payload)
	}
	f.refused(l, "sensor-1", 0x87, muster.ReasonPendingActivation) // within the minute: no event

	_, err := f.store.UpdateCertificateStatus(t.Context(), account, id(l), muster.Active)
	must(t, err)
	f.refused(l, "sensor-1", 0x87, muster.ReasonPolicyDenied)
	must(t, f.store.AttachPolicy(t.Context(), account, "all", muster.KindCertificate, id(l)))
	f.admitted(l, "sensor-1")
	if n := len(listener.messages); n != 0 {
		t.Errorf("%d more events", n)
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

func TestStrangerEndsInTLS(t *testing.T) {
	f := newFixture(t, options{})
	f.authority("factory", template)
	other := newFixture(t, options{})
	l := other.leaf(other.authority("garage", ""), "stranger")
	c, err := f.connect(l, "stranger", nil)
	if err == nil || c != nil && c.ack != nil {
		t.Fatalf("the stranger was answered by MQTT: %v", err)
	}
	if !strings.Contains(err.Error(), "bad certificate") {
		t.Errorf("the stranger sees %v", err)
	}
	f.seen.wait(t, "handshake untrusted_issuer", func(n int) bool { return n == 1 })
	if r := f.memory.Recall(id(l)); len(r) != 1 || r[0].Reason != muster.ReasonUntrustedIssuer {
		t.Errorf("remembered: %+v", r)
	}
}

// TestRaceOfOneCertificate has 64 connections meet with one new certificate.
func TestRaceOfOneCertificate(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	a := f.authority("factory", template)
	const racers = 64
	l := f.leaf(a, "sensor-1")
	before, err := f.store.Seq(t.Context())
	must(t, err)
	var racing sync.WaitGroup
	for i := range racers {
		racing.Go(func() {
			c, err := f.connect(l, "sensor-1-"+string(rune('a'+i%26))+string(rune('a'+i/26)), nil)
			if err != nil {
				t.Errorf("racer %d: %v", i, err)
				return
			}
			_ = c.Disconnect(&paho.Disconnect{})
		})
	}
	racing.Wait()
	records, _, err := f.store.Find(t.Context(), id(l))
	must(t, err)
	if len(records) != 1 || records[0].Revision != 1 && records[0].Revision != 2 {
		t.Fatalf("records: %+v", records)
	}
	after, err := f.store.Seq(t.Context())
	must(t, err)
	if after-before != 1 {
		t.Errorf("one registration took %d transactions that wrote", after-before)
	}
}

func TestOCSP(t *testing.T) {
	answers := map[string]admission.Answer{
		"good": {Status: admission.AnswerGood}, "revoked": {Status: admission.AnswerRevoked},
		"hold":        {Status: admission.AnswerRevoked, Hold: true},
		"unavailable": {Status: admission.AnswerUnavailable}, "unknown": {Status: admission.AnswerUnknown},
	}
	for _, tc := range []struct {
		mode, answer string
		known        bool // registered before, by an answer that was good
		code         byte
		reason       muster.Reason // "" is admitted
		status       muster.Status // of the record afterwards; "" is none
	}{
		{"soft", "good", false, 0, "", muster.Active},
		{"soft", "revoked", false, 0x8A, muster.ReasonRevoked, ""},
		{"soft", "unavailable", false, 0x88, muster.ReasonRevocationUnknown, ""},
		{"soft", "unavailable", true, 0, "", muster.Active},
		{"soft", "revoked", true, 0x8A, muster.ReasonRevoked, muster.Revoked},
		{"hard", "unavailable", true, 0x88, muster.ReasonRevocationUnknown, muster.Active},
		{"hard", "unknown", true, 0x88, muster.ReasonRevocationUnknown, muster.Active},
		{"hard", "hold", true, 0x8A, muster.ReasonRevoked, muster.Active},
		{"off", "revoked", false, 0, "", muster.Active},
	} {
		name := tc.mode + " " + tc.answer
		if tc.known {
			name += " known"
		}
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, options{})
			f.policy("all", allowAll)
			a := f.authority("factory", template, muster.Tag{Key: muster.TagOCSP, Value: tc.mode})
			l := f.leaf(a, "sensor-1")
			if tc.known {
				f.admitted(l, "before")
			}
			f.setAnswer(l, answers[tc.answer])
			if tc.reason == "" {
				f.admitted(l, "sensor-1")
			} else {
				f.refused(l, "sensor-1", tc.code, tc.reason)
			}
			records, _, err := f.store.Find(t.Context(), id(l))
			must(t, err)
			status := muster.Status("")
			if len(records) == 1 {
				status = records[0].Status
			}
			if status != tc.status {
				t.Errorf("the record is %q, want %q", status, tc.status)
			}
		})
	}
}
