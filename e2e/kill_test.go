package e2e_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
)

const (
	killRounds = 20
	burstSize  = 40 // devices that connect for the first time, at once
)

// TestKill kills the server in the middle of a burst of first connects, again
// and again: whoever was told that it is let in is registered, wholly, and
// nobody is registered by halves.
func TestKill(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.prepare(t)
	factory := newAuthority(t, "Factory CA")
	s.register(t, factory, provisioned())
	mass := massProduction(t, factory)

	acknowledged := 0
	for round := range killRounds {
		told := s.burst(t, mass, round)
		acknowledged += len(told)
		s.start(t)
		s.checkKept(t, told)
		if n := s.metric(t, `muster_registrations_total{outcome="active"}`); n != 0 {
			t.Errorf("%v devices were registered anew", n)
		}
	}
	if acknowledged == 0 {
		t.Error("no device was let in before the server was killed: the test shows nothing")
	}
	t.Logf("%d of %d devices were told that they are let in; all are registered", acknowledged, killRounds*burstSize)
}

// TestOneRegistration lets 64 clients with one new certificate connect at once.
func TestOneRegistration(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.prepare(t)
	factory := newAuthority(t, "Factory CA")
	s.register(t, factory, provisioned())
	d := newDevice(t, massProduction(t, factory), "sensor")
	clients := make([]*device, 64)
	for i := range clients {
		clients[i] = &device{name: fmt.Sprintf("sensor:%d", i), key: d.key}
	}
	s.admitAll(t, clients)
	s.checkKept(t, []*device{d})
	if all := s.certificates(t); len(all) != 1 {
		t.Errorf("certificates %v, want one", all)
	}
}

// massProduction lets this process sign with the key that openssl made.
func massProduction(t *testing.T, a *authority) *mint.Authority {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return &mint.Authority{Cert: leaf, Key: pair.PrivateKey.(crypto.Signer)}
}

func newDevice(t *testing.T, a *mint.Authority, name string) *device {
	t.Helper()
	leaf, err := a.Issue(mint.Request{Subject: pkix.Name{CommonName: name}})
	if err != nil {
		t.Fatal(err)
	}
	return &device{name: name, key: leaf.TLS(), id: muster.Fingerprint(leaf.Cert.Raw)}
}

// burst lets new devices connect, kills the server when a random number of steps
// is done, and returns all that were told that they are let in.
func (s *server) burst(t *testing.T, a *mint.Authority, round int) (told []*device) {
	t.Helper()
	devices := make([]*device, burstSize)
	for i := range devices {
		devices[i] = newDevice(t, a, fmt.Sprintf("sensor-%02d-%02d", round, i))
	}
	killAt, done := 1+rand.IntN(2*burstSize-1), 0
	s.connectAll(t, devices, func(p progress) {
		switch {
		case p.ended && p.err == nil:
			told = append(told, p.device)
		case p.ended && done < killAt:
			t.Errorf("%s, before the server was killed: %v", p.device.name, p.err)
		}
		if done++; done == killAt {
			s.crash()
		}
	})
	if done < killAt {
		t.Fatalf("%d steps were done, %d were waited for", done, killAt)
	}
	return told
}

// progress is a step of a device's connect: it is about to send CONNECT, or it
// has ended.
type progress struct {
	device *device
	ended  bool
	err    error // nil: it was let in
}

// connectAll lets all connect at once, disconnects each that was let in, and
// tells each step.
func (s *server) connectAll(t *testing.T, devices []*device, each func(progress)) {
	t.Helper()
	roots, err := s.roots("MUSTER_CA")
	if err != nil {
		t.Fatal(err)
	}
	steps := make(chan progress, 2*len(devices))
	for _, d := range devices {
		one := *d
		one.secured = func() { steps <- progress{device: d} }
		go func() {
			closeDevice, err := one.connect(t.Context(), s.vars["MUSTER_MQTT"], roots)
			if err == nil {
				defer closeDevice()
			}
			steps <- progress{d, true, err}
		}()
	}
	for left := len(devices); left > 0; {
		p := <-steps
		if p.ended {
			left--
		}
		each(p)
	}
}

// admitAll demands that all are let in.
func (s *server) admitAll(t *testing.T, devices []*device) {
	t.Helper()
	s.connectAll(t, devices, func(p progress) {
		if p.err != nil {
			t.Errorf("%s: %v", p.device.name, p.err)
		}
	})
}

// checkKept demands that devices are registered with all that the template
// says, and that each registration in the registry is whole.
func (s *server) checkKept(t *testing.T, told []*device) {
	t.Helper()
	active := map[string]bool{}
	for _, c := range s.certificates(t) {
		id, _ := c["certificateId"].(string)
		active[id] = c["status"] == "ACTIVE"
		if !active[id] {
			t.Errorf("certificate %s is %v", id, c["status"])
		}
	}
	things := map[string]bool{}
	for _, c := range s.list(t, "/things", "things", "maxResults", "nextToken", "nextToken") {
		name, _ := c["thingName"].(string)
		things[name] = c["thingTypeName"] == "sensor"
	}
	if len(things) != len(active) {
		t.Errorf("%d certificates and %d things", len(active), len(things))
	}
	for _, d := range told {
		if !active[d.id] || !things[d.name] {
			t.Errorf("%s was let in and then forgotten: active %v, thing %v", d.name, active[d.id], things[d.name])
		}
	}
	// That the policy is attached shows when they connect, which registers nobody.
	s.admitAll(t, told)
}

func (s *server) certificates(t *testing.T) []object {
	t.Helper()
	return s.list(t, "/certificates", "certificates", "pageSize", "marker", "nextMarker")
}
