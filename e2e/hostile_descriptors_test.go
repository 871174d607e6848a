package e2e_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// dial opens connections that say nothing, and closes them with the test.
func (s *server) dial(t *testing.T, count int) []net.Conn {
	t.Helper()
	all := make([]net.Conn, 0, count)
	t.Cleanup(func() {
		for _, conn := range all {
			_ = conn.Close()
		}
	})
	dialer := net.Dialer{Timeout: deviceTimeout}
	for range count {
		conn, err := dialer.DialContext(t.Context(), "tcp", s.vars["MUSTER_MQTT"])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, conn)
	}
	return all
}

// TestNoDescriptors takes every descriptor that the program may have. While none
// is free it keeps its listeners and says so now and then; afterwards it serves
// as before.
func TestNoDescriptors(t *testing.T) {
	t.Parallel()
	const most = 300
	s := newServer(t)
	s.start(t, "env", "MUSTER_MQTT_HANDSHAKE_TIMEOUT=5m")
	good := s.neighbours(t, 1)[0]
	c := s.registered(t, "late", statements(neighbourPolicy))
	complaints := func() (n int) {
		s.log.mu.Lock()
		defer s.log.mu.Unlock()
		for _, l := range s.log.lines {
			if strings.Contains(l.text, "too many open files") {
				n++
			}
		}
		return n
	}

	// At its start it would have kept some back: limits.connections would be met.
	if out := command(t, nil, "prlimit", "--pid", strconv.Itoa(s.cmd.Process.Pid), fmt.Sprintf("--nofile=%d:%[1]d", most)); out.code != 0 {
		t.Fatalf("prlimit: %+v", out)
	}
	idle := s.dial(t, most) // those that are not accepted wait in the kernel
	eventually(t, stopTimeout, "descriptors run out", func() bool { return complaints() > 0 })
	begun, had := time.Now(), complaints()
	eventually(t, stopTimeout, "it tries again", func() bool { return complaints() >= had+3 })
	if grown, took := complaints()-had, time.Since(begun); float64(grown) > 20+10*took.Seconds() {
		t.Errorf("%d lines in the log in %v", grown, took)
	}
	if err := good.message("meanwhile"); err != nil {
		t.Errorf("who was connected: %v", err)
	}
	for _, conn := range idle {
		_ = conn.Close()
	}
	s.admit(t, v5, c)
	if status, body := s.get(t, "/livez"); status != 200 {
		t.Errorf("/livez answers %d %q", status, body)
	}
	s.call(t, "GET", "/certificates/"+c.id, nil, nil)
	if err := good.message("after"); err != nil {
		t.Errorf("who was connected: %v", err)
	}
}

// TestHalfOpenHandshakes opens thousands of connections that begin TLS, or do
// not even that, from another process than the program's. Known devices go on
// and come; when the time for a handshake is up, nothing of the others is left.
func TestHalfOpenHandshakes(t *testing.T) {
	t.Parallel()
	const many = 3000
	s := newServer(t)
	s.start(t, "env", "MUSTER_LIMITS_CONNECTS_PER_ADDRESS=100000", "MUSTER_LIMITS_CONNECTS=100000")
	good := s.neighbours(t, 1)[0]
	c := s.registered(t, "known", statements(neighbourPolicy))
	before := s.figures(t)
	for i, conn := range s.dial(t, many) {
		if i%2 == 0 {
			_, _ = conn.Write([]byte{0x16, 0x03, 0x01, 0x01, 0x00, 0x01})
		}
	}
	eventually(t, stopTimeout, "they are all there", func() bool { return s.metric(t, "muster_connections") > many })
	if err := good.message("meanwhile"); err != nil {
		t.Errorf("who was connected: %v", err)
	}
	for _, version := range []string{v3, v5} {
		s.admit(t, version, c)
	}
	eventually(t, time.Minute, "they are all gone", func() bool {
		f := s.figures(t)
		return f.connections <= before.connections && f.goroutines <= before.goroutines+50
	})
	if err := good.message("after"); err != nil {
		t.Errorf("who was connected: %v", err)
	}
}
