package config_test

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/muster-mqtt/muster/config"
)

// TestParseFiles reads every file of testdata. The lines of a file that begin
// with "# want: " are the error that it must give, without the file's name; a
// file without such a line must be accepted.
func TestParseFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				if text, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, "f:"+strings.TrimSpace(text))
				}
			}
			c, err := config.Parse(data, "f")
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if !slices.Equal(got, want) {
				t.Errorf("got error\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if (c == nil) != (err != nil) {
				t.Errorf("configuration %v with error %v", c, err)
			}
		})
	}
}

// everything is what testdata/everything.yaml says: no value is a default.
func everything() *config.Config {
	return &config.Config{
		Region: "eu-central-1",
		MQTT: config.MQTT{
			Address:          []string{"0.0.0.0:9883", "[::]:9883"},
			Websocket:        []string{":9443"},
			Certificate:      "tls/chain.pem",
			Key:              "/etc/muster/key.pem",
			HandshakeTimeout: 1500 * time.Millisecond,
			ConnectTimeout:   7 * time.Second,
			MaxPacketSize:    128 << 10,
			KeepAliveMax:     90 * time.Second,
			Refusals:         config.RefusalsHangup,
			FirstConnection:  config.FirstConnectionClose,
			OneConnection:    config.OneConnectionCertificate,
			Drain:            30 * time.Second,
		},
		API:   config.API{Address: "[::1]:0", Certificate: "api.pem", Key: "api-key.pem", RequestsPerKey: 25},
		HTTP:  config.HTTP{Address: ":9090"},
		Admin: config.Admin{Path: "/run/muster"},
		Registry: config.Registry{
			Path:       "data",
			MasterKey:  "secrets/master.key",
			PendingTTL: 36 * time.Hour,
			PendingCap: 7,
			Cache:      123,
		},
		Admission: config.Admission{ClockSkew: time.Minute},
		OCSP: config.OCSP{
			AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")},
			Timeout:      250 * time.Millisecond,
			Skew:         30 * time.Second,
			Concurrent:   8,
			Waiting:      9,
			Recheck:      5 * time.Minute,
		},
		Limits: config.Limits{
			Connections: 2000, Handshakes: 50, Connects: 500, ConnectsPerAddress: 20, ConnectsPerAuthority: 30,
			Registrations: 40, Sessions: 60, Retained: 70, Waiting: 8 << 20,
		},
		Sessions: config.Sessions{Store: config.SessionStoreMemory, Path: "/var/lib/muster/sessions"},
		Fleet: config.Fleet{
			Hooks:       []string{"arn:aws:lambda:us-east-1:123456789012:function:check=http://10.0.0.9/"},
			HookTimeout: 3 * time.Second, Concurrent: 11,
		},
		Webhook: config.Webhook{
			URL: []string{"https://events.example.com/muster", "http://127.0.0.1:9000/"}, Secret: "secrets/webhook.key",
			Roots: "tls/roots.pem", Timeout: 750 * time.Millisecond,
		},
		Log: config.Log{Level: config.LevelDebug, Format: config.FormatConsole},
	}
}

