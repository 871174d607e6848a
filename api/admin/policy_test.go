package admin_test

import (
	"crypto/x509/pkix"
	"net/http"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

const sensorPolicy = `{"Version":"2012-10-17","Statement":[
 {"Sid":"come","Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:us-east-1:*:client/${iot:Certificate.Subject.CommonName}",
  "Condition":{"ForAllValues:StringEquals":{"iot:ConnectAttributes":"LastWill"}}},
 {"Effect":"Allow","Action":"iot:*","Resource":["arn:aws:iot:*:*:topic/*","arn:aws:iot:*:*:topicfilter/a/#"]}]}`

// newSensor registers a certificate with a policy, and asks what it may do.
func newSensor(t *testing.T) (c muster.Certificate, ask func(admin.PolicySession, ...admin.PolicyQuestion) (admin.PolicyReport, int, string)) {
	t.Helper()
	f := newFixture(t)
	leaf, err := mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: "sensor"}})
	if err != nil {
		t.Fatal(err)
	}
	c, err = f.store.RegisterCertificate(t.Context(), registry.CertificateRegistration{
		Account: account, PEM: string(leaf.CertPEM()), WithoutCA: true, Status: muster.Inactive,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.store.CreatePolicy(t.Context(), account, "sensor", sensorPolicy, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.store.AttachPolicy(t.Context(), account, "sensor", muster.KindCertificate, c.ID); err != nil {
		t.Fatal(err)
	}
	return c, func(s admin.PolicySession, questions ...admin.PolicyQuestion) (r admin.PolicyReport, status int, text string) {
		t.Helper()
		status, text = f.post(t, "/policy/test", admin.PolicyTest{
			CertificateName: admin.CertificateName{ID: c.ID[:12]}, PolicySession: s, Questions: questions,
		}, &r)
		return r, status, text
	}
}

func TestPolicyTest(t *testing.T) {
	c, ask := newSensor(t)
	r, status, text := ask(admin.PolicySession{ClientID: "sensor", WillTopic: "w"},
		admin.PolicyQuestion{Action: "iot:Connect", Resource: "client/sensor"},
		admin.PolicyQuestion{Action: "IOT:connect", Resource: "arn:aws:iot:us-east-1:" + account + ":client/other"},
		admin.PolicyQuestion{Action: "iot:Publish", Resource: "topic/a"},
		admin.PolicyQuestion{Action: "iot:Publish", Resource: "topic/$aws/x"},
		admin.PolicyQuestion{Action: "iot:Subscribe", Resource: "topicfilter/$Share/g/a/#"},
		admin.PolicyQuestion{Action: "iot:Subscribe", Resource: "topicfilter/a"},
	)
	if status != http.StatusOK || len(r.Answers) != 6 {
		t.Fatalf("%d %s", status, text)
	}
	if r.Account != account || r.CertificateID != c.ID || len(r.Policies) != 1 || r.Policies[0] != (admin.PolicyName{Name: "sensor", Version: "1"}) {
		t.Errorf("the report is of %+v", r)
	}
	want := []struct {
		resource, verdict string
		allowed           bool
		roles             string
		denial            string // part of it
	}{
		{"client/sensor", "allowed", true, "decides silent", ""},
		{"client/other", "implicit deny", false, "silent silent", `policy sensor version 1, Statement[0] (Sid "come"), but Resource`},
		{"topic/a", "allowed", true, "silent decides", ""},
		{"topic/$aws/x", "allowed", false, "silent decides", "begin with $"},
		{"topicfilter/a/#", "allowed", true, "silent decides", ""},
		{"topicfilter/a", "implicit deny", false, "silent silent", "does not match"},
	}
	for i, a := range r.Answers {
		w := want[i]
		roles := a.Statements[0].Role + " " + a.Statements[1].Role
		if a.Resource != w.resource || a.Verdict != w.verdict || a.Allowed != w.allowed || roles != w.roles ||
			!strings.Contains(a.Denial, w.denial) || (a.Denial == "") != a.Allowed {
			t.Errorf("answer %d: %+v", i, a)
		}
	}
	r, status, text = ask(admin.PolicySession{ClientID: "sensor", ConnectAttributes: []string{"PersistentConnect"}},
		admin.PolicyQuestion{Action: "iot:Connect", Resource: "client/sensor"})
	if status != http.StatusOK || r.Answers[0].Allowed || !strings.Contains(r.Answers[0].Denial, "it is PersistentConnect") {
		t.Errorf("a session that stays: %d %s %+v", status, text, r)
	}
}

func TestPolicyQuestionsThatMakeNoSense(t *testing.T) {
	_, ask := newSensor(t)
	session := admin.PolicySession{ClientID: "sensor"}
	for name, tc := range map[string]struct {
		session   admin.PolicySession
		questions []admin.PolicyQuestion
		says      string
	}{
		"nothing":                  {session, nil, "no question"},
		"no action":                {session, []admin.PolicyQuestion{{Action: "iot:Fly", Resource: "topic/a"}}, "iot:Fly"},
		"another kind":             {session, []admin.PolicyQuestion{{Action: "iot:Subscribe", Resource: "topic/a"}}, "topicfilter/NAME"},
		"another region":           {session, []admin.PolicyQuestion{{Action: "iot:Publish", Resource: "arn:aws:iot:eu-west-1:123456789012:topic/a"}}, "us-east-1"},
		"a group without a filter": {session, []admin.PolicyQuestion{{Action: "iot:Subscribe", Resource: "topicfilter/$share/g"}}, "$share/GROUP/FILTER"},
		"a filter without a group": {session, []admin.PolicyQuestion{{Action: "iot:Subscribe", Resource: "topicfilter/$SHARE//a"}}, "$share/GROUP/FILTER"},
		"a strange attribute": {admin.PolicySession{ConnectAttributes: []string{"Will"}},
			[]admin.PolicyQuestion{{Action: "iot:Publish", Resource: "topic/a"}}, "PersistentConnect or LastWill"},
	} {
		if _, status, text := ask(tc.session, tc.questions...); status != http.StatusBadRequest || !strings.Contains(text, tc.says) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}
