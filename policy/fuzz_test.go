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
		b := policy.Bind([]*policy.Document{d}, region, account, policy.Variables{
			ClientID: name,
			Thing:    &muster.Thing{Name: name},
			Subject:  map[string][]string{"CommonName": {name}},
		})
		for a := policy.Connect; a <= policy.Receive; a++ {
			if got, e := b.Evaluate(a, name), b.Explain(a, name); got != e.Verdict {
				t.Fatalf("%v %q: Evaluate says %v, Explain %+v", a, name, got, e)
			}
		}
		if !strings.Contains(string(text), "Allow") && !strings.Contains(string(text), `\u`) &&
			b.Evaluate(policy.Publish, name) == policy.Allowed {
			t.Fatal("allowed without an Allow")
		}
	})
}
