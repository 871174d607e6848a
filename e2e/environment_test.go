package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inEnvironment runs the program in a folder with these variables alone.
func inEnvironment(t *testing.T, dir string, environ []string, args ...string) ended {
	t.Helper()
	return command(t, append([]string{"HOME=" + dir}, environ...),
		"/usr/bin/env", append([]string{"-C", dir, os.Getenv(binaryVariable)}, args...)...)
}

// mounted moves the secrets of a new server to where an orchestrator would put
// them: behind symbolic links, readable for everyone, with white space at the
// end. It returns the environment of a server that has nothing else.
func (s *server) mounted(t *testing.T) []string {
	t.Helper()
	secrets := t.TempDir()
	if err := os.Mkdir(filepath.Join(secrets, "..data"), 0o755); err != nil {
		t.Fatal(err)
	}
	environ := []string{"MUSTER_REGISTRY_PATH=" + s.path("registry")}
	for name, variable := range map[string]string{
		"server.pem": "MUSTER_MQTT_CERTIFICATE", "server-key.pem": "MUSTER_MQTT_KEY", "master.key": "MUSTER_REGISTRY_MASTER_KEY",
	} {
		real, link := filepath.Join(secrets, "..data", name), filepath.Join(secrets, name)
		text := readFile(t, s.path(name)) + "\n\n"
		if err := os.WriteFile(real, []byte(text), 0o444); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), link); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(s.path(name)); err != nil {
			t.Fatal(err)
		}
		environ = append(environ, variable+"="+link)
	}
	if err := os.Remove(s.config()); err != nil {
		t.Fatal(err)
	}
	return environ
}

// TestEnvironmentAlone serves without a file, with mounted secrets.
func TestEnvironmentAlone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	environ := append(s.mounted(t), "MUSTER_REGION=eu-central-1", "MUSTER_OCSP_ALLOW_PRIVATE=none", "MUSTER_CONFIG=",
		"MUSTER_MQTT_ADDRESS="+anyPort, "MUSTER_API_ADDRESS="+anyPort, "MUSTER_HTTP_ADDRESS="+anyPort,
		"MUSTER_MQTT=127.0.0.1:1", "MUSTER_MQTT_SERVICE_HOST=10.0.0.1", "MUSTER_MQTT_PORT=tcp://10.0.0.1:8883")
	empty := t.TempDir()
	if out := inEnvironment(t, empty, environ, "config", "check"); out.code != 0 || out.stdout != "environment: the configuration is good\n" {
		t.Errorf("muster config check: %+v", out)
	}
	log := filepath.Join(empty, "log")
	stop := serveInEnvironment(t, empty, environ, log)
	eventually(t, 10*time.Second, "the server is ready", func() bool {
		return inEnvironment(t, empty, environ, "health").code == 0
	})
	if out := inEnvironment(t, empty, environ, "env"); !strings.Contains(out.stdout, "AWS_DEFAULT_REGION='eu-central-1'") {
		t.Errorf("muster env: %+v", out)
	}
	if out := inEnvironment(t, empty, environ, "explain", strings.Repeat("0", 64)); !strings.Contains(out.stderr, "is not registered") {
		t.Errorf("muster explain does not reach the server: %+v", out)
	}
	stop()
	if text := readFile(t, log); !strings.Contains(text, `"event":"secret_readable"`) {
		t.Errorf("the log does not say that everyone may read the keys, which belong to this user:\n%s", text)
	}

	// The demo has a server of its own, whatever is meant for this one.
	if out := inEnvironment(t, empty, environ, "demo", "--devices", "1"); out.code != 0 {
		t.Errorf("muster demo: %+v", out)
	}
	// A file that was named must be there.
	fails(t, inEnvironment(t, empty, append(environ, "MUSTER_CONFIG=muster.yml"), "serve"), 1, "muster.yml", "no such file")
	fails(t, inEnvironment(t, empty, environ, "serve", "--config", "muster.yml"), 1, "muster.yml", "no such file")
	// Flags win over the environment.
	out := inEnvironment(t, empty, environ, "serve", "--mqtt", "192.0.2.1:0")
	if want := "mqtt.address: listen tcp 192.0.2.1:0"; out.code != 1 || !strings.Contains(out.stderr, want) {
		t.Errorf("%+v, want exit 1 and %q", out, want)
	}
}

