package policy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/policy"
)

func TestParseSingleStatement(t *testing.T) {
	d, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}}`))
	if err != nil {
		t.Fatal(err)
	}
	b := policy.Bind([]*policy.Document{d}, region, account, policy.Variables{})
	if got := b.Evaluate(policy.Connect, "x"); got != policy.Allowed {
		t.Errorf("got %v", got)
	}
}

func TestParseSize(t *testing.T) {
	fill := func(characters int, space string) []byte {
		text := document(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:iot:*:*:topic/FILL"}` + space)
		n := characters - (len(strings.Join(strings.Fields(string(text)), "")) - len("FILL"))
		return []byte(strings.Replace(string(text), "FILL", strings.Repeat("é", n), 1))
	}
	tests := []struct {
		name string
		text []byte
		want string // part of the error; "" for none
	}{
		{"2,048 characters", fill(2048, ""), ""},
		{"2,048 characters and white space", fill(2048, strings.Repeat("\n \t", 1000)), ""},
		{"2,049 characters", fill(2049, ""), "2049 characters without white space; at most 2048"},
		{"white space without end", fill(200, strings.Repeat(" ", 404600)), "bytes; at most 404600"},
		{"not UTF-8", document("\"\xff\""), "not UTF-8"},
		{"deep", []byte(strings.Repeat("[", 2000)), "not JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := policy.Parse(test.text)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, muster.ErrMalformedPolicy) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

// The zero value of everything refuses.
func TestZeroDenies(t *testing.T) {
	all := parse(t, `{"Effect":"Allow","Action":"*","Resource":"*"}`)
	var none *policy.Bound
	tests := map[string]*policy.Bound{
		"nil":            none,
		"zero":           new(policy.Bound),
		"no documents":   policy.Bind(nil, region, account, policy.Variables{}),
		"zero document":  policy.Bind([]*policy.Document{{}}, region, account, policy.Variables{}),
		"a nil document": policy.Bind([]*policy.Document{all, nil}, region, account, policy.Variables{}),
	}
	for name, b := range tests {
		if got := b.Evaluate(policy.Connect, "x"); got != policy.ImplicitDeny {
			t.Errorf("%s: got %v", name, got)
		}
		if e := b.Explain(policy.Connect, "x"); e.Verdict != policy.ImplicitDeny || e.Decided != nil {
			t.Errorf("%s: explained as %+v", name, e)
		}
	}
	b := policy.Bind([]*policy.Document{all}, region, account, policy.Variables{})
	for _, a := range []policy.Action{0, policy.Receive + 1, 7, 8, 255} {
		if got := b.Evaluate(a, "x"); got != policy.ImplicitDeny {
			t.Errorf("%v: got %v", a, got)
		}
	}
	if policy.Verdict(0) != policy.ImplicitDeny {
		t.Error("the zero Verdict does not deny")
	}
}

func TestLongValues(t *testing.T) {
	d := parse(t, `{"Effect":"Allow","Action":"*","Resource":"arn:aws:iot:*:*:client/${iot:ClientId}"}`)
	for _, test := range []struct {
		id   string
		want policy.Verdict
	}{
		{strings.Repeat("é", 1024), policy.Allowed},
		{strings.Repeat("é", 1025), policy.ImplicitDeny},
	} {
		b := policy.Bind([]*policy.Document{d}, region, account, policy.Variables{ClientID: test.id})
		if got := b.Evaluate(policy.Connect, test.id); got != test.want {
			t.Errorf("%d bytes: got %v, want %v", len(test.id), got, test.want)
		}
	}
}

func TestExplain(t *testing.T) {
	docs := []*policy.Document{
		parse(t, `{"Sid":"open","Effect":"Allow","Action":"iot:Publish","Resource":"*"}`),
		parse(t, `{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
			{"Sid":"when","Effect":"Allow","Action":"iot:Connect","Resource":"*","Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}},
			{"Sid":"no","Effect":"Deny","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/secret"}`),
	}
	b := policy.Bind(docs, region, account, policy.Variables{ClientID: "c"})
	tests := []struct {
		action policy.Action
		name   string
		want   policy.Explanation
	}{
		{policy.Publish, "a", policy.Explanation{Verdict: policy.Allowed, Decided: &policy.Source{Document: 0, Statement: 0, Sid: "open"}}},
		{policy.Publish, "secret", policy.Explanation{Verdict: policy.ExplicitDeny, Decided: &policy.Source{Document: 1, Statement: 2, Sid: "no"}}},
		{policy.Subscribe, "a", policy.Explanation{}},
		{policy.Connect, "c", policy.Explanation{Inert: []policy.Inert{
			{Source: policy.Source{Document: 1, Statement: 0}, Cause: "${iot:Connection.Thing.ThingName} has no value in this session"},
			{Source: policy.Source{Document: 1, Statement: 1, Sid: "when"}, Cause: "it has a Condition, and conditions are not evaluated yet"},
		}}},
	}
	for _, test := range tests {
		if got := b.Explain(test.action, test.name); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%v %s: got %+v, want %+v", test.action, test.name, got, test.want)
		}
	}
}

func TestSubjectVariables(t *testing.T) {
	types := map[string]int{
		"CommonName": 3, "Surname": 4, "SerialNumber": 5, "Country": 6, "State": 8, "Organization": 10,
		"OrganizationalUnit": 11, "Title": 12, "GivenName": 42, "Initials": 43, "GenerationQualifier": 44,
		"DistinguishedNameQualifier": 46, "Pseudonym": 65,
	}
	attribute := func(last int, value string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, last}, Value: value}
	}
	names := []pkix.AttributeTypeAndValue{
		attribute(7, "Berlin"), // locality: AWS has no variable for it
		{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "a@example.com"},
	}
	want := map[string][]string{}
	for name, last := range types {
		for i := range 6 { // one more than counts
			value := fmt.Sprintf("%s %d", name, i)
			names = append(names, attribute(last, value))
			if i < 5 {
				want[name] = append(want[name], value)
			}
		}
	}
	got := policy.SubjectVariables(certificate(t, names))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// certificate returns a certificate of this subject that was encoded and parsed.
