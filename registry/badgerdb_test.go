package registry_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509/pkix"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
)

func openBadger(tb testing.TB, dir string) *badgerdb.Engine {
	tb.Helper()
	e, err := badgerdb.Open(badgerdb.Config{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// The rules hold on the engine of production too, and over a restart.
func TestOnBadger(t *testing.T) {
	dir := t.TempDir()
	if err := badgerdb.Create(badgerdb.Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	e := openBadger(t, dir)
	f := newFixtureOn(t, e, registry.Config{})
	ca := f.mint("Badger")
	a := f.authority(ca)
	f.policy("p")
	r := thingNamed("device")
	r.Policies = []muster.RegistrationGrant{{Name: "p"}}
	c := must(f.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, "device"), Registration: r}))(f)
	pending := f.enrol(a, ca, "pending")
	gone := f.register(ca, "gone", muster.Revoked)
	f.ok(f.DeleteCertificate(t.Context(), account, gone.ID, false))
	f.pendingCount(account, a.ID, 1)
	f.step()
	f.ok(e.Close())

	e = openBadger(t, dir)
	f.engine = e
	s, err := registry.New(registry.Config{Engine: e})
	f.ok(err)
	p := must(s.Principal(t.Context(), account, c.ID, "device"))(f)
	if p.Certificate.Status != muster.Active || p.Thing == nil || len(p.Policies) != 1 {
		t.Errorf("after a restart: %+v", p)
	}
	if n := must(s.PendingCount(t.Context(), account, a.ID))(f); n != 1 {
		t.Errorf("after a restart: %d pending", n)
	}
	list, _, err := s.ListCertificatesByAuthority(t.Context(), account, a.ID, registry.Page{})
	if err != nil || len(list) != 2 || list[0].ID != c.ID || list[1].ID != pending.ID {
		t.Errorf("after a restart: %+v, %v", list, err)
	}
	_, tombstones, err := s.Find(t.Context(), gone.ID)
	if err != nil || len(tombstones) != 1 {
		t.Errorf("after a restart: tombstones %+v, %v", tombstones, err)
	}
	f.step()
}

// BenchmarkEnrol registers new devices from 64 callers, each synced.
func BenchmarkEnrol(b *testing.B) {
	for name, registration := range map[string]*muster.Registration{
		"JITR": nil,
		"JITP": {Status: muster.Active, Policies: []muster.RegistrationGrant{{Name: "p"}}},
	} {
		b.Run(name, func(b *testing.B) { benchmarkEnrol(b, registration) })
	}
}

func benchmarkEnrol(b *testing.B, registration *muster.Registration) {
	fatal := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	fatal(badgerdb.Create(badgerdb.Config{Dir: dir}))
	e := openBadger(b, dir)
	defer e.Close()
	s, err := registry.New(registry.Config{Engine: e})
	fatal(err)
	fatal(s.CreateAccount(b.Context(), muster.Account{ID: account}))
	_, err = s.CreatePolicy(b.Context(), account, "p", allowAll, nil)
	fatal(err)
	ca, err := mint.NewAuthority("Bench")
	fatal(err)
	a, err := s.RegisterAuthority(b.Context(), registry.AuthorityRegistration{
		Account: account, PEM: string(ca.CertPEM()), Mode: muster.ModeSNIOnly, Active: true, AutoRegistration: true,
	})
	fatal(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(err)
	pems := make([]string, b.N)
	for i := range pems {
		leaf, err := ca.Issue(mint.Request{Key: key, Subject: pkix.Name{CommonName: fmt.Sprint("device-", i)}})
		fatal(err)
		pems[i] = string(leaf.CertPEM())
	}
	var next atomic.Int64
	b.SetParallelism(32) // of two processors: 64 callers
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := next.Add(1) - 1
			r := registration
			if r != nil {
				own := *r
				own.Thing = &muster.RegistrationThing{Name: fmt.Sprint("device-", i)}
				r = &own
			}
			if _, err := s.Enrol(b.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: pems[i], Registration: r}); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "registrations/s")
}
