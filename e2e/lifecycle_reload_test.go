package e2e_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster/internal/mint"
)

// renewed makes another certificate for the server.
func renewed(t *testing.T) *mint.Leaf {
	t.Helper()
	root, err := mint.NewAuthority("another root")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := root.Issue(mint.Request{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// shows reports whether the listeners for devices and for operators show a
// certificate to who connects now.
func (s *server) shows(t *testing.T, leaf *mint.Leaf) bool {
	t.Helper()
	listeners := []string{s.vars["MUSTER_MQTT"], strings.TrimPrefix(s.vars["AWS_ENDPOINT_URL"], "https://")}
	if address, ok := s.vars["MUSTER_WEBSOCKET"]; ok {
		listeners = append(listeners, address)
	}
	for _, address := range listeners {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) // only to look
		if err != nil {
			t.Fatal(err)
		}
		shown := conn.ConnectionState().PeerCertificates[0]
		_ = conn.Close()
		if !bytes.Equal(shown.Raw, leaf.Cert.Raw) {
			return false
		}
	}
	return true
}

// replace puts a file in the place of another, as careful programs do.
func replace(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// edit replaces one line of the configuration.
func (s *server) edit(t *testing.T, old, new string) {
	t.Helper()
	text := readFile(t, s.config())
	if strings.Count(text, old) != 1 {
		t.Fatalf("the configuration has not one %q", old)
	}
	replace(t, s.config(), []byte(strings.Replace(text, old, new, 1)))
}

// happened waits for an event of the log since a line of that number.
func (s *server) happened(t *testing.T, from int, event, cause string) line {
	t.Helper()
	return s.await(t, from, event+" by "+cause, func(l line) bool {
		return l.Event == event && strings.Contains(l.text, fmt.Sprintf(`"cause":%q`, cause))
	})
}

// alive demands that the connection of a client still stands and is served.
func (m *member) alive(t *testing.T) {
	t.Helper()
	if r, err := m.Publish(t.Context(), &paho.Publish{Topic: "telemetry/" + m.name, QoS: 1, Payload: []byte("x")}); err != nil || r.ReasonCode >= 0x80 {
		t.Errorf("the client that was connected before: %+v, %v", r, err)
	}
}

// TestReloadCertificate renews the certificate of a server in all the ways that
// it may come, and in some that must not be taken.
func TestReloadCertificate(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	stays := s.fleet(t, 1)[0]
	defer func() { _ = stays.Disconnect(&paho.Disconnect{}) }()

	signalled := renewed(t)
	from := s.log.len()
	replace(t, s.path("server.pem"), signalled.CertPEM())
	replace(t, s.path("server-key.pem"), signalled.KeyPEM())
	s.signal(t, syscall.SIGHUP)
	l := s.happened(t, from, "reloaded", "signal")
	if !strings.Contains(l.text, `"changed":["mqtt.certificate","api.certificate"]`) || !s.shows(t, signalled) {
		t.Errorf("after SIGHUP: %s", l.text)
	}
	stays.alive(t)

	// A key that does not fit: all stays as it was, and it is said once.
	stranger := renewed(t)
	from = s.log.len()
	replace(t, s.path("server-key.pem"), stranger.KeyPEM())
	l = s.happened(t, from, "reload_failed", "file")
	checked := program(t, "config", "check", "--config", s.config())
	if want := strings.TrimPrefix(lastLine(checked.stderr), "muster: "); checked.code != 1 || !strings.Contains(l.text, want[:40]) {
		t.Errorf("the log tells %s, and config check %s", l.text, want)
	}
	if !s.shows(t, signalled) {
		t.Error("a certificate whose key does not fit is shown")
	}
	fails(t, program(t, "reload", "--config", s.config()), 1, "mqtt.key", "does not match")
	if s.metric(t, "muster_config_last_reload_successful") != 0 || s.metric(t, `muster_reloads_total{outcome="failed"}`) != 2 {
		t.Error("the metrics do not tell of the failures")
	}

	// The certificate that fits comes later, as with programs that write two
	// files: the server finds it by itself.
	from = s.log.len()
	replace(t, s.path("server.pem"), stranger.CertPEM())
	s.happened(t, from, "reloaded", "file")
	if !s.shows(t, stranger) {
		t.Error("the certificate that was moved into its place is not shown")
	}
	if s.metric(t, "muster_config_last_reload_successful") != 1 ||
		s.metric(t, `muster_cert_expiry_timestamp_seconds{listener="mqtt"}`) != float64(stranger.Cert.NotAfter.Unix()) {
		t.Error("the metrics do not tell of the new certificate")
	}
	stays.alive(t)
	if _, told := s.log.find(0, func(l line) bool { return l.Event == "restart_needed" }); told {
		t.Error("a restart is said to be needed: the addresses are those of the command line")
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestReloadMounted swaps a folder of secrets as Kubernetes does: the files are
// links into ..data, which is a link itself and is replaced by a rename.
func TestReloadMounted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	secrets := t.TempDir()
	mount := func(version string, leaf *mint.Leaf) {
		t.Helper()
		dir := filepath.Join(secrets, version)
		mkdir(t, dir)
		writeFile(t, filepath.Join(dir, "tls.crt"), string(leaf.CertPEM()))
		writeFile(t, filepath.Join(dir, "tls.key"), string(leaf.KeyPEM()))
		if err := os.Symlink(version, filepath.Join(secrets, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(secrets, "..data_tmp"), filepath.Join(secrets, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	first, second := renewed(t), renewed(t)
	mount("..2026_01", first)
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(secrets, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.edit(t, "certificate: server.pem", "certificate: "+filepath.Join(secrets, "tls.crt"))
	s.edit(t, "key: server-key.pem", "key: "+filepath.Join(secrets, "tls.key"))
	s.edit(t, "websocket: []", "websocket: "+anyPort)
	s.start(t)
	if _, ok := s.vars["MUSTER_WEBSOCKET"]; !ok || !s.shows(t, first) {
		t.Fatal("the first certificate is not shown")
	}
	from := s.log.len()
	mount("..2026_02", second)
	s.happened(t, from, "reloaded", "file")
	if !s.shows(t, second) {
		t.Error("the second certificate is not shown")
	}
}

// TestReloadNamedLater names files that come later: when they are there, the
// server finds them by itself, though the configuration stays as it is.
func TestReloadNamedLater(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	from, leaf := s.log.len(), renewed(t)
	text := strings.Replace(readFile(t, s.config()), "certificate: server.pem", "certificate: later.pem", 1)
	replace(t, s.config(), []byte(strings.Replace(text, "key: server-key.pem", "key: later-key.pem", 1)))
	s.happened(t, from, "reload_failed", "file")
	from = s.log.len()
	replace(t, s.path("later-key.pem"), leaf.KeyPEM())
	replace(t, s.path("later.pem"), leaf.CertPEM())
	s.happened(t, from, "reloaded", "file")
	if !s.shows(t, leaf) {
		t.Error("the certificate that came later is not shown")
	}
}

// TestReloadSettings changes keys of the configuration: some take force, others
// are named, and a mistake changes nothing.
func TestReloadSettings(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	all := s.fleet(t, 2)
	s.edit(t, "level: info", "level: debug")
	s.edit(t, "keep_alive_max: 20m", "keep_alive_max: 10m")
	out := s.operator(t, "reload")
	if out.code != 0 || out.stdout != "In force now: log.level\nAfter a restart: mqtt.keep_alive_max\n" {
		t.Errorf("muster reload: %+v", out)
	}
	from := s.log.len()
	s.get(t, "/metrics")
	if conn, err := tls.Dial("tcp", strings.TrimPrefix(s.vars["AWS_ENDPOINT_URL"], "https://"), &tls.Config{}); err == nil {
		_ = conn.Close()
		t.Error("the server's certificate is trusted by this machine")
	}
	s.await(t, from, "there are lines for debugging", func(l line) bool { return strings.Contains(l.text, `"level":"debug"`) })

	s.edit(t, "connections: 100000", "connections: 2")
	if out := s.operator(t, "reload"); out.code != 0 || !strings.Contains(out.stdout, "In force now: limits.connections\n") {
		t.Errorf("muster reload: %+v", out)
	}
	from = s.log.len()
	if conn, err := net.Dial("tcp", s.vars["MUSTER_MQTT"]); err == nil {
		defer conn.Close()
	}
	s.await(t, from, "a third connection is one too many", func(l line) bool { return l.Event == "rejected" })

	// Two mistakes and one good change: nothing is taken.
	s.edit(t, "level: debug", "level: loud")
	s.edit(t, "connections: 2", "connections: 3")
	from = s.log.len()
	s.happened(t, from, "reload_failed", "file")
	fails(t, s.operator(t, "reload"), 1, "log.level", "loud")
	for _, m := range all {
		m.alive(t)
	}
}

// TestReloadWithoutServer: there is nobody to ask.
func TestReloadWithoutServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	fails(t, s.operator(t, "reload"), 1, "no server runs")
}

// TestReloadLeavesNothing reloads many times and counts goroutines and files.
func TestReloadLeavesNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	settle := func() (goroutines, files float64) {
		eventually(t, 10*time.Second, "the figures are taken", func() bool {
			goroutines, files = s.metric(t, "go_goroutines"), s.metric(t, "process_open_fds")
			return goroutines > 0
		})
		return goroutines, files
	}
	for range 10 {
		s.succeeds(t, "reload")
	}
	goroutines, files := settle()
	for range 100 {
		s.succeeds(t, "reload")
	}
	eventually(t, 10*time.Second, "no more goroutines and files than before", func() bool {
		g, f := settle()
		return g < goroutines+20 && f < files+20
	})
}
