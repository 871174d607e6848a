package policy_test

import (
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/policy"
)

// TestLacks: what statements about the action look at is named, and nothing else.
func TestLacks(t *testing.T) {
	const (
		connect = `{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:ClientId}",
			"Condition":{"ForAnyValue:StringEquals":{"iot:ConnectAttributes":"LastWill"},"ArnLike":{"iot:LastWillTopic":"arn:aws:iot:*:*:topic/${iot:Certificate.Subject.CommonName}"}}}`
		publish = `{"Effect":"Deny","Action":"iot:Publish","NotResource":["arn:aws:iot:*:*:topic/${iot:Connection.Thing.ThingName}","arn:aws:iot:*:*:topic/${iot:CertificateId}/a"],
			"Condition":{"IpAddress":{"AWS:sourceip":"192.0.2.0/24"},"StringEquals":{"iot:DomainName":"${iot:DomainName}"},"DateLessThan":{"aws:CurrentTime":"2030-01-01"}}}`
		receive = `{"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:*:*:topic/${iot:ClientId}/${aws:PrincipalTag/x}",
			"Condition":{"ForAnyValue:StringEquals":{"iot:ConnectAttributes":"LastWill"}}}`
	)
	all := policy.Unknown{ClientID: true, Thing: true, Certificate: true, SourceIP: true, DomainName: true, Connect: true}
	docs := []*policy.Document{parse(t, connect), parse(t, publish), parse(t, receive)}
	for _, c := range []struct {
		name   string
		action policy.Action
		of     policy.Unknown
		want   string
	}{
		{"nothing is unknown", policy.Publish, policy.Unknown{}, ""},
		{"no statement is about it", policy.Subscribe, all, ""},
		{"a connect", policy.Connect, all, "iot:Certificate.Subject.CommonName iot:ClientId iot:ConnectAttributes iot:LastWillTopic"},
		{"a connect by the known", policy.Connect, policy.Unknown{Connect: true}, "iot:ConnectAttributes iot:LastWillTopic"},
		{"a publish", policy.Publish, all, "AWS:sourceip iot:CertificateId iot:Connection.Thing.ThingName iot:DomainName"},
		{"a publish as some thing", policy.Publish, policy.Unknown{Thing: true}, "iot:Connection.Thing.ThingName"},
		{"a publish from somewhere", policy.Publish, policy.Unknown{SourceIP: true, DomainName: true}, "AWS:sourceip iot:DomainName"},
		{"only a connect has attributes", policy.Receive, all, "iot:ClientId"},
	} {
		if got := strings.Join(policy.Lacks(docs, c.action, c.of), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
