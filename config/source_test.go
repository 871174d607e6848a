package config_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/config"
)

// environmentCase is a case of testdata/environment.txt.
type environmentCase struct {
	line          int
	environ, want []string
}

func environmentCases(t *testing.T) []environmentCase {
	t.Helper()
	text, err := os.ReadFile("testdata/environment.txt")
	if err != nil {
		t.Fatal(err)
	}
	var cases []environmentCase
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "\t"):
			last := &cases[len(cases)-1]
			last.want = append(last.want, line[1:])
		case len(cases) == 0 || cases[len(cases)-1].want != nil:
			cases = append(cases, environmentCase{line: i + 1, environ: []string{line}})
		default:
			last := &cases[len(cases)-1]
			last.environ = append(last.environ, line)
		}
	}
	if len(cases) < 10 {
		t.Fatalf("%d cases", len(cases))
	}
	return cases
}

// outcome is what a case of testdata/environment.txt tells: the errors, or the
// values that came from the environment.
func outcome(settings config.Settings, err error) []string {
	if err != nil {
		return strings.Split(err.Error(), "\n")
	}
	var values []string
	for _, s := range settings {
		if s.From.Variable != "" {
			values = append(values, fmt.Sprintf("%s: %v", s.Key, s.Value))
		}
	}
	if values == nil {
		return []string{"nothing"}
	}
	return values
}

func TestEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "muster.yaml")
	write(t, path, "")
	for _, c := range environmentCases(t) {
		_, settings, err := config.Read(config.Source{File: path, Environ: c.environ})
		if got := outcome(settings, err); !slices.Equal(got, c.want) {
			t.Errorf("line %d: %q\ngot  %q\nwant %q", c.line, c.environ, got, c.want)
		}
	}
}

// variables are the settings of a file as an environment.
func variables(t *testing.T, path string) (environ []string) {
	t.Helper()
	settings, err := config.Written(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		value := fmt.Sprint(s.Value)
		if list, ok := s.Value.([]any); ok {
			var items []string
			for _, item := range list {
				items = append(items, item.(string))
			}
			value = strings.Join(items, ",")
		}
		name := "MUSTER_" + strings.ToUpper(strings.ReplaceAll(s.Key, ".", "_"))
		environ = append(environ, name+"="+value)
	}
	return environ
}

