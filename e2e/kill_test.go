package e2e_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/rand/v2"
	"slices"
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
		if n := s.registrations(t); n != 0 {
			t.Errorf("%v devices were registered anew", n)
		}
	}
	t.Logf("%d of %d devices were told that they are let in; all are registered", acknowledged, killRounds*burstSize)
}

// TestOneRegistration lets one new device connect 64 times at once.
func TestOneRegistration(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.prepare(t)
	factory := newAuthority(t, "Factory CA")
	s.register(t, factory, provisioned())
	d := newDevice(t, massProduction(t, factory), "sensor")
	results := s.connectAll(t, slices.Repeat([]*device{d}, 64))
	for range 64 {
		if r := <-results; r.err != nil {
			t.Error(r.err)
		}
	}
	s.checkKept(t, []*device{d})
	if n := s.registrations(t); n != 1 {
		t.Errorf("%v registrations, want 1", n)
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

// burst lets new devices connect, kills the server when a random number of them
// is let in, and returns all that were told so.
func (s *server) burst(t *testing.T, a *mint.Authority, round int) (told []*device) {
	t.Helper()
	devices := make([]*device, burstSize)
	for i := range devices {
		devices[i] = newDevice(t, a, fmt.Sprintf("sensor-%02d-%02d", round, i))
	}
	results := s.connectAll(t, devices)
	killAt, killed := 1+rand.IntN(burstSize-1), false
	for range devices {
		r := <-results
		switch {
		case r.err == nil:
			told = append(told, r.device)
		case !killed:
			t.Errorf("%s, before the server was killed: %v", r.device.name, r.err)
		}
		if len(told) == killAt {
			s.crash()
			killed = true
		}
	}
	if !killed {
		t.Fatalf("%d devices were let in, %d were waited for", len(told), killAt)
	}
	return told
}

// connected is what became of a device's connect.
type connected struct {
	device *device
	err    error
}

// connectAll lets all connect at once, and disconnects each that was let in.
func (s *server) connectAll(t *testing.T, devices []*device) <-chan connected {
	t.Helper()
	roots, err := s.roots("MUSTER_CA")
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan connected, len(devices))
	for _, d := range devices {
		go func() {
			closeDevice, err := d.connect(t.Context(), s.vars["MUSTER_MQTT"], roots)
			if err == nil {
				defer closeDevice()
			}
			results <- connected{d, err}
		}()
	}
	return results
}

// checkKept demands that devices are registered with all that the template
// says, and that each registration in the registry is whole.
func (s *server) checkKept(t *testing.T, told []*device) {
	t.Helper()
	active := map[string]bool{}
	for _, c := range s.list(t, "/certificates", "certificates", "pageSize", "marker", "nextMarker") {
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
	results := s.connectAll(t, told)
	for range told {
		if r := <-results; r.err != nil {
			t.Errorf("%s connected again: %v", r.device.name, r.err)
		}
	}
}

// registrations returns how many the running server has made.
func (s *server) registrations(t *testing.T) float64 {
	t.Helper()
	return s.metric(t, `muster_registrations_total{outcome="active"}`)
}