func TestEveryKeyReachesItsField(t *testing.T) {
	data, err := os.ReadFile("testdata/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Parse(data, "everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := everything(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	defaults := leaves(reflect.ValueOf(*config.Default()), "")
	for path, value := range leaves(reflect.ValueOf(*got), "") {
		if reflect.DeepEqual(value, defaults[path]) {
			t.Errorf("%s: everything.yaml has the default %v and proves nothing", path, value)
		}
	}
}

// leaves lists the fields of a configuration by the key that must set them.
func leaves(v reflect.Value, prefix string) map[string]any {
	all := make(map[string]any)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if name == "Dir" {
			continue // set by Load
		}
		path := prefix + snake(name)
		if f := v.Field(i); f.Kind() == reflect.Struct {
			for k, leaf := range leaves(f, path+".") {
				all[k] = leaf
			}
		} else {
			all[path] = f.Interface()
		}
	}
	return all
}

// snake turns MaxPacketSize into max_packet_size and PendingTTL into
// pending_ttl.
func snake(name string) string {
	var out []byte
	upper := func(i int) bool { return name[i] >= 'A' && name[i] <= 'Z' }
	for i := range len(name) {
		if i > 0 && upper(i) && !upper(i-1) {
			out = append(out, '_')
		}
		out = append(out, name[i])
	}
	return strings.ToLower(string(out))
}

func TestDocumentHasEveryField(t *testing.T) {
	var document map[string]any
	if err := yaml.Unmarshal(config.Default().Document(), &document); err != nil {
		t.Fatal(err)
	}
	var written []string
	for name, value := range document {
		section, ok := value.(map[string]any)
		if !ok {
			written = append(written, name)
		}
		for key := range section {
			written = append(written, name+"."+key)
		}
	}
	var table, fields []string
	for _, row := range config.Table() {
		table = append(table, row.Key)
		if row.Default == "" || !strings.HasSuffix(row.Meaning, ".") {
			t.Errorf("%s: default %q, meaning %q", row.Key, row.Default, row.Meaning)
		}
	}
	for path := range leaves(reflect.ValueOf(*config.Default()), "") {
		fields = append(fields, path)
	}
	slices.Sort(written)
	slices.Sort(table)
	slices.Sort(fields)
	if !slices.Equal(written, fields) {
		t.Errorf("document has %v\nfields are    %v", written, fields)
	}
	if !slices.Equal(table, fields) {
		t.Errorf("table has  %v\nfields are %v", table, fields)
	}
}

func TestDocumentParsesBack(t *testing.T) {
	loopback := config.Default()
	loopback.OCSP.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for name, c := range map[string]*config.Config{
		"defaults": config.Default(), "loopback": loopback, "everything": everything(),
	} {
		document := c.Document()
		got, err := config.Parse(document, name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, c) {
			t.Errorf("%s: got %+v, want %+v", name, got, c)
		}
		if !bytes.HasSuffix(document, []byte("\n")) || bytes.HasSuffix(document, []byte("\n\n")) {
			t.Errorf("%s: the document does not end in one newline", name)
		}
		for line := range bytes.Lines(document) {
			if len(line) > 80 {
				t.Errorf("%s: long line %q", name, line)
			}
		}
	}
}

func TestEmptyMeansDefault(t *testing.T) {
	for _, text := range []string{
		"", "# nothing\n", "---\n", "mqtt:\n", "mqtt: {}\n", "region:\n", "region: \"\"\n",
		"mqtt:\n  max_packet_size:\n  handshake_timeout: ~\nocsp:\n  allow_private: []\n",
	} {
		c, err := config.Parse([]byte(text), "f")
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if want := config.Default(); !reflect.DeepEqual(c, want) {
			t.Errorf("%q: got %+v, want %+v", text, c, want)
		}
	}
}

func TestErrorsAreCapped(t *testing.T) {
	text := strings.Repeat("? [no, key]\n: 1\n", 25)
	_, err := config.Parse([]byte(text), "f")
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 21 || lines[20] != "f: and 5 more" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

func TestLoadMakesPathsAbsolute(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "muster.yaml")
	write(t, path, "mqtt:\n  certificate: tls/server.pem\nregistry:\n  master_key: /keys/master\n")
	c, err := config.Load(config.Source{File: path})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Dir = dir
	want.MQTT.Certificate, want.MQTT.Key = filepath.Join(dir, "tls/server.pem"), filepath.Join(dir, "server-key.pem")
	want.API.Certificate, want.API.Key = want.MQTT.Certificate, want.MQTT.Key
	want.Registry.Path, want.Registry.MasterKey = filepath.Join(dir, "registry"), "/keys/master"
	want.Sessions.Path, want.Admin.Path = filepath.Join(dir, "sessions"), dir
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}

	t.Chdir(dir)
	if c, err = config.Load(config.Source{File: "muster.yaml"}); err != nil || c.MQTT.Key != want.MQTT.Key {
		t.Errorf("by a relative path: %+v, %v", c, err)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	wrong, large := filepath.Join(dir, "wrong.yaml"), filepath.Join(dir, "large.yaml")
	write(t, wrong, "\nlimits:\n  handshake: 1\n")
	write(t, large, strings.Repeat("#\n", 1<<19)+"#")
	for path, want := range map[string]string{
		wrong:                           wrong + ":3: limits.handshake: unknown key; did you mean limits.handshakes?",
		large:                           "configuration: " + large + ": more than 1MiB; this is no configuration",
		filepath.Join(dir, "none.yaml"): "configuration: open " + filepath.Join(dir, "none.yaml") + ": no such file or directory; muster init makes one, --config or MUSTER_CONFIG names another",
		dir:                             "configuration: read " + dir + ": is a directory",
	} {
		if _, err := config.Load(config.Source{File: path}); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// FuzzParse holds that whatever is read either gives an error that names the
// file in each of its few lines, or values that Document can write and Parse
// read again.
func FuzzParse(f *testing.F) {
	f.Add(config.Default().Document())
	f.Add(everything().Document())
	f.Add([]byte("&a mqtt: *a\n<<: [*a]\n"))
	f.Add([]byte("region: !!binary aGk=\n---\n...\n"))
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse(data, "f")
		if err != nil {
			lines := strings.Split(err.Error(), "\n")
			if c != nil || len(lines) > 21 {
				t.Fatalf("configuration %v, %d lines", c, len(lines))
			}
			for _, line := range lines {
				if !strings.HasPrefix(line, "f:") {
					t.Fatalf("line %q does not name the file", line)
				}
			}
			return
		}
		again, err := config.Parse(c.Document(), "again")
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("got %+v, %v\nwant %+v", again, err, c)
		}
	})
}