func certificate(t *testing.T, names []pkix.AttributeTypeAndValue) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{ExtraNames: names},
		NotAfter:     time.Unix(1<<31, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// One Document serves many sessions at once, and one Bound many goroutines: the
// race detector watches.
func TestConcurrentUse(t *testing.T) {
	d := parse(t, tenStatements)
	shared := bindTen(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			id := fmt.Sprintf("c%d", i)
			b := policy.Bind([]*policy.Document{d}, region, account, policy.Variables{ClientID: id})
			for range 100 {
				if got := b.Evaluate(policy.Publish, "d/"+id+"/up"); got != policy.Allowed {
					t.Errorf("%s: got %v", id, got)
				}
				if got := shared.Evaluate(policy.Publish, "d/"+id+"/up"); got != policy.ImplicitDeny {
					t.Errorf("%s in another session: got %v", id, got)
				}
			}
		})
	}
	group.Wait()
}

const tenStatements = `
{"Effect":"Deny","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:123456789012:topic/d/*/secret"},
{"Effect":"Deny","Action":"iot:*","Resource":"arn:aws:iot:us-east-1:123456789012:topic/admin/*"},
{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:us-east-1:123456789012:client/${iot:ClientId}"},
{"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:us-east-1:123456789012:topicfilter/d/${iot:ClientId}/#"},
{"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:us-east-1:123456789012:topic/d/${iot:ClientId}/*"},
{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:123456789012:topic/a/b"},
{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:123456789012:topic/log/*"},
{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:123456789012:topic/?/x"},
{"Effect":"Allow","Action":"iot:RetainPublish","Resource":"*"},
{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:123456789012:topic/d/${iot:ClientId}/up"}`

func bindTen(t testing.TB) *policy.Bound {
	t.Helper()
	docs := []*policy.Document{parse(t, tenStatements)}
	return policy.Bind(docs, region, account, policy.Variables{ClientID: "sensor-1"})
}

func TestEvaluateDoesNotAllocate(t *testing.T) {
	b := bindTen(t)
	for _, name := range []string{"d/sensor-1/up", "d/sensor-2/up", "d/a/b/secret", strings.Repeat("d/", 200)} {
		n := testing.AllocsPerRun(100, func() {
			b.Evaluate(policy.Publish, name)
			b.Evaluate(policy.Subscribe, name)
		})
		if n != 0 {
			t.Errorf("%q: %v allocations", name, n)
		}
	}
}

// The last of ten statements allows.
func BenchmarkEvaluate(b *testing.B) {
	bound := bindTen(b)
	b.ReportAllocs()
	for b.Loop() {
		if bound.Evaluate(policy.Publish, "d/sensor-1/up") != policy.Allowed {
			b.Fatal("denied")
		}
	}
}

func BenchmarkBind(b *testing.B) {
	docs := []*policy.Document{parse(b, tenStatements)}
	b.ReportAllocs()
	for b.Loop() {
		policy.Bind(docs, region, account, policy.Variables{ClientID: "sensor-1"})
	}
}
