package provisioning_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/policy"
	"github.com/muster-mqtt/muster/provisioning"
)

var thingName = regexp.MustCompile(`^[a-zA-Z0-9:_-]{1,128}$`)

// FuzzParse feeds any text and any subject. What parses must render without a
// panic, to the same result however the text is laid out, and to nothing that
// the registry would have to refuse; what does not is what Lint has errors of.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(templates, "*.json"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		f.Add(read(f, file), "lamp-0007", "DE")
	}
	for _, c := range refused(f) {
		f.Add([]byte(c.template), c.params["AWS::IoT::Certificate::CommonName"], "")
	}
	for _, b := range slices.Concat(blocks(f, "findings.txt"), blocks(f, "registerthing.txt")) {
		f.Add([]byte(b.template), "lamp-0007", "DE")
	}
	f.Fuzz(func(t *testing.T, body []byte, name, country string) {
		agrees(t, body)
		named(t, body, name)
		template, err := provisioning.Parse(body)
		if err != nil {
			if template != nil || !errors.Is(err, muster.ErrInvalid) {
				t.Fatalf("%v with %v", template, err)
			}
			return
		}
		params := provisioning.Parameters{Given: map[string]string{
			"AWS::IoT::Certificate::Id":         "4f",
			"AWS::IoT::Certificate::CommonName": name,
			"AWS::IoT::Certificate::Country":    country,
		}}
		got, err := template.Render(params)
		if err != nil && (!errors.Is(err, muster.ErrInvalid) || !reflect.DeepEqual(got, muster.Registration{})) {
			t.Fatalf("%+v with %v", got, err)
		}
		if err == nil {
			checkRegistration(t, got)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, body); err != nil {
			t.Fatalf("parsed, but is not JSON: %v", err)
		}
		again, err := provisioning.Parse(compact.Bytes())
		if err != nil {
			t.Fatalf("refused without its white space: %v", err)
		}
		if other, _ := again.Render(params); !reflect.DeepEqual(got, other) {
			t.Fatalf("without its white space: %+v, not %+v", other, got)
		}
	})
}

// named holds the templates of RegisterThing requests to the same, and to exactly
// one certificate.
func named(t *testing.T, body []byte, value string) {
	template, err := provisioning.ParseRegisterThing(body)
	if err != nil {
		if template != nil || !errors.Is(err, muster.ErrInvalid) {
			t.Fatalf("%v with %v", template, err)
		}
		return
	}
	r, err := template.Render(provisioning.Parameters{Given: map[string]string{"AWS::IoT::Certificate::Id": value}})
	if err != nil {
		if !errors.Is(err, muster.ErrInvalid) || !reflect.DeepEqual(r, muster.Registration{}) {
			t.Fatalf("%+v with %v", r, err)
		}
		return
	}
	checkRegistration(t, r)
	if s := r.Source; s == nil || (s.ID != "") == (s.CSR+s.PEM != "") || s.CSR != "" && s.PEM != "" {
		t.Fatalf("source %+v", s)
	}
}

func checkRegistration(t *testing.T, r muster.Registration) {
	t.Helper()
	if r.Status != muster.Active && r.Status != muster.Inactive {
		t.Errorf("status %q", r.Status)
	}
	if r.Thing != nil && !thingName.MatchString(r.Thing.Name) {
		t.Errorf("thing %q", r.Thing.Name)
	}
	if r.Thing != nil && len(r.Thing.Attributes) > 50 {
		t.Errorf("%d attributes", len(r.Thing.Attributes))
	}
	if provisioning.Describe(r) == "" {
		t.Error("nothing to tell of a registration")
	}
	for _, p := range r.Policies {
		if p.Name == "" {
			t.Error("policy without a name")
		}
		if p.Document == "" {
			continue
		}
		if _, err := policy.Parse([]byte(p.Document)); err != nil {
			t.Errorf("document %s: %v", p.Document, err)
		}
		if want := fmt.Sprintf("%X", sha1.Sum([]byte(p.Document))); p.Name != want {
			t.Errorf("document named %s, not %s", p.Name, want)
		}
	}
}