// TestEnvironmentOverFile serves what muster init made, on other addresses and
// with the master key elsewhere, from any folder.
func TestEnvironmentOverFile(t *testing.T) {
	t.Parallel()
	s, empty := newServer(t), t.TempDir()
	if err := os.Rename(s.path("master.key"), filepath.Join(empty, "key")); err != nil {
		t.Fatal(err)
	}
	environ := []string{"MUSTER_CONFIG=" + s.config(), "MUSTER_REGISTRY_MASTER_KEY=key", "MUSTER_LOG_FORMAT=console",
		"MUSTER_MQTT_ADDRESS=" + anyPort, "MUSTER_API_ADDRESS=" + anyPort, "MUSTER_HTTP_ADDRESS=" + anyPort}
	log := filepath.Join(empty, "log")
	stop := serveInEnvironment(t, empty, environ, log)
	eventually(t, 10*time.Second, "the server is ready", func() bool {
		return program(t, "health", "--config", s.config()).code == 0
	})
	stop()
	if text := readFile(t, log); !strings.Contains(text, "INF muster serves") || strings.Contains(text, ":8883") {
		t.Errorf("the log is not for people, or the server listened elsewhere:\n%s", text)
	}
}

func serveInEnvironment(t *testing.T, dir string, environ []string, log string) (stop func()) {
	t.Helper()
	cmd := exec.Command(os.Getenv(binaryVariable), "serve")
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Dir, cmd.Env, cmd.Stderr = dir, environ, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the server ended by SIGTERM: %v\n%s", err, readFile(t, log))
			}
		case <-time.After(stopTimeout):
			t.Fatalf("the server still runs %v after SIGTERM", stopTimeout)
		}
	}
}

// TestWrongVariables demands that every command names the variable.
func TestWrongVariables(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for variable, words := range map[string][]string{
		"MUSTER_MQTT_ADDRESS=8883":         {"MUSTER_MQTT_ADDRESS: mqtt.address", "host:port"},
		"MUSTER_MQTT_ADRESS=:1":            {"MUSTER_MQTT_ADRESS: unknown variable", "MUSTER_MQTT_ADDRESS?"},
		"MUSTER_LIMITS_CONNECTIONS=many":   {"MUSTER_LIMITS_CONNECTIONS: limits.connections", "number"},
		"MUSTER_OCSP_ALLOW_PRIVATE=10.0.0": {"MUSTER_OCSP_ALLOW_PRIVATE: ocsp.allow_private[0]", "prefix"},
	} {
		for _, args := range [][]string{{"serve"}, {"env"}, {"health"}, {"explain", strings.Repeat("0", 64)}, {"config", "check"}, {"config", "print", "--effective"}} {
			environ := []string{"MUSTER_CONFIG=" + s.config(), variable}
			fails(t, inEnvironment(t, t.TempDir(), environ, args...), 1, words...)
		}
	}
}

// TestConfigurationApart serves by a file in a folder that nothing is written to,
// as one that is mounted.
func TestConfigurationApart(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	mounted, run := t.TempDir(), t.TempDir()
	file := filepath.Join(mounted, "muster.yaml")
	environ := []string{
		"MUSTER_CONFIG=" + s.config(), "MUSTER_ADMIN_PATH=" + run,
		"MUSTER_MQTT_ADDRESS=" + anyPort, "MUSTER_API_ADDRESS=" + anyPort, "MUSTER_HTTP_ADDRESS=" + anyPort,
	}
	writeFile(t, file, inEnvironment(t, run, environ, "config", "print", "--effective").stdout)
	environ = []string{"MUSTER_CONFIG=" + file}
	stop := serveInEnvironment(t, run, environ, filepath.Join(run, "log"))
	eventually(t, 10*time.Second, "the server is ready", func() bool {
		return inEnvironment(t, run, environ, "health").code == 0
	})
	if out := inEnvironment(t, run, environ, "account", "list"); out.code != 0 {
		t.Errorf("muster account list: %+v", out)
	}
	for folder, want := range map[string]int{mounted: 1, run: 3} { // the file; the socket, the addresses and the log
		if found, err := os.ReadDir(folder); err != nil || len(found) != want {
			t.Errorf("%s holds %v, %v", folder, found, err)
		}
	}
	stop()
}
