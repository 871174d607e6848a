package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/policy"
)

// explainedSession has several values of some keys and none of others.
func explainedSession(t *testing.T) policy.Variables {
	t.Helper()
	noon := func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }
	session := policy.Variables{ClientID: "c", Now: noon, Thing: &muster.Thing{Name: "c", Attributes: map[string]string{"n": "many"}}}
	session.Connect.PersistentConnect, session.Connect.LastWill = true, true
	var names certificate
	for i := range 7 {
		if err := names.set("subject", "CommonName", fmt.Sprintf("n%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	session.Certificate = names.make(t)
	return session
}

// TestExplain asks for the reason of each kind of silence.
func TestExplain(t *testing.T) {
	const arn = "arn:aws:iot:us-east-1:123456789012:"
	session := explainedSession(t)
	allow := func(resource, condition string) string {
		return `{"Sid":"s","Effect":"Allow","Action":"iot:Connect","Resource":"` + resource + `","Condition":` + condition + `}`
	}
	for _, tc := range []struct {
		statement string
		nearness  policy.Nearness
		cause     string
	}{
		{`{"Effect":"Allow","Action":"iot:Publish","Resource":"*"}`, policy.OtherAction, "it is about other actions"},
		{allow(arn+"client/a*?", "{}"), policy.OtherResource, "Resource " + arn + "client/a*? does not match " + arn + "client/c"},
		{`{"Effect":"Allow","Action":"*","NotResource":"*"}`, policy.OtherResource, "what is left by NotResource * does not match " + arn + "client/c"},
		{allow(arn+"client/${iot:Connection.Thing.ThingTypeName}", "{}"), policy.Hindered, "${iot:Connection.Thing.ThingTypeName} has no value in this session"},
		{`{"Effect":"Allow","Action":"*","NotResource":"` + arn + `client/${iot:CertificateId}"}`, policy.Hindered,
			"${iot:CertificateId} has no value in this session, so that nobody knows what NotResource leaves"},
		{allow("*", `{"StringEquals":{"iot:ClientId":["a","b","${iot:Connection.Thing.ThingName}x"]}}`), policy.Hindered,
			`Condition StringEquals iot:ClientId ["a", "b", "${iot:Connection.Thing.ThingName}x"]: it is c`},
		{allow("*", `{"StringLike":{"iot:DomainName":"a*?"}}`), policy.Hindered, `Condition StringLike iot:DomainName ["a*?"]: it is absent`},
		{allow("*", `{"StringLike":{"iot:ThingGroup":"a"}}`), policy.Hindered, `Condition StringLike iot:ThingGroup ["a"]: it is absent: no session has it here`},
		{allow("*", `{"StringEquals":{"iot:ClientId":"${iot:CertificateId}"}}`), policy.Hindered,
			`Condition StringEquals iot:ClientId ["${iot:CertificateId}"]: ${iot:CertificateId} has no value in this session`},
		{allow("*", `{"StringEquals":{"iot:ConnectAttributes":"LastWill"}}`), policy.Hindered,
			`Condition StringEquals iot:ConnectAttributes ["LastWill"]: there are 2 values; put ForAllValues: or ForAnyValue: before the operator`},
		{allow("*", `{"ForAllValues:StringEquals":{"iot:ConnectAttributes":[]}}`), policy.Hindered,
			`Condition ForAllValues:StringEquals iot:ConnectAttributes []: it is PersistentConnect, LastWill`},
		{allow("*", `{"ForAllValues:StringEquals":{"iot:Certificate.Subject.CommonName.List":["1","2","3","4","5","6","7"]}}`), policy.Hindered,
			`Condition ForAllValues:StringEquals iot:Certificate.Subject.CommonName.List ["1", "2", "3", "4", "5" and 2 more]: it is n0, n1, n2, n3, n4`},
		{allow("*", `{"NumericEquals":{"iot:Connection.Thing.Attributes[n]":1}}`), policy.Hindered,
			`Condition NumericEquals iot:Connection.Thing.Attributes[n] ["1"]: many cannot be compared so`},
		{allow("*", `{"DateLessThan":{"aws:CurrentTime":"2026-11-22"}}`), policy.Hindered,
			`Condition DateLessThan aws:CurrentTime ["2026-11-22"]: it is 2026-11-22T12:00:00Z`},
		{allow("*", `{"Null":{"aws:CurrentTime":"true"}}`), policy.Hindered, `Condition Null aws:CurrentTime ["true"]: it is 2026-11-22T12:00:00Z`},
		{`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"iot:ClientId":"${iot:CertificateId}"}}}`, policy.Fits,
			`Condition StringEquals iot:ClientId ["${iot:CertificateId}"]: ${iot:CertificateId} has no value in this session: a Deny in doubt denies`},
		{allow("*", "{}"), policy.Fits, ""},
	} {
		docs := []*policy.Document{parse(t, tc.statement)}
		e := realm.Explain(docs, session, policy.Connect, "c")
		if got := e.Statements[0]; got.Nearness != tc.nearness || got.Cause != tc.cause {
			t.Errorf("%s\ngot  %d %s\nwant %d %s", tc.statement, got.Nearness, got.Cause, tc.nearness, tc.cause)
		}
		explained(t, docs, session, policy.Connect, "c", realm.Bind(docs, session).Evaluate(policy.Connect, "c"))
	}
	e := realm.Explain([]*policy.Document{parse(t, allow("*", `{"DateLessThan":{"aws:CurrentTime":"2026-11-22"}}`))}, policy.Variables{}, policy.Connect, "c")
	if got := e.Statements[0].Cause; !strings.HasSuffix(got, "the time is not known") {
		t.Errorf("without a clock: %s", got)
	}
}

// TestDenial: the sentence names what decided, or what came nearest, and is
// bounded whatever a device calls itself.
func TestDenial(t *testing.T) {
	const resource = `"Resource":"arn:aws:iot:*:*:client/x"`
	deny := parse(t, `{"Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"no","Effect":"Deny","Action":"iot:Connect","Resource":"*"}`)
	when := parse(t, `{"Effect":"Allow","Action":"iot:Connect",`+resource+`},{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"iot:ClientId":true}}}`)
	others := parse(t, `{"Effect":"Allow","Action":"iot:Publish","Resource":"*"}`)
	far := parse(t, `{"Effect":"Allow","Action":"iot:Connect",`+resource+`},{"Effect":"Allow","Action":"iot:Connect",`+resource+`}`)
	for _, tc := range []struct {
		docs []*policy.Document
		want string
	}{
		{nil, `no policy of the certificate allows iot:Connect as client "c": none is attached to it, nor to a group of its things`},
		{[]*policy.Document{others}, `no policy of the certificate allows iot:Connect as client "c": none of their statements is about it`},
		{[]*policy.Document{others, deny}, `P1, Statement[1] (Sid "no"), denies iot:Connect as client "c"`},
		{[]*policy.Document{others, when}, `no policy of the certificate allows iot:Connect as client "c"; nearest is P1, Statement[1], but Condition Null iot:ClientId ["true"]: it is c`},
		{[]*policy.Document{far}, `no policy of the certificate allows iot:Connect as client "c"; nearest is P0, Statement[0], but Resource arn:aws:iot:*:*:client/x does not match arn:aws:iot:us-east-1:123456789012:client/c (and 1 more)`},
	} {
		e := realm.Explain(tc.docs, policy.Variables{ClientID: "c"}, policy.Connect, "c")
		if got := e.Denial(policy.Connect, "c", func(i int) string { return fmt.Sprintf("P%d", i) }); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
	for _, name := range []string{strings.Repeat("é", 5000), strings.Repeat("\xff", 5000), strings.Repeat("\n", 5000), "\n\x1b[31m"} {
		v := policy.Variables{ClientID: name}
		e := realm.Explain([]*policy.Document{parse(t, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"iot:ClientId":["`+strings.Repeat("é", 1000)+`"]}}}`)}, v, policy.Connect, name)
		got := e.Denial(policy.Connect, name, func(int) string { return strings.Repeat("p", 128) })
		if len(got) > 640 || !utf8.ValidString(got) || strings.Contains(got, "\n") {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	}
}
