package broker_test

import (
	"errors"
	"io"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/hooks"
	"github.com/muster-mqtt/muster/internal/mint"
)

// TestConnackCodes refuses in each version of MQTT: 3.1.1 knows five codes.
func TestConnackCodes(t *testing.T) {
	for _, tc := range []struct {
		reason muster.Reason
		v5, v3 byte
		refuse func(f *fixture) *mint.Leaf
	}{
		{muster.ReasonPendingActivation, 0x87, 5, func(f *fixture) *mint.Leaf {
			return f.leaf(f.authority("workshop", ""), "sensor")
		}},
		{muster.ReasonProvisioningFailed, 0x87, 5, func(f *fixture) *mint.Leaf {
			return f.leaf(f.authority("factory", templateOfMissingPolicy), "sensor")
		}},
		{muster.ReasonRevoked, 0x8A, 5, func(f *fixture) *mint.Leaf {
			l := f.registered("sensor", "all")
			_, err := f.store.UpdateCertificateStatus(f.t.Context(), account, id(l), muster.Revoked)
			must(f.t, err)
			return l
		}},
		{muster.ReasonInactive, 0x87, 5, func(f *fixture) *mint.Leaf {
			l := f.registered("sensor", "all")
			_, err := f.store.UpdateCertificateStatus(f.t.Context(), account, id(l), muster.Inactive)
			must(f.t, err)
			return l
		}},
		{muster.ReasonRevocationUnknown, 0x88, 3, func(f *fixture) *mint.Leaf {
			l := f.leaf(f.authority("factory", template, muster.Tag{Key: muster.TagOCSP, Value: "hard"}), "sensor")
			f.setAnswer(l, admission.Answer{Status: admission.AnswerUnavailable})
			return l
		}},
		{muster.ReasonPendingQuota, 0x89, 3, func(f *fixture) *mint.Leaf {
			a := f.authority("workshop", "")
			f.refused(f.leaf(a, "first"), "first", 0x87, muster.ReasonPendingActivation)
			return f.leaf(a, "sensor")
		}},
		{muster.ReasonPolicyDenied, 0x87, 5, func(f *fixture) *mint.Leaf {
			f.policy("nothing", publishOnly)
			return f.registered("sensor", "nothing")
		}},
	} {
		t.Run(string(tc.reason), func(t *testing.T) {
			f := newFixture(t, options{gate: func(c *admission.Config) { c.PendingCap = 1 }})
			f.policy("all", allowAll)
			l := tc.refuse(f)
			f.refused(l, "sensor", tc.v5, tc.reason)
			old := f.raw(l, 4)
			ack, err := old.connect("sensor", nil)
			if err != nil || ack.ReasonCode != tc.v3 {
				t.Errorf("3.1.1: CONNACK 0x%02X, %v; want 0x%02X", ack.ReasonCode, err, tc.v3)
			}
			old.end()
			f.seen.wait(t, "refused "+string(tc.reason), func(n int) bool { return n == 2 })
			if r := f.memory.Recall(id(l)); len(r) != 1 || r[0].Reason != tc.reason || r[0].Count != 2 || r[0].ClientID != "sensor" {
				t.Errorf("remembered: %+v", r)
			}
		})
	}
}

const templateOfMissingPolicy = `{"Resources":{
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"missing"}}}}`

// TestMendedTemplate: the reason is on the record, and the device gets in when
// the template works.
func TestMendedTemplate(t *testing.T) {
	f := newFixture(t, options{})
	l := f.leaf(f.authority("factory", templateOfMissingPolicy), "sensor")
	f.refused(l, "sensor", 0x87, muster.ReasonProvisioningFailed)
	r, err := f.store.Certificate(t.Context(), account, id(l))
	must(t, err)
	if r.Status != muster.PendingActivation || r.ProvisioningFailure == "" || len(r.Policies) > 0 {
		t.Errorf("record %+v", r)
	}
	f.policy("missing", allowAll)
	f.admitted(l, "sensor")
	r, err = f.store.Certificate(t.Context(), account, id(l))
	must(t, err)
	if r.Status != muster.Active || r.ProvisioningFailure != "" || len(r.Policies) != 1 {
		t.Errorf("record %+v", r)
	}
}

func TestHangup(t *testing.T) {
	f := newFixture(t, options{hook: func(c *hooks.Config) { c.Refusals = hooks.RefuseHangup }})
	a := f.authority("workshop", "")
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			l := f.leaf(a, "sensor")
			if _, err := f.raw(l, version).connect("sensor", nil); !errors.Is(err, io.EOF) {
				t.Errorf("the device sees %v", err)
			}
			if r := f.memory.Recall(id(l)); len(r) != 1 || r[0].Reason != muster.ReasonPendingActivation {
				t.Errorf("remembered: %+v", r)
			}
		})
	}
}

// TestCloseFirst closes the connection that provisioned, as AWS does.
func TestCloseFirst(t *testing.T) {
	f := newFixture(t, options{hook: func(c *hooks.Config) { c.CloseFirst = true }})
	f.policy("all", allowAll)
	l := f.leaf(f.authority("factory", template), "sensor")
	if _, err := f.raw(l, 5).connect("sensor", nil); !errors.Is(err, io.EOF) {
		t.Errorf("the device sees %v", err)
	}
	if r, err := f.store.Certificate(t.Context(), account, id(l)); err != nil || r.Status != muster.Active {
		t.Errorf("record %+v, %v", r, err)
	}
	f.raw(l, 5).admitted("sensor", nil)
}

// TestWillWithWildcard would be delivered under a name that is none.
func TestWillWithWildcard(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	l := f.registered("sensor", "all")
	for _, topic := range []string{"a/#", "+/b"} {
		ack, err := f.raw(l, 5).connect("sensor", func(p *packets.Packet) {
			p.Connect.WillFlag, p.Connect.WillTopic, p.Connect.WillPayload = true, topic, []byte("x")
		})
		if err != nil || ack.ReasonCode != 0x82 {
			t.Errorf("%s: CONNACK 0x%02X, %v", topic, ack.ReasonCode, err)
		}
	}
}

const publishOnly = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Publish","Resource":"*"}}`
