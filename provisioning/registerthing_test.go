package provisioning_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/provisioning"
)

// TestRegisterThing parses and renders the cases of registerthing.txt, which
// explains its own form. What names its certificate by other means than the one
// that connects is no template for devices that provision themselves.
func TestRegisterThing(t *testing.T) {
	for _, b := range blocks(t, "registerthing.txt") {
		t.Run(b.name, func(t *testing.T) {
			want := expand(strings.Join(b.says, "\n"))
			template, err := provisioning.ParseRegisterThing([]byte(b.template))
			faulty := slices.ContainsFunc(provisioning.LintRegisterThing([]byte(b.template)), func(f provisioning.Finding) bool {
				return f.Severity == provisioning.SeverityError
			})
			if faulty != (err != nil) {
				t.Errorf("Lint has errors: %v; Parse says %v", faulty, err)
			}
			if b.params == nil {
				wantError(t, err, want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r, err := template.Render(provisioning.Parameters{Given: given(b.params)})
			source, renders := strings.CutPrefix(want, "= ")
			if !renders {
				wantError(t, err, want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(r.Source)
			if err != nil || string(got) != source {
				t.Errorf("got  %s, %v\nwant %s", got, err, source)
			}
			if !strings.Contains(b.template, `"Ref": "AWS::IoT::Certificate::Id"`) {
				_, err := provisioning.Parse([]byte(b.template))
				wantError(t, err, "Resources.c.Properties")
			}
		})
	}
}

func given(params []string) map[string]string {
	values := map[string]string{}
	for _, param := range params {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if s, err := strconv.Unquote(value); err == nil {
			value = s
		}
		values[name] = expand(value)
	}
	return values
}

// TestLogicalIDs: a policy that is named twice is attached once and told twice.
func TestLogicalIDs(t *testing.T) {
	template, err := provisioning.ParseRegisterThing([]byte(`{"Resources": {
		"leaf": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": "` + strings.Repeat("0a", 32) + `"}},
		"lamp": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "lamp-1"}},
		"one": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "lamps"}},
		"two": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "lamps"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	r, err := template.Render(provisioning.Parameters{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]muster.ResourceKey{
		"leaf": {Kind: muster.KindCertificate},
		"lamp": {Kind: muster.KindThing, ID: "lamp-1"},
		"one":  {Kind: muster.KindPolicy, ID: "lamps"},
		"two":  {Kind: muster.KindPolicy, ID: "lamps"},
	}
	if !reflect.DeepEqual(r.Resources, want) || len(r.Policies) != 1 {
		t.Errorf("resources %v, policies %v", r.Resources, r.Policies)
	}
}
