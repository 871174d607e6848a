package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	commandTimeout = time.Minute      // of one command
	buildTimeout   = 15 * time.Minute // of one that compiles
	stopTimeout    = 20 * time.Second // of a server
	anyPort        = "127.0.0.1:0"
)

// ended is what a command that ran to its end left behind.
type ended struct {
	code           int
	stdout, stderr string
}

// command runs a program to its end. An exit code is a result, not a failure.
func command(t *testing.T, env []string, name string, args ...string) ended {
	t.Helper()
	return commandWithin(t, commandTimeout, env, name, args...)
}

func commandWithin(t *testing.T, limit time.Duration, env []string, name string, args ...string) ended {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = env, &stdout, &stderr, time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %s: %v %v\n%s%s", name, strings.Join(args, " "), err, ctx.Err(), &stdout, &stderr)
	}
	return ended{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func program(t *testing.T, args ...string) ended {
	t.Helper()
	return command(t, nil, os.Getenv(binaryVariable), args...)
}

// server is a directory that muster init made, and the process that serves it.
type server struct {
	dir  string
	vars map[string]string // what muster env exports
	mqtt []string          // where it listens for MQTT; nil for one free port
	*process
}

// process is one run of muster serve.
type process struct {
	cmd   *exec.Cmd
	log   *logbook
	ended chan struct{} // closed when the process has ended
	err   error         // how it ended; set before ended is closed
}

// newServer makes a directory. It starts nothing.
func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{dir: filepath.Join(t.TempDir(), "muster")}
	if out := program(t, "init", "--dir", s.dir); out.code != 0 {
		t.Fatalf("muster init: %+v", out)
	}
	return s
}

func startServer(t *testing.T) *server {
	t.Helper()
	s := newServer(t)
	s.start(t)
	return s
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }
func (s *server) config() string          { return s.path("muster.yaml") }

// start runs the server on free ports, under another program if one is given,
// and returns when it listens.
func (s *server) start(t *testing.T, under ...string) {
	t.Helper()
	args := append(under, os.Getenv(binaryVariable), "serve", "--config", s.config(),
		"--api", anyPort, "--http", anyPort, "--mqtt", anyPort)
	if s.mqtt != nil {
		args[len(args)-1] = strings.Join(s.mqtt, ",")
	}
	p := &process{cmd: exec.Command(args[0], args[1:]...), log: &logbook{}, ended: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.log.fill(stderr)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended already, where the test went well
		<-p.ended
		if t.Failed() {
			t.Logf("log of the server:\n%s", p.log.text())
		}
	})
	s.process = p
	s.await(t, 0, "it listens", func(l line) bool { return l.Event == "listening" })
	s.vars = s.env(t)
}

// await waits for a line of the log, beginning with the one of that number.
func (s *server) await(t *testing.T, from int, what string, is func(line) bool) line {
	t.Helper()
	var found line
	eventually(t, 10*time.Second, "the log tells that "+what, func() (ok bool) {
		if found, ok = s.log.find(from, is); ok {
			return true
		}
		select {
		case <-s.ended:
			t.Fatalf("the server ended: %v", s.err)
		default:
		}
		return false
	})
	return found
}

var export = regexp.MustCompile(`^export ([A-Z_]+)='([^']*)'$`)

// env reads what muster env prints, and demands that it is nothing else than
// what a shell may evaluate.
func (s *server) env(t *testing.T) map[string]string {
	t.Helper()
	out := program(t, "env", "--config", s.config())
	if out.code != 0 || out.stderr != "" {
		t.Fatalf("muster env: %+v", out)
	}
	vars := map[string]string{}
	for text := range strings.Lines(out.stdout) {
		m := export.FindStringSubmatch(strings.TrimSuffix(text, "\n"))
		if m == nil {
			t.Fatalf("muster env prints %q", text)
		}
		vars[m[1]] = m[2]
	}
	return vars
}

// stop ends the server as an init system does and demands that it ends well.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(stopTimeout):
		t.Fatalf("the server still runs %v after SIGTERM", stopTimeout)
	}
	if s.err != nil {
		t.Fatalf("the server ended by SIGTERM: %v", s.err)
	}
}

// crash ends the server as a power cut does, as far as a process can tell.
func (s *server) crash() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// explain asks the program about a certificate.
func (s *server) explain(t *testing.T, what string) ended {
	t.Helper()
	return program(t, "explain", "--config", s.config(), what)
}
