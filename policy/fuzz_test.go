package policy_test

import (
	"errors"
	"strings"
	"testing"

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
