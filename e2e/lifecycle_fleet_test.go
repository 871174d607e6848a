package e2e_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// member is a connected client of MQTT 5 that notes how its connection ends.
type member struct {
	*paho.Client
	ended chan struct{} // closed when it has ended
	code  byte          // of the server's DISCONNECT; 0: none came
	at    time.Time
	name  string
}

// fleet connects n clients with the certificate of a device that is registered
// by it. Each leaves a will of its own.
func (s *server) fleet(t *testing.T, n int) []*member {
	t.Helper()
	s.prepare(t)
	factory := newAuthority(t, "Factory CA")
	s.register(t, factory, provisioned())
	d := newDevice(t, massProduction(t, factory), "sensor")
	all := make([]*member, n)
	for i := range all {
		var err error
		if all[i], err = s.join(t.Context(), d, fmt.Sprintf("sensor:%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// join connects one client of a device.
func (s *server) join(ctx context.Context, d *device, clientID string) (*member, error) {
	roots, err := s.roots("MUSTER_CA")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, deviceTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{d.key}}}
	conn, err := dialer.DialContext(ctx, "tcp", s.vars["MUSTER_MQTT"])
	if err != nil {
		return nil, err
	}
	m := &member{ended: make(chan struct{}), name: clientID}
	end := func(code byte) func() {
		return func() { m.code, m.at = code, time.Now(); close(m.ended) }
	}
	var once sync.Once
	m.Client = paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn), PacketTimeout: deviceTimeout,
		OnServerDisconnect: func(d *paho.Disconnect) { once.Do(end(d.ReasonCode)) },
		OnClientError:      func(error) { once.Do(end(0)) },
	})
	if _, err := m.Connect(ctx, &paho.Connect{ClientID: clientID, KeepAlive: 600, CleanStart: true}); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return m, nil
}

// farewells waits until all have ended, and returns how many were told each
// code, and the time between the first and the last.
func farewells(t *testing.T, all []*member) (codes map[byte]int, apart time.Duration) {
	t.Helper()
	codes = map[byte]int{}
	late := time.After(stopTimeout)
	var first, last time.Time
	for _, m := range all {
		select {
		case <-m.ended:
		case <-late:
			t.Fatalf("%v after the signal, clients are still connected", stopTimeout)
		}
		codes[m.code]++
		if first.IsZero() || m.at.Before(first) {
			first = m.at
		}
		if m.at.After(last) {
			last = m.at
		}
	}
	return codes, last.Sub(first)
}

// signal sends a signal to the server.
func (s *server) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the end of the server and returns its exit code.
func (s *server) exit(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(within):
		t.Fatalf("the server still runs after %v", within)
	}
	return s.cmd.ProcessState.ExitCode()
}
