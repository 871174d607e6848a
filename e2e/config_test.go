package e2e_test

import (
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/config"
	"github.com/muster-mqtt/muster/internal/mint"
)

// TestConfigurationPage runs the examples of the page.
func TestConfigurationPage(t *testing.T) {
	t.Parallel()
	runBlocks(t, "", blocksOf(t, readFile(t, "../docs/configuration.md")))
}

// TestSecretsAreNotShown puts secrets where paths belong, by every way there is.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	master, pem := strings.TrimSpace(readFile(t, s.path("master.key"))), readFile(t, s.path("server-key.pem"))
	inside := strings.Split(pem, "\n")[1]
	good := readFile(t, s.config())
	dir := t.TempDir()
	for name, text := range map[string]string{
		"hex":   strings.Replace(good, "master_key: master.key", "master_key: "+master, 1),
		"pem":   strings.Replace(good, "key: server-key.pem", "key: "+string(asJSON(t, pem)), 1),
		"typed": strings.Replace(good, "cache: 50000", "cache: "+master, 1),
		"name":  good + "\n" + master + ": 1\n",
		"url":   strings.Replace(good, "certificate: server.pem", "certificate: https://u:"+master+"@h/c.pem", 1),
		"alone": master, "key": pem,
	} {
		if text == good {
			t.Fatalf("%s: nothing was replaced", name)
		}
		path := filepath.Join(dir, name+".yaml")
		writeFile(t, path, text)
		for _, args := range [][]string{{"serve"}, {"config", "check"}, {"config", "print"}, {"config", "print", "--effective", "-o", "json"}} {
			out := program(t, append(args, "--config", path)...)
			if said := out.stdout + out.stderr; out.code != 1 || strings.Contains(said, master[:16]) || strings.Contains(said, inside[:16]) {
				t.Errorf("%s, %v: %+v", name, args, out)
			}
		}
	}
	for _, variable := range []string{"MUSTER_REGISTRY_MASTER_KEY=" + master, "MUSTER_MQTT_KEY=" + pem, "MUSTER_REGION=" + master, "MUSTER_MQTT_SECRET=" + master} {
		name, _, _ := strings.Cut(variable, "=")
		out := inEnvironment(t, dir, []string{"MUSTER_CONFIG=" + s.config(), variable}, "serve")
		fails(t, out, 1, name)
		if strings.Contains(out.stderr, master[:16]) || strings.Contains(out.stderr, inside[:16]) {
			t.Errorf("%s is shown: %s", name, out.stderr)
		}
	}
}

