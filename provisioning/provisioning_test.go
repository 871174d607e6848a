package provisioning_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/provisioning"
)

const templates = "../testdata/templates"

// TestTemplates renders each template of the folder for the devices in the
// .want.json that must stand beside it.
func TestTemplates(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(templates, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no templates in %s: %v", templates, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".want.json") {
			continue
		}
		name := strings.TrimSuffix(file, ".json")
		t.Run(filepath.Base(name), func(t *testing.T) { testTemplate(t, name) })
	}
}

func testTemplate(t *testing.T, name string) {
	template, err := provisioning.Parse(read(t, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name         string
		Params       map[string]string
		Registration *muster.Registration
		Error        string
	}
	decoder := json.NewDecoder(bytes.NewReader(read(t, name+".want.json")))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got, err := template.Render(provisioning.Parameters{Given: c.Params})
			if c.Registration == nil {
				wantError(t, err, c.Error)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, *c.Registration) {
				t.Errorf("got  %s\nwant %s", indent(t, got), indent(t, *c.Registration))
			}
		})
	}
}

// TestRefused parses the cases of refused.txt, which explains its own form.
func TestRefused(t *testing.T) {
	for _, c := range refused(t) {
		t.Run(c.name, func(t *testing.T) {
			if c.want == "" {
				t.Fatal("the case says no error")
			}
			template, err := provisioning.Parse([]byte(c.template))
			if c.params == nil {
				wantError(t, err, c.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := template.Render(provisioning.Parameters{Given: c.params})
			wantError(t, err, c.want)
			if !reflect.DeepEqual(got, muster.Registration{}) {
				t.Errorf("a registration beside the error: %s", indent(t, got))
			}
		})
	}
}

func TestNotUTF8(t *testing.T) {
	_, err := provisioning.Parse([]byte("{\"Resources\": \"\xff\"}"))
	wantError(t, err, "the text is not UTF-8")
}

func TestZeroTemplateRefuses(t *testing.T) {
	var template provisioning.Template
	_, err := template.Render(provisioning.Parameters{})
	wantError(t, err, "an empty template renders nothing")
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %s", text)
	}
	if !errors.Is(err, muster.ErrInvalid) || !strings.Contains(err.Error(), text) {
		t.Errorf("got  %v\nwant %s", err, text)
	}
}

type refusal struct {
	name, template, want string
	params               map[string]string // nil: Parse refuses
}

func refused(t testing.TB) []refusal {
	blocks := blocks(t, "refused.txt")
	cases := make([]refusal, len(blocks))
	for i, b := range blocks {
		cases[i] = refusal{name: b.name, template: b.template, want: strings.Join(b.says, "\n")}
		if b.params != nil {
			cases[i].params = given(b.params)
		}
	}
	return cases
}

// block is a case of a table of templates.
type block struct {
	name, template string
	params, says   []string // the lines that begin with @ and !, without
}

func blocks(t testing.TB, file string) []block {
	t.Helper()
	var all []block
	for _, text := range strings.Split(string(read(t, filepath.Join(templates, file))), "\n== ")[1:] {
		lines := strings.Split(text, "\n")
		b := block{name: lines[0]}
		var body []string
		for _, line := range lines[1:] {
			if says, ok := strings.CutPrefix(line, "! "); ok {
				b.says = append(b.says, says)
			} else if param, ok := strings.CutPrefix(line, "@"); ok {
				b.params = append(b.params, param)
			} else {
				body = append(body, line)
			}
		}
		b.template = expand(strings.TrimSpace(strings.Join(body, "\n")))
		all = append(all, b)
	}
	return all
}

var repeated = regexp.MustCompile(`%([^%]*)\*([0-9]+)%`)

// expand replaces the abbreviations of refused.txt.
func expand(s string) string {
	s = strings.NewReplacer(
		"%CERT%", `"certificate": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}}}`,
		"%THING%", `"thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"}}}`,
	).Replace(s)
	return repeated.ReplaceAllStringFunc(s, func(m string) string {
		parts := repeated.FindStringSubmatch(m)
		n, _ := strconv.Atoi(parts[2])
		return strings.Repeat(parts[1], n)
	})
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func indent(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
