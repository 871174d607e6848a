package e2e_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// manager is the end of a socket that systemd listens on.
type manager struct {
	path string
	mu   sync.Mutex
	told []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{path: filepath.Join(t.TempDir(), "notify")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 4096); ; {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.told = append(m.told, string(b[:n]))
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return m
}

// count returns how many messages so far begin with these words.
func (m *manager) count(prefix string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, told := range m.told {
		if strings.HasPrefix(told, prefix) {
			n++
		}
	}
	return n
}

func (m *manager) await(t *testing.T, n int, prefix string) {
	t.Helper()
	eventually(t, 20*time.Second, fmt.Sprintf("systemd is told %q %d times", prefix, n), func() bool { return m.count(prefix) >= n })
}

// TestNotify is what systemd hears of a server from its start to its end.
func TestNotify(t *testing.T) {
	t.Parallel()
	m, s := newManager(t), newServer(t)
	s.start(t, "/usr/bin/env", "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=400000")
	m.await(t, 1, "READY=1\nSTATUS=serving")
	m.await(t, 3, "WATCHDOG=1")
	s.signal(t, syscall.SIGHUP)
	m.await(t, 1, "RELOADING=1\nMONOTONIC_USEC=")
	m.await(t, 2, "READY=1")
	s.stop(t)
	m.await(t, 1, "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000\nSTATUS=stopping")
	if n := m.count("READY=1"); n != 2 {
		t.Errorf("systemd was told READY=1 %d times, want 2", n)
	}
}

const unitFile = "../deploy/systemd/muster.service"

// TestUnit has systemd's own tools read the unit: it has no mistake, and leaves
// a service little to do harm with.
func TestUnit(t *testing.T) {
	t.Parallel()
	// Where the program lies here.
	unit := strings.ReplaceAll(readFile(t, unitFile), "/usr/local/bin/muster", os.Getenv(binaryVariable))
	path := writeFile(t, filepath.Join(t.TempDir(), "muster.service"), unit)
	if out := command(t, os.Environ(), "systemd-analyze", "verify", path); out.code != 0 || strings.Contains(out.stderr, path) {
		t.Errorf("systemd-analyze verify: %+v", out)
	}
	// Go reads there how long the queue of a listener may be, and the metrics when
	// the process started.
	if strings.Contains(unit, "\nProcSubset=") {
		t.Error("the unit hides /proc/sys and /proc/stat from the server")
	}
	const threshold = 15 // tenths; an ordinary service has 96
	out := command(t, os.Environ(), "systemd-analyze", "security", "--offline=true", fmt.Sprintf("--threshold=%d", threshold), path)
	if out.code != 0 {
		t.Errorf("systemd-analyze security: %s%s", out.stdout, out.stderr)
	}
}

// TestUnitAllows runs a server through its life on a root that it cannot write
// to, without any capability, under strace: it makes no system call that the
// unit's SystemCallFilter forbids, and no memory that is both written to and
// executed, which MemoryDenyWriteExecute forbids.
func TestUnitAllows(t *testing.T) {
	t.Parallel()
	allowed := systemCalls(t, "@system-service")
	for _, group := range []string{"@privileged", "@resources"} {
		for name := range systemCalls(t, group) {
			delete(allowed, name)
		}
	}
	s := newServer(t)
	trace := filepath.Join(t.TempDir(), "trace")
	s.start(t, "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/home", "--bind", s.dir, s.dir,
		"--bind", filepath.Dir(trace), filepath.Dir(trace), "--unshare-user", "--cap-drop", "ALL", "--die-with-parent",
		"strace", "-f", "-qq", "-e", "signal=none", "-o", trace)
	all := s.fleet(t, 3)
	all[0].alive(t)
	s.succeeds(t, "reload")
	s.succeeds(t, "backup", filepath.Join(t.TempDir(), "backup.gz"))
	s.signalInside(t, syscall.SIGTERM)
	if code := s.exit(t, stopTimeout); code != 0 {
		t.Errorf("exit %d", code)
	}
	seen := map[string]bool{}
	for text := range strings.Lines(readFile(t, trace)) {
		m := traced.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		seen[m[1]] = true
		if strings.Contains(text, "PROT_WRITE|PROT_EXEC") {
			t.Errorf("the server makes memory that is written to and executed: %s", text)
		}
	}
	if !seen["accept4"] || !seen["mmap"] {
		t.Fatalf("the trace has not all that a server does: %v", seen)
	}
	for name := range seen {
		if !allowed[name] && name != "execve" { // of strace itself
			t.Errorf("the unit forbids %s", name)
		}
	}
}

// traced is a line of strace: a process, a call.
var traced = regexp.MustCompile(`^\d+ +(?:<\.\.\. )?([a-z0-9_]+)[( ]`)

// systemCalls are those of a group, and of the groups in it.
func systemCalls(t *testing.T, group string) map[string]bool {
	t.Helper()
	out := command(t, os.Environ(), "systemd-analyze", "syscall-filter", group)
	if out.code != 0 {
		t.Fatalf("systemd-analyze: %+v", out)
	}
	calls := map[string]bool{}
	for text := range strings.Lines(out.stdout) {
		switch name := strings.TrimSpace(text); {
		case !strings.HasPrefix(text, " "), strings.HasPrefix(name, "#"):
		case strings.HasPrefix(name, "@"):
			maps.Copy(calls, systemCalls(t, name))
		default:
			calls[name] = true
		}
	}
	return calls
}

// signalInside sends a signal to the server that runs as the last of a line of
// programs, each of which has one child.
func (s *server) signalInside(t *testing.T, sig syscall.Signal) {
	t.Helper()
	strace := child(t, s.cmd.Process.Pid)
	if err := syscall.Kill(child(t, strace), sig); err != nil {
		t.Fatal(err)
	}
}
