package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// TestKickRevokedFleet revokes all that an authority signed: its devices are
// registered and connected, and every connection is closed within five seconds.
func TestKickRevokedFleet(t *testing.T) {
	t.Parallel()
	const devices, bound = 300, 5 * time.Second
	s, factory, sessions := kickable(t, devices)
	took := s.revokeAll(t, factory, sessions)
	if len(took) != devices || took[len(took)-1] > bound {
		t.Errorf("%d connections were closed, the last after %v", len(took), took[len(took)-1])
	}
	t.Logf("in bulk: %s", quantiles(took))
	if n := s.metric(t, "muster_revocation_kick_seconds_count"); n != devices {
		t.Errorf("the metrics know of %v kicks", n)
	}
	// All but the slowest scheduler is far below: what is bounded here is the queue.
	if n := s.metric(t, "muster_revocation_kick_seconds_sum"); n > devices*bound.Seconds() {
		t.Errorf("they took %v s together", n)
	}
}

// session is a connection that does nothing, of MQTT 3.1.1 or 5.
type session struct {
	device *device
	conn   io.Closer
	ended  chan time.Time // when it was closed
}

// kickable runs a server with an authority that has so many devices connected.
func kickable(t *testing.T, n int) (*server, *authority, []*session) {
	t.Helper()
	s := startServer(t)
	s.prepare(t)
	factory := newAuthority(t, "Factory CA")
	s.register(t, factory, provisioned())
	roots, err := s.roots("MUSTER_CA")
	if err != nil {
		t.Fatal(err)
	}
	mass := massProduction(t, factory)
	sessions := make([]*session, n)
	for i := range sessions {
		sessions[i] = &session{device: newDevice(t, mass, fmt.Sprint("sensor-", i)), ended: make(chan time.Time, 1)}
	}
	var connecting sync.WaitGroup
	turns := make(chan struct{}, 16)
	for i, k := range sessions {
		turns <- struct{}{}
		connecting.Go(func() {
			defer func() { <-turns }()
			if err := k.open(t.Context(), s.vars["MUSTER_MQTT"], roots, 4+byte(i%2)); err != nil {
				t.Errorf("%s: %v", k.device.name, err)
			}
		})
	}
	connecting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() {
		for _, k := range sessions {
			_ = k.conn.Close()
		}
	})
	return s, factory, sessions
}

// open connects, and then notes when the connection ends.
func (k *session) open(ctx context.Context, address string, roots *x509.CertPool, version byte) error {
	ctx, cancel := context.WithTimeout(ctx, deviceTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{k.device.key}}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	k.conn = conn
	connect := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connect}, ProtocolVersion: version,
		Connect: packets.ConnectParams{ProtocolName: []byte("MQTT"), Clean: true, Keepalive: 600, ClientIdentifier: k.device.name},
	}
	var b bytes.Buffer
	if err := connect.ConnectEncode(&b); err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(deviceTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write(b.Bytes()); err != nil {
		return err
	}
	ack := make([]byte, 4) // type, length, flags, code
	if _, err := io.ReadFull(conn, ack); err != nil {
		return err
	}
	if ack[0] != packets.Connack<<4 || ack[3] != 0 {
		return fmt.Errorf("CONNACK % x", ack)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, conn)
		k.ended <- time.Now()
	}()
	return nil
}

// closed returns how long after a moment the connection was closed: 0 where it
// was before.
func (k *session) closed(t *testing.T, told time.Time) time.Duration {
	t.Helper()
	select {
	case at := <-k.ended:
		return max(at.Sub(told), 0)
	case <-time.After(deviceTimeout):
		t.Errorf("%s is still connected", k.device.name)
		return deviceTimeout
	}
}

// revokeAll revokes what an authority signed by muster cert revoke, and returns
// in ascending order how long after the command was told so each connection was
// closed.
func (s *server) revokeAll(t *testing.T, a *authority, sessions []*session) []time.Duration {
	t.Helper()
	told := s.toldRevoked(t, a)
	var took []time.Duration
	for _, k := range sessions {
		at, ok := told[k.device.id]
		if !ok {
			t.Fatalf("%s was not revoked", k.device.name)
		}
		took = append(took, k.closed(t, at))
	}
	slices.Sort(took)
	return took
}

// toldRevoked returns when the command was told of each certificate.
func (s *server) toldRevoked(t *testing.T, a *authority) map[string]time.Time {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Getenv(binaryVariable),
		"cert", "revoke", "--config", s.config(), "--authority", a.id, "--yes", "-o", "json")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]time.Time{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var c struct{ ID, Status, Outcome string }
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil || c.Outcome != "done" || c.Status != "REVOKED" {
			t.Errorf("muster cert revoke prints %s", lines.Bytes())
		}
		told[c.ID] = time.Now()
	}
	if err := errors.Join(cmd.Wait(), ctx.Err()); err != nil {
		t.Fatalf("muster cert revoke: %v", err)
	}
	return told
}

// quantiles tells of durations in ascending order.
func quantiles(sorted []time.Duration) string {
	at := func(percent int) time.Duration {
		return sorted[(len(sorted)-1)*percent/100].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("%d connections closed, p50 %v, p99 %v, max %v", len(sorted), at(50), at(99), at(100))
}
