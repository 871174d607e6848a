package e2e_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
)

// TestSyncedBeforeConnack lets a device be provisioned while strace looks on:
// the registration is on disk before the device is told that it is let in.
func TestSyncedBeforeConnack(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	trace := filepath.Join(t.TempDir(), "trace")
	s.start(t, straceFlags(trace)...)
	s.prepare(t)
	factory := newAuthority(t, "Factory CA")
	s.register(t, factory, provisioned())
	c := factory.device(t, "sensor")
	key, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := s.roots("MUSTER_CA")
	if err != nil {
		t.Fatal(err)
	}
	address := s.vars["MUSTER_MQTT"]
	d := device{name: c.name, key: key, maxVersion: tls.VersionTLS12}
	closeDevice, err := d.connect(t.Context(), address, roots)
	if err != nil {
		t.Fatal(err)
	}
	closeDevice()
	s.wantStatus(t, c, "ACTIVE")
	s.stop(t) // strace ends with it

	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := checkOrder(f, address); err != nil {
		t.Error(err)
	}
}
