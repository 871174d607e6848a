package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestDrain stops a server with clients of both versions: each is told, one after
// another, while monitoring hears of it and nobody new gets in.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	const n = 200 // two seconds of leave-taking
	all := s.fleet(t, n)
	device := newAuthority(t, "Workshop CA")
	s.register(t, device, provisioned())
	five, three := device.device(t, "five"), device.device(t, "three")
	modern, old := s.subscribe(t, v5, five, "commands/five"), s.subscribe(t, v3, three, "commands/three")
	asked := time.Now()
	s.signal(t, syscall.SIGTERM)
	eventually(t, 5*time.Second, "/readyz says that the server stops", func() bool {
		status, body := s.get(t, "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "the server is stopping")
	})
	if conn, err := net.Dial("tcp", s.vars["MUSTER_MQTT"]); err == nil {
		_ = conn.Close()
		t.Error("a stopping server is connected to")
	}
	if out := s.explain(t, strings.Repeat("0", 64)); !strings.Contains(out.stderr, "is not registered") {
		t.Errorf("while it drains, operators are not answered: %+v", out)
	}
	codes, apart := farewells(t, all)
	if codes[0x8B] != n {
		t.Errorf("the clients were told %v, want 0x8B", codes)
	}
	if apart < 500*time.Millisecond {
		t.Errorf("%d goodbyes came within %v: they are not spread", n, apart)
	}
	modern.await(t, "Received DISCONNECT (139)")
	if code := s.exit(t, stopTimeout); code != 0 {
		t.Errorf("exit %d", code)
	}
	if took := time.Since(asked); took > 10*time.Second {
		t.Errorf("stopping took %v: a server with few clients waits for nobody", took)
	}
	l := s.await(t, 0, "it drains", func(l line) bool { return l.Event == "draining" })
	if !strings.Contains(l.text, fmt.Sprintf(`"connections":%d`, n+2)) {
		t.Errorf("the log tells %s", l.text)
	}
	if !strings.Contains(old.printed(), "Subscribed") {
		t.Errorf("the client of 3.1.1 printed %s", old.printed())
	}
}

// TestSecondSignal: an operator who will not wait is obeyed, and the registry is
// closed all the same.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	const n = 600 // six seconds of leave-taking
	all := s.fleet(t, n)
	s.signal(t, syscall.SIGTERM)
	s.await(t, 0, "it drains", func(l line) bool { return l.Event == "draining" })
	s.signal(t, syscall.SIGINT)
	if code := s.exit(t, stopTimeout); code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	codes, apart := farewells(t, all)
	if codes[0x8B] != n {
		t.Errorf("the clients were told %v, want 0x8B", codes)
	}
	if apart > 4*time.Second {
		t.Errorf("the goodbyes were spread over %v after the second signal", apart)
	}
	s.await(t, 0, "the second signal ended it", func(l line) bool {
		return strings.HasPrefix(l.text, "muster: a second signal ended the server")
	})
	s.start(t)
	s.stop(t)
}

// TestStopInStorm stops a server while devices connect to it from all sides, for
// the first time and again.
func TestStopInStorm(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.prepare(t)
	factory := newAuthority(t, "Factory CA")
	s.register(t, factory, provisioned())
	mass := massProduction(t, factory)
	roots, err := s.roots("MUSTER_CA")
	if err != nil {
		t.Fatal(err)
	}
	var devices []*device
	for i := range 40 {
		devices = append(devices, newDevice(t, mass, fmt.Sprintf("sensor-%d", i)))
	}
	var connects atomic.Int64
	var storm sync.WaitGroup
	over := make(chan struct{})
	address := s.vars["MUSTER_MQTT"]
	for _, d := range devices {
		storm.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if leave, err := d.connect(t.Context(), address, roots); err == nil {
					connects.Add(1)
					leave()
				}
			}
		})
	}
	eventually(t, 30*time.Second, "devices get in", func() bool { return connects.Load() > 100 })
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, stopTimeout); code != 0 {
		t.Errorf("exit %d", code)
	}
	close(over)
	storm.Wait()
	s.start(t)
	s.checkKept(t, devices)
	s.stop(t)
}
