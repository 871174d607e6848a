package policy_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/policy"
)

// Whatever parses, a session can bind and ask; whatever does not says why.
func FuzzParse(f *testing.F) {
	for _, s := range statementsOf(f) {
		f.Add(document(s), "sensor-1")
	}
	f.Add(document(tenStatements), "*")
	f.Add([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","x":[[[[[[[[[`), "")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		d, err := policy.Parse(text)
		if err != nil {
			if d != nil || !errors.Is(err, muster.ErrMalformedPolicy) {
				t.Fatalf("%v with error %v", d, err)
			}
			return
		}
		docs, v := []*policy.Document{d}, policy.Variables{ClientID: name, SourceIP: name, Thing: &muster.Thing{Name: name}}
		b := realm.Bind(docs, v)
		for a := policy.Connect; a <= policy.Receive; a++ {
			explained(t, docs, v, a, name, b.Evaluate(a, name))
		}
		if !strings.Contains(string(text), "Allow") && !strings.Contains(string(text), `\u`) &&
			b.Evaluate(policy.Publish, name) == policy.Allowed {
			t.Fatal("allowed without an Allow")
		}
	})
}

// Where an Allow with a condition grants, a Deny with the same condition
// denies, and an Allow with the negated condition does not grant, if there is a
// value.
func FuzzConditions(f *testing.F) {
	for _, seed := range [][3]string{
		{"String", "a*${iot:ClientId}?", "ab"}, {"StringLike", "a*${*}?", "ab*c"}, {"Numeric", "1e3", "1000.0"}, {"Date", "2026-11-22T12:00:00Z", "1795348800"},
		{"Arn", "arn:aws:iot:*::topic/a", "arn:aws:iot:us-east-1::topic/a"}, {"Ip", "::ffff:192.0.2.0/120", "192.0.2.7"}, {"IgnoreCase", "ß", "ẞ"}, {"", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	pairs := map[string][2]string{
		"String": {"StringEquals", "StringNotEquals"}, "StringLike": {"StringLike", "StringNotLike"},
		"IgnoreCase": {"StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"}, "Numeric": {"NumericEquals", "NumericNotEquals"},
		"Date": {"DateEquals", "DateNotEquals"}, "Arn": {"ArnLike", "ArnNotLike"}, "Ip": {"IpAddress", "NotIpAddress"},
	}
	f.Fuzz(func(t *testing.T, kind, operand, value string) {
		pair, ok := pairs[kind]
		if !ok {
			pair = pairs["String"]
		}
		ask := func(effect, operator string) (policy.Verdict, bool) {
			condition, err := json.Marshal(map[string]map[string]string{operator: {"iot:Connection.Thing.Attributes[v]": operand}})
			if err != nil {
				t.Fatal(err)
			}
			d, err := policy.Parse(document(`{"Effect":"` + effect + `","Action":"*","Resource":"*","Condition":` + string(condition) + `}`))
			if err != nil {
				return policy.ImplicitDeny, false
			}
			docs, v := []*policy.Document{d}, policy.Variables{ClientID: value, Now: time.Now, Thing: &muster.Thing{Attributes: map[string]string{"v": value}}}
			got := realm.Bind(docs, v).Evaluate(policy.Connect, "c")
			explained(t, docs, v, policy.Connect, "c", got)
			return got, true
		}
		grants, ok := ask("Allow", pair[0])
		if !ok {
			return
		}
		denies, _ := ask("Deny", pair[0])
		negated, _ := ask("Allow", pair[1])
		if grants == policy.Allowed && denies != policy.ExplicitDeny {
			t.Errorf("an Allow grants, a Deny is %v", denies)
		}
		if grants == policy.Allowed && negated == policy.Allowed && value != "" {
			t.Errorf("%s and %s both hold", pair[0], pair[1])
		}
	})
}
