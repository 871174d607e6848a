package e2e_test

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// fails demands that a command ends with an exit code and one clear error, of
// one line that begins with the program's name.
func fails(t *testing.T, out ended, code int, words ...string) {
	t.Helper()
	if out.code != code || out.stdout != "" {
		t.Errorf("%+v, want exit %d", out, code)
	}
	if !strings.HasPrefix(out.stderr, "muster: ") || strings.Count(out.stderr, "\n") != 1 {
		t.Errorf("the error is not one line of muster:\n%s", out.stderr)
	}
	for _, w := range words {
		if !strings.Contains(out.stderr, w) {
			t.Errorf("the error %q does not name %q", out.stderr, w)
		}
	}
}

// TestCommands is the life of a server as its operator sees it.
func TestCommands(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	withConfig := func(args ...string) ended { return program(t, append(args, "--config", s.config())...) }

	fails(t, program(t, "init", "--dir", s.dir), 1, s.dir, "it exists")
	fails(t, withConfig("env"), 1, "no server runs in "+s.dir, "muster serve")
	fails(t, withConfig("health"), 1, "no server runs in "+s.dir)

	s.start(t)
	want := []string{"AWS_ACCESS_KEY_ID", "AWS_CA_BUNDLE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL",
		"AWS_SECRET_ACCESS_KEY", "MUSTER_CA", "MUSTER_HTTP", "MUSTER_MQTT"}
	if got := slices.Sorted(maps.Keys(s.vars)); !slices.Equal(got, want) {
		t.Errorf("muster env exports %v, want %v", got, want)
	}
	if out := withConfig("health"); out != (ended{stdout: "ready\n"}) {
		t.Errorf("muster health: %+v", out)
	}
	info, err := os.Stat(s.path("muster.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if want := os.ModeSocket | 0o600; info.Mode() != want {
		t.Errorf("the admin socket is %v, want %v", info.Mode(), want)
	}

	// A second server on the same directory leaves the first alone.
	fails(t, withConfig("serve", "--mqtt", anyPort, "--api", anyPort, "--http", anyPort), 1, s.dir, "in use")
	if out := withConfig("health"); out.code != 0 {
		t.Errorf("after a second server was started, muster health: %+v", out)
	}

	s.stop(t)
	s.leftNothing(t)
	fails(t, withConfig("env"), 1, "no server runs")

	// What a killed server left behind misleads nobody and stops no other.
	s.start(t)
	s.crash()
	if _, err := os.Lstat(s.path("addresses.json")); err != nil {
		t.Error(err)
	}
	fails(t, withConfig("env"), 1, "no server runs")
	fails(t, withConfig("health"), 1, "no server runs")
	s.start(t)
	s.stop(t)
}

// TestSecrets looks at who may read what init wrote.
func TestSecrets(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, want := range map[string]os.FileMode{
		".": 0o700, "muster.yaml": 0o644, "ca.pem": 0o644, "server.pem": 0o644,
		"server-key.pem": 0o600, "master.key": 0o600, "credentials": 0o600, "registry": 0o700,
	} {
		info, err := os.Stat(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// TestUsage makes the mistakes that people make at a command line.
func TestUsage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	missing := filepath.Join(t.TempDir(), "muster.yaml")
	for _, c := range []struct {
		code int
		args []string
		want []string
	}{
		{2, []string{"serve", "--config", s.config(), "--mqqt", anyPort}, []string{"--mqqt", "muster serve --help"}},
		{2, []string{"serve", "--config", s.config(), "--mqtt", "8883"}, []string{"--mqtt", "host:port"}},
		{2, []string{"serve", "--config", s.config(), "now"}, []string{"now"}},
		{2, []string{"sevre"}, []string{"sevre", "muster --help"}},
		{2, []string{"explain", "--config", s.config()}, []string{"muster explain --help"}},
		{2, []string{"init", "--dir", filepath.Dir(missing) + "/new", "--account", "12"}, []string{"12 digits"}},
		{2, []string{"demo", "--devices", "0"}, []string{"--devices"}},
		{1, []string{"serve", "--config", missing}, []string{missing, "no such file"}},
		{1, []string{"env", "--config", missing}, []string{missing, "no such file"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) { fails(t, program(t, c.args...), c.code, c.want...) })
	}
	if out := program(t, "--help"); out.code != 0 || !strings.Contains(out.stdout, "muster demo") || out.stderr != "" {
		t.Errorf("muster --help: %+v", out)
	}
}

// TestBrokenConfiguration demands file, line and key of each mistake.
func TestBrokenConfiguration(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	text := readFile(t, s.config())
	broken := regexp.MustCompile(`(?m)^(  handshake_timeout:).*$`).ReplaceAllString(text, "$1 fast")
	broken = strings.Replace(broken, "\nregion:", "\nreggion:", 1)
	if broken == text {
		t.Fatalf("nothing to break in %s", text)
	}
	writeFile(t, s.config(), broken)
	out := program(t, "serve", "--config", s.config(), "--mqtt", anyPort, "--api", anyPort, "--http", anyPort)
	if out.code != 1 || strings.Count(out.stderr, "\n") != 2 {
		t.Errorf("%+v, want exit 1 and a line for each mistake", out)
	}
	for key, word := range map[string]string{"reggion:": "reggion", "handshake_timeout:": "mqtt.handshake_timeout"} {
		before, _, _ := strings.Cut(broken, key)
		where := s.config() + ":" + strconv.Itoa(strings.Count(before, "\n")+1) + ": " + word
		if !strings.Contains(out.stderr, where) {
			t.Errorf("%q does not say %q", out.stderr, where)
		}
	}
	writeFile(t, s.config(), text)
	writeFile(t, s.path("master.key"), "not a key\n")
	fails(t, program(t, "serve", "--config", s.config()), 1, s.path("master.key"), "64 hex digits")
}

// TestPortInUse demands the key, the address and the flag, and that nothing is
// left that says a server runs.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	l, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	for _, flag := range []string{"mqtt", "api", "http"} {
		args := []string{"serve", "--config", s.config(), "--mqtt", anyPort, "--api", anyPort, "--http", anyPort, "--" + flag, taken}
		fails(t, program(t, args...), 1, flag+".address", taken, "--"+flag)
	}
	s.leftNothing(t)
}

// leftNothing demands that no file says that a server runs.
func (s *server) leftNothing(t *testing.T) {
	t.Helper()
	for _, name := range []string{"addresses.json", "muster.sock"} {
		if _, err := os.Lstat(s.path(name)); !os.IsNotExist(err) {
			t.Errorf("%s is left behind: %v", s.path(name), err)
		}
	}
}

// TestDemo watches the whole story.
func TestDemo(t *testing.T) {
	t.Parallel()
	out := program(t, "demo", "--devices", "3")
	if out.code != 0 || out.stderr != "" || !strings.Contains(out.stdout, "steps came out as told") {
		t.Errorf("muster demo: %+v", out)
	}
	if strings.Contains(out.stdout, "FAILED") {
		t.Errorf("muster demo: %s", out.stdout)
	}
}

func TestOperatingPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/operating.md", "")
}