// TestEveryKeyByEnvironment gives by variables what testdata/everything.yaml
// says, over a file that says otherwise, and without any.
func TestEveryKeyByEnvironment(t *testing.T) {
	t.Chdir("testdata")
	environ := variables(t, "everything.yaml")
	if len(environ) != len(config.Table()) {
		t.Fatalf("%d variables for %d keys", len(environ), len(config.Table()))
	}
	want, err := config.Load(config.Source{File: "everything.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	working := want.Dir

	other := filepath.Join(t.TempDir(), "muster.yaml")
	c := config.Default()
	c.API.Certificate, c.API.Key = "a.pem", "a-key.pem"
	c.OCSP.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} // replaced, not prolonged
	write(t, other, string(c.Document()))
	got, settings, err := config.Read(config.Source{File: other, Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	want.Dir = filepath.Dir(other)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("over a file: got  %+v\nwant %+v", got, want)
	}
	for _, s := range settings {
		if s.From.Variable == "" {
			t.Errorf("%s comes from %s", s.Key, s.From)
		}
	}

	got, err = config.Load(config.Source{File: "none.yaml", Optional: true, Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	want.Dir = working // where the registry lies
	if !reflect.DeepEqual(got, want) {
		t.Errorf("without a file: got  %+v\nwant %+v", got, want)
	}
}

// TestPaths tells where relative paths start: at the folder of the file, or at
// the working directory where they come from the environment.
func TestPaths(t *testing.T) {
	dir, working := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "muster.yaml")
	write(t, path, "mqtt:\n  certificate: a.pem\n  key: b.pem\n")
	t.Chdir(working)
	c, err := config.Load(config.Source{File: path, Environ: []string{
		"MUSTER_MQTT_KEY=../b.pem", "MUSTER_REGISTRY_PATH=/data/../registry/",
	}})
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		c.Dir: dir, c.MQTT.Certificate: filepath.Join(dir, "a.pem"), c.MQTT.Key: filepath.Join(filepath.Dir(working), "b.pem"),
		c.API.Key: c.MQTT.Key, c.Registry.Path: "/registry", c.Registry.MasterKey: filepath.Join(dir, "master.key"),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestNoFile(t *testing.T) {
	t.Chdir(t.TempDir())
	absent := "configuration: open muster.yaml: no such file or directory; muster init makes one, --config or MUSTER_CONFIG names another"
	four := []string{
		"MUSTER_MQTT_CERTIFICATE=/s/tls.crt", "MUSTER_MQTT_KEY=/s/tls.key",
		"MUSTER_REGISTRY_PATH=/data/registry", "MUSTER_REGISTRY_MASTER_KEY=/s/master.key",
	}
	for name, c := range map[string]struct {
		source config.Source
		want   string
	}{
		"named":        {config.Source{Environ: four}, absent},
		"nothing":      {config.Source{Optional: true, Environ: []string{"MUSTER_REGION=us-east-1"}}, absent},
		"not all four": {config.Source{Optional: true, Environ: four[1:3]}, absent + "; without a file, the environment must also have MUSTER_MQTT_CERTIFICATE, MUSTER_REGISTRY_MASTER_KEY"},
		"wrong":        {config.Source{Optional: true, Environ: []string{"MUSTER_REGION=?"}}, `MUSTER_REGION: region: "?": want lower-case letters, digits and hyphens, such as us-east-1`},
		"all four":     {config.Source{Optional: true, Environ: four}, ""},
	} {
		c.source.File = "muster.yaml"
		got, err := config.Load(c.source)
		switch {
		case c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want):
			t.Errorf("%s: got  %v\nwant %s", name, err, c.want)
		case c.want == "" && got.Dir != "/data":
			t.Errorf("%s: the folder is %s", name, got.Dir)
		}
	}
	if _, err := config.Written("muster.yaml"); err == nil || err.Error() != absent {
		t.Errorf("got  %v\nwant %s", err, absent)
	}
}

// TestErrorsInOrder wants those of the file first, and those of the environment
// by name.
func TestErrorsInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "muster.yaml")
	write(t, path, "region: US\nlimits:\n  cache: 1\n")
	_, err := config.Load(config.Source{File: path, Environ: []string{"MUSTER_REGION=EU", "MUSTER_LOG_LEVEL=loud", "MUSTER_API_KEY=a"}})
	var places []string
	for line := range strings.SplitSeq(fmt.Sprint(err), "\n") {
		place, _, _ := strings.Cut(line, ": ")
		places = append(places, place)
	}
	if want := []string{path + ":1", path + ":3", "MUSTER_API_KEY", "MUSTER_LOG_LEVEL", "MUSTER_REGION"}; !slices.Equal(places, want) {
		t.Errorf("got %q, want %q\n%v", places, want, err)
	}
}

// TestSettings looks at where values come from, and at their two forms.
func TestSettings(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "muster.yaml")
	write(t, path, "region: eu-west-1\nocsp:\n  # where\n  allow_private:\n  - ::1/128\n  skew:\nhttp: {address: ':9090'}\n")
	written, err := config.Written(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "region: eu-west-1 # " + path + ":1\nhttp:\n  address: :9090 # " + path + ":7\n" +
		"ocsp:\n  allow_private: [\"::1/128\"] # " + path + ":5\n"
	if got := string(written.Document()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	c, all, err := config.Read(config.Source{File: path, Environ: []string{"MUSTER_REGION=eu-west-2", "MUSTER_LIMITS_HANDSHAKES=9"}})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"region": "MUSTER_REGION", "limits.handshakes": "MUSTER_LIMITS_HANDSHAKES", "http.address": path + ":7",
		"ocsp.skew": "default", "mqtt.address": "default",
	} {
		if got := all.Of(key).String(); got != want {
			t.Errorf("%s comes from %s, want %s", key, got, want)
		}
	}
	again, err := config.Parse(all.Document(), "printed")
	if err != nil {
		t.Fatal(err)
	}
	if again.Dir = c.Dir; !reflect.DeepEqual(again, c) {
		t.Errorf("printed %+v\nread    %+v", again, c)
	}
	text, err := json.Marshal(all[:1])
	if want := `[{"key":"region","value":"eu-west-2","from":"MUSTER_REGION"}]`; err != nil || string(text) != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
}

// TestOriginStaysInItsLine prints a file whose name would break out of a
// comment.
func TestOriginStaysInItsLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a\nregion: b.yaml")
	write(t, path, "region: us-east-1")
	written, err := config.Written(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(written.Document()), "\n"); got != 1 {
		t.Errorf("%d lines:\n%s", got, written.Document())
	}
}

// FuzzEnvironment holds that whatever a variable has either gives errors that
// name it, or values that can be printed and read again.
func FuzzEnvironment(f *testing.F) {
	for _, row := range config.Table() {
		f.Add(row.Key, row.Default)
	}
	f.Add("ocsp.allow_private", "10.0.0.0/8,::1/128")
	f.Add("mqtt.key", "\xff")
	f.Add("mqtt.adress", "x")
	f.Add("mqtt.\n", "x")
	path := filepath.Join(f.TempDir(), "muster.yaml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		name := "MUSTER_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		c, settings, err := config.Read(config.Source{File: path, Environ: []string{name + "=" + value}})
		if err != nil {
			name, _, _ = strings.Cut(name, "=")
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, name+": ") && !strings.HasPrefix(line, `"MUSTER_`) && !strings.HasPrefix(line, path+": and ") {
					t.Fatalf("line %q does not name %s", line, name)
				}
			}
			return
		}
		again, err := config.Parse(settings.Document(), "again")
		if err != nil {
			t.Fatal(err)
		}
		if again.Dir = c.Dir; !reflect.DeepEqual(again, c) {
			t.Fatalf("got %+v\nwant %+v", again, c)
		}
	})
}
