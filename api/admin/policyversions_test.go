package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/api/admin"
)

// TestPolicyVersions lists the versions of a policy, and puts another in force.
func TestPolicyVersions(t *testing.T) {
	f := newFixture(t)
	if _, err := f.store.CreatePolicy(t.Context(), account, "p", sensorPolicy, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := f.store.CreatePolicyVersion(t.Context(), account, "p", sensorPolicy, true); err != nil {
		t.Fatal(err)
	}
	p := admin.PolicyID{Name: "p"}
	versions := func(path string, in any) (inForce string) {
		t.Helper()
		var r admin.PolicyVersions
		if status, text := f.post(t, path, in, &r); status != http.StatusOK || r.Account != account || len(r.Versions) != 2 {
			t.Fatalf("%s: %d %s", path, status, text)
		}
		for _, v := range r.Versions {
			if v.Default {
				inForce += v.ID
			}
			if v.Document != sensorPolicy || v.Created.IsZero() {
				t.Errorf("version %+v", v)
			}
		}
		return inForce
	}
	if got := versions("/policy/versions", p); got != "2" {
		t.Errorf("version %s is in force", got)
	}
	if got := versions("/policy/default", admin.PolicyDefault{PolicyID: p, Version: "1"}); got != "1" {
		t.Errorf("version %s is in force", got)
	}
	for _, test := range []struct {
		path string
		in   any
		says string
	}{
		{"/policy/versions", admin.PolicyID{Name: "q"}, "policy q: not found"},
		{"/policy/versions", admin.PolicyID{Name: "p", Account: "999999999999"}, "account 999999999999"},
		{"/policy/default", admin.PolicyDefault{PolicyID: p, Version: "3"}, "version 3: not found"},
		{"/policy/default", admin.PolicyDefault{PolicyID: admin.PolicyID{Name: "p", Account: "1"}, Version: "1"}, "account 1"},
	} {
		if status, text := f.post(t, test.path, test.in, nil); status != http.StatusNotFound || !strings.Contains(text, test.says) {
			t.Errorf("%s %+v: %d %s, want %q", test.path, test.in, status, text, test.says)
		}
	}
}
