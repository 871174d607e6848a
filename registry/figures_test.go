package registry_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
)

// figures compares the figures kept with a look at every certificate.
func (f *fixture) figures() {
	f.Helper()
	want := map[muster.Status]int{
		muster.Active: 0, muster.Inactive: 0, muster.Revoked: 0, muster.PendingTransfer: 0, muster.PendingActivation: 0,
	}
	for _, owner := range []string{account, account2} {
		list, _, err := f.ListCertificates(f.Context(), owner, registry.Page{Limit: 1000})
		f.ok(err)
		for _, c := range list {
			want[c.Status]++
		}
	}
	if got, ok := f.CertificateFigures(); !ok || !maps.Equal(got, want) {
		f.Errorf("figures %v (%v), want %v", got, ok, want)
	}
}

func TestCertificateFigures(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Figures")
	a := f.authority(ca)
	f.register(ca, "before", muster.Active)
	f.enrol(a, ca, "before, pending")
	if figures, ok := f.CertificateFigures(); ok {
		t.Errorf("before the count: %v", figures)
	}
	f.ok(f.CountAll(t.Context()))
	f.figures()
	f.ok(f.CountAll(t.Context())) // once is enough
	f.figures()

	c := f.register(ca, "after", muster.Inactive)
	f.figures()
	_, err := f.UpdateCertificateStatus(t.Context(), account, c.ID, muster.Active)
	f.ok(err)
	f.figures()
	_, err = f.UpdateCertificateStatus(t.Context(), account, c.ID, muster.Active) // changes nothing
	f.ok(err)
	f.figures()
	f.ok(f.Revoke(t.Context(), account, c.ID))
	f.figures()
	if _, err := f.UpdateCertificateStatus(t.Context(), account, c.ID, muster.Active); err == nil {
		t.Error("a revoked certificate became active")
	}
	f.figures()
	f.ok(f.DeleteCertificate(t.Context(), account, c.ID, false))
	f.figures()
	f.enrol(a, ca, "pending")
	f.figures()
	f.policy("p")
	r := thingNamed("device")
	r.Policies = []muster.RegistrationGrant{{Name: "p"}}
	must(f.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, "device"), Registration: r}))(f)
	f.figures()
	f.advance(31 * 24 * time.Hour)
	f.ok(f.Sweep(t.Context()))
	f.figures()
	f.step()
}

// A count that begins while certificates are registered misses none of them and
// counts none twice.
func TestCountWhileWriting(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Busy")
	a := f.authority(ca)
	pems := make([]string, 200)
	for i := range pems {
		pems[i] = f.leaf(ca, fmt.Sprint("device-", i))
	}
	var devices sync.WaitGroup
	half := make(chan struct{})
	for i, pem := range pems {
		devices.Go(func() {
			if _, err := f.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: pem}); err != nil {
				t.Error(err)
			}
			if i == len(pems)/2 {
				close(half)
			}
		})
	}
	<-half
	f.ok(f.CountAll(t.Context()))
	devices.Wait()
	f.figures()
}

func TestAuthorityFigures(t *testing.T) {
	f := newFixture(t)
	want := func(active, inactive int) {
		t.Helper()
		got := must(f.AuthorityFigures(t.Context()))(f)
		if got[muster.Active] != active || got[muster.Inactive] != inactive || len(got) != 2 {
			t.Errorf("figures %v, want %d active and %d inactive", got, active, inactive)
		}
	}
	want(0, 0)
	a := f.authority(f.mint("One"))
	want(1, 0)
	f.authority(f.mint("Two"))
	want(2, 0)
	inactive := muster.Inactive
	must(f.UpdateAuthority(t.Context(), account, a.ID, registry.AuthorityUpdate{Status: &inactive}))(f)
	want(1, 1)
	f.ok(f.DeleteAuthority(t.Context(), account, a.ID))
	want(1, 0)
}

func TestPendingHighest(t *testing.T) {
	f := newFixture(t)
	one, two := f.mint("One"), f.mint("Two")
	a, b := f.authority(one), f.authority(two)
	f.enrol(a, one, "1")
	f.enrol(b, two, "2")
	f.enrol(b, two, "3")
	f.pendingCount(account, a.ID, 1)
	if n := f.PendingHighest(); n != 2 {
		t.Errorf("the highest figure is %d, want 2", n)
	}
}

// stuck is an engine whose writer takes no turn.
type stuck struct{ registry.Engine }

func (stuck) Update(ctx context.Context, _ func(registry.Tx) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestBeat(t *testing.T) {
	f := newFixture(t)
	before := f.seq()
	f.ok(f.Beat(t.Context()))
	if f.seq() != before {
		t.Error("a beat wrote something")
	}
	s := must(registry.New(registry.Config{Engine: stuck{f.engine}}))(f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s.Beat(ctx) == nil {
		t.Error("a writer that hangs beats")
	}
}

// BenchmarkCountCertificates counts those of a registry on disk, and says how
// long a registration beside it waits.
func BenchmarkCountCertificates(b *testing.B) {
	const devices = 1_000_000
	dir := b.TempDir()
	if err := badgerdb.Create(badgerdb.Config{Dir: dir}); err != nil {
		b.Fatal(err)
	}
	e := openBadger(b, dir)
	defer e.Close()
	fillIndex(b, e, devices)
	var longest time.Duration
	for b.Loop() {
		s, err := registry.New(registry.Config{Engine: e})
		if err != nil {
			b.Fatal(err)
		}
		counted := make(chan error, 1)
		go func() { counted <- s.CountAll(b.Context()) }()
		for done := false; !done; {
			select {
			case err := <-counted:
				if err != nil {
					b.Fatal(err)
				}
				done = true
			default:
				begun := time.Now()
				if err := s.Beat(b.Context()); err != nil {
					b.Fatal(err)
				}
				longest = max(longest, time.Since(begun))
				time.Sleep(time.Millisecond)
			}
		}
		if figures, _ := s.CertificateFigures(); figures[muster.Active] != devices {
			b.Fatalf("counted %v", figures)
		}
	}
	b.ReportMetric(float64(longest.Microseconds()), "µs-longest-turn")
}

// fillIndex writes documents that have of a certificate what its index entries
// are made of.
func fillIndex(b *testing.B, e registry.Engine, devices int) {
	b.Helper()
	update := func(fn func(registry.Tx) error) {
		b.Helper()
		if err := e.Update(b.Context(), fn); err != nil {
			b.Fatal(err)
		}
	}
	text := fmt.Sprintf(`{"id":%q}`, account)
	update(func(t registry.Tx) error {
		return t.Put(registry.KindAccount, registry.Doc{ID: account, JSON: []byte(text)})
	})
	for at := 0; at < devices; at += 500 {
		update(func(t registry.Tx) error {
			for i := at; i < at+500; i++ {
				doc := fmt.Appendf(nil, `{"account":%q,"id":"%064x","status":"ACTIVE","pem":"%0600d"}`, account, i*2654435761, i)
				id, entries, err := registry.Index(registry.KindCert, doc)
				if err == nil {
					err = t.Put(registry.KindCert, registry.Doc{ID: id, JSON: doc, Index: entries})
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
}
