package e2e_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSessionsFolder: a folder that cannot hold sessions ends the start with one
// sentence, and muster config check finds it before.
func TestSessionsFolder(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(s.path("registry"), link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		want []string
	}{
		"the registry":         {s.path("registry"), []string{"is the folder of the registry", "such as " + s.path("sessions")}},
		"in the registry":      {s.path("registry/sessions"), []string{"lies in the folder of the registry"}},
		"by a link":            {filepath.Join(link, "new"), []string{"lies in the folder of the registry"}},
		"around the registry":  {s.dir, []string{"holds the folder of the registry"}},
		"no folder":            {s.path("ca.pem"), []string{s.path("ca.pem")}},
		"in what is no folder": {s.path("ca.pem/sessions"), []string{"not a directory"}},
	} {
		t.Run(name, func(t *testing.T) {
			environ := []string{"MUSTER_CONFIG=" + s.config(), "MUSTER_SESSIONS_PATH=" + c.path}
			fails(t, inEnvironment(t, t.TempDir(), environ, "config", "check"), 1, append(c.want, "MUSTER_SESSIONS_PATH: sessions.path: ")...)
			fails(t, inEnvironment(t, t.TempDir(), environ, "serve"), 1, append(c.want, "sessions")...)
		})
	}
	memory := []string{"MUSTER_CONFIG=" + s.config(), "MUSTER_SESSIONS_PATH=" + s.path("registry"), "MUSTER_SESSIONS_STORE=memory"}
	if out := inEnvironment(t, t.TempDir(), memory, "config", "check"); out.code != 0 {
		t.Errorf("a folder that is not used is complained of: %+v", out)
	}
}

// TestStartFails: a start that ends half way leaves nothing behind, and the next
// one is not concerned.
func TestStartFails(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, variable := range []string{"MUSTER_MQTT_ADDRESS", "MUSTER_MQTT_WEBSOCKET", "MUSTER_API_ADDRESS", "MUSTER_HTTP_ADDRESS"} {
		environ := []string{
			"MUSTER_CONFIG=" + s.config(), "MUSTER_MQTT_ADDRESS=" + anyPort, "MUSTER_API_ADDRESS=" + anyPort,
			"MUSTER_HTTP_ADDRESS=" + anyPort, variable + "=" + taken.Addr().String(),
		}
		out := inEnvironment(t, t.TempDir(), environ, "serve")
		last := lastLine(out.stderr)
		key := strings.ToLower(strings.Replace(strings.TrimPrefix(variable, "MUSTER_"), "_", ".", 1))
		for _, words := range []string{"muster: " + key + ": ", taken.Addr().String(), "address already in use", "choose another with --"} {
			if !strings.Contains(last, words) {
				t.Errorf("%s: %q does not say %q", variable, last, words)
			}
		}
		if out.code != 1 {
			t.Errorf("%s: exit %d", variable, out.code)
		}
		for _, name := range []string{"muster.sock", "addresses.json"} {
			if _, err := os.Lstat(s.path(name)); err == nil {
				t.Errorf("%s: %s is left", variable, name)
			}
		}
	}
	s.start(t)
	s.stop(t)
}

// TestSignalsWhileItStarts: what asks for a reload ends nothing, and a stop is no
// failure.
func TestSignalsWhileItStarts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	cmd := exec.Command(os.Getenv(binaryVariable), "serve", "--config", s.config(), "--api", anyPort, "--http", anyPort, "--mqtt", anyPort)
	log := &logbook{}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		log.fill(stderr)
		ended <- cmd.Wait()
	}()
	defer func() { _ = cmd.Process.Kill() }()
	eventually(t, 10*time.Second, "it opens the registry", func() bool {
		_, err := os.Lstat(s.path("registry/LOCK"))
		return err == nil
	})
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v and said\n%s", err, log.text())
		}
	case <-time.After(stopTimeout):
		t.Error("it does not stop")
	}
}