func asJSON(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestConfigCheck breaks what a configuration names, one thing after another.
// Each is told with the line of its key, and serve tells it too.
func TestConfigCheck(t *testing.T) {
	t.Parallel()
	other := make([]byte, 8)
	if _, err := rand.Read(other); err != nil {
		t.Fatal(err)
	}
	foreign := newServer(t)
	for name, c := range map[string]struct {
		spoil func(s *server) error
		want  []string
	}{
		"no certificate": {func(s *server) error { return os.Remove(s.path("server.pem")) }, []string{"mqtt.certificate: open", "no such file"}},
		"no key":         {func(s *server) error { return os.Remove(s.path("server-key.pem")) }, []string{"mqtt.key: open", "no such file"}},
		"foreign key": {func(s *server) error {
			return os.Rename(foreign.path("server-key.pem"), s.path("server-key.pem"))
		}, []string{"mqtt.key:", "does not match", "must be the PEM key of"}},
		"no PEM":    {func(s *server) error { return os.WriteFile(s.path("server.pem"), other, 0o600) }, []string{"mqtt.certificate:", "no certificate in PEM"}},
		"no master": {func(s *server) error { return os.Remove(s.path("master.key")) }, []string{"master key", "no such file"}},
		"half a key": {func(s *server) error {
			return os.WriteFile(s.path("master.key"), []byte(hex.EncodeToString(other)), 0o600)
		}, []string{"64 hex digits"}},
		"open key": {func(s *server) error { return os.Chmod(s.path("server-key.pem"), 0o602) }, []string{"mqtt.key:", "everyone may write", "chmod o-w"}},
		"no registry": {func(s *server) error {
			return os.Rename(s.path("registry"), s.path("elsewhere"))
		}, []string{"no registry there"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			if err := c.spoil(s); err != nil {
				t.Fatal(err)
			}
			out := program(t, "config", "check", "--config", s.config())
			fails(t, out, 1, append(c.want, s.config()+":")...)
			var told struct {
				Good               bool
				Problems, Warnings []string
			}
			out = program(t, "config", "check", "-o", "json", "--config", s.config())
			if err := json.Unmarshal([]byte(out.stdout), &told); err != nil || out.code != 1 || told.Good ||
				!strings.Contains(strings.Join(told.Problems, "\n"), c.want[0]) {
				t.Errorf("-o json: %+v, %v", out, err)
			}
			fails(t, program(t, "serve", "--config", s.config()), 1, c.want...)
		})
	}
}

// TestConfigCheckTellsAll demands a line for each of several problems.
func TestConfigCheckTellsAll(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, name := range []string{"server.pem", "master.key"} {
		if err := os.Remove(s.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	environ := []string{"MUSTER_API_ADDRESS=0.0.0.0:8883", "MUSTER_HTTP_ADDRESS=localhost:8443", "MUSTER_CONFIG=" + s.config()}
	out := inEnvironment(t, t.TempDir(), environ, "config", "check")
	lines := strings.Split(strings.TrimSpace(out.stderr), "\n")
	want := []string{"MUSTER_API_ADDRESS: api.address: 0.0.0.0:8883 is taken by mqtt.address", "mqtt.certificate: open", "registry.master_key: "}
	if out.code != 1 || len(lines) != len(want) {
		t.Fatalf("%+v, want %d lines", out, len(want))
	}
	for i, w := range want {
		if !strings.Contains(lines[i], w) {
			t.Errorf("line %q does not say %q", lines[i], w)
		}
	}
}

// TestConfigCheckWarns uses a certificate that has expired, and a key that
// everyone may read: a server would start.
func TestConfigCheckWarns(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	expired, err := mint.SelfSigned(mint.Request{
		Subject:   pkix.Name{CommonName: "localhost"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.path("server.pem"), string(expired.CertPEM()))
	writeFile(t, s.path("server-key.pem"), string(expired.KeyPEM()))
	if err := os.Chmod(s.path("server-key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := program(t, "config", "check", "--config", s.config())
	if out.code != 0 || out.stdout != s.config()+": the configuration is good\n" {
		t.Errorf("%+v", out)
	}
	for _, w := range []string{"warning: " + s.config() + ":", "mqtt.certificate: ", "expired on 2021-01-01", "mqtt.key: ", "everyone may read this key"} {
		if !strings.Contains(out.stderr, w) {
			t.Errorf("%q does not say %q", out.stderr, w)
		}
	}
}

// TestConfigCheckSocket refuses a folder with too long a name before a server
// would, and changes nothing in it.
func TestConfigCheckSocket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	if out := program(t, "init", "--dir", dir); out.code != 0 {
		t.Fatalf("%+v", out)
	}
	before := listing(t, dir)
	fails(t, program(t, "config", "check", "--config", filepath.Join(dir, "muster.yaml")), 1, "admin socket", "107")
	if after := listing(t, dir); !maps.Equal(before, after) {
		t.Errorf("before %v\nafter %v", before, after)
	}
}

// listing is every file below a folder and when it was written.
func listing(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	files := map[string]time.Time{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			files[path] = info.ModTime()
		}
		return err
	})
	if err != nil || len(files) < 5 {
		t.Fatalf("%v: %v", files, err)
	}
	return files
}

// TestConfigPrint prints, reads what was printed, and prints again.
func TestConfigPrint(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	environ := []string{"MUSTER_CONFIG=" + s.config(), "MUSTER_REGION=eu-central-1", "MUSTER_MQTT_KEY=key.pem"}
	dir := t.TempDir()
	type setting struct {
		Key   string
		Value any
		From  string
	}
	effective := func(environ ...string) (all []setting) {
		out := inEnvironment(t, dir, environ, "config", "print", "--effective", "-o", "json")
		if err := json.Unmarshal([]byte(out.stdout), &all); err != nil || out.code != 0 {
			t.Fatalf("%+v: %v", out, err)
		}
		return all
	}
	before := effective(environ...)
	var keys []string
	for _, one := range before {
		keys = append(keys, one.Key)
		want := map[string]string{
			"region": "MUSTER_REGION", "mqtt.key": "MUSTER_MQTT_KEY", "api.certificate": "default", "api.key": "default",
			"admin.path": "default", "sessions.path": "default", "webhook.secret": "default", "webhook.roots": "default",
		}[one.Key]
		if got := one.From; got != want && (want != "" || !strings.HasPrefix(got, s.config()+":")) {
			t.Errorf("%s comes from %s", one.Key, got)
		}
	}
	if want := tableKeys(); !slices.Equal(keys, want) {
		t.Errorf("got %v, want %v", keys, want)
	}
	printed := filepath.Join(dir, "printed.yaml")
	writeFile(t, printed, inEnvironment(t, dir, environ, "config", "print", "--effective").stdout)
	after := effective("MUSTER_CONFIG=" + printed)
	for i := range before {
		before[i].From, after[i].From = "", ""
	}
	if got, want := string(asJSON(t, after)), string(asJSON(t, before)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	// The file alone: neither variables nor defaults.
	writeFile(t, printed, "mqtt:\n  key: key.pem\n")
	out := inEnvironment(t, dir, []string{"MUSTER_REGION=eu-central-1"}, "config", "print", "--config", "printed.yaml")
	if want := "mqtt:\n  key: key.pem # printed.yaml:2\n"; out != (ended{stdout: want}) {
		t.Errorf("got %+v, want %q", out, want)
	}
	fails(t, program(t, "config", "print", "-o", "xml"), 2, "--output", "yaml or json")
}

func tableKeys() (keys []string) {
	for _, row := range config.Table() {
		keys = append(keys, row.Key)
	}
	return keys
}

// TestConfigSchema holds what the program prints to the file that people find.
func TestConfigSchema(t *testing.T) {
	t.Parallel()
	if out := program(t, "config", "schema"); out.code != 0 || out.stdout != readFile(t, "../config/muster.schema.json") {
		t.Errorf("muster config schema: %+v", out)
	}
}
