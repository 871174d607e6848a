package registry_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
	"github.com/muster-mqtt/muster/registry/memory"
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

// watched is an engine that tells a test where it is.
type watched struct {
	registry.Engine
	committed func() // after the commit of an update, before that returns
	listing   func() // in a view, when it is about to list
	failed    error  // of an update whose closure did not fail
}

func (w *watched) Update(ctx context.Context, fn func(registry.Tx) error) error {
	err := w.Engine.Update(ctx, func(t registry.Tx) error {
		if err := fn(t); err != nil {
			return err
		}
		return w.failed
	})
	if w.committed != nil {
		w.committed()
	}
	return err
}

func (w *watched) View(ctx context.Context, fn func(registry.Reader) error) error {
	return w.Engine.View(ctx, func(r registry.Reader) error { return fn(watchedReader{r, w}) })
}

type watchedReader struct {
	registry.Reader
	engine *watched
}

func (r watchedReader) List(k registry.Kind, q registry.Query) ([]registry.Doc, registry.Cursor, error) {
	if listing := r.engine.listing; listing != nil && k == registry.KindCert {
		r.engine.listing = nil
		listing()
	}
	return r.Reader.List(k, q)
}

// A certificate that is registered while the others are counted is not in their
// state, and is added.
func TestRegisteredDuringCount(t *testing.T) {
	w := &watched{Engine: memory.New()}
	f := newFixtureOn(t, w, registry.Config{})
	ca := f.mint("Busy")
	f.authority(ca)
	f.register(ca, "before", muster.Active)
	w.listing = func() { f.register(ca, "during", muster.Active) }
	f.ok(f.CountAll(t.Context()))
	if w.listing != nil {
		t.Error("nothing was counted")
	}
	f.figures()
}

// One that is on disk and not added yet holds the count up until it is: else it
// would be counted and added.
func TestRegisteredBeforeCount(t *testing.T) {
	w := &watched{Engine: memory.New()}
	f := newFixtureOn(t, w, registry.Config{})
	ca := f.mint("Busy")
	f.authority(ca)
	counted := make(chan error, 1)
	w.committed = func() {
		w.committed = nil
		go func() { counted <- f.CountAll(t.Context()) }()
		select {
		case err := <-counted:
			counted <- err // too early
		case <-time.After(50 * time.Millisecond):
		}
	}
	f.register(ca, "before", muster.Active)
	f.ok(<-counted)
	f.figures()
}

// What fails after it was written within its transaction is not counted.
func TestFailedUpdateIsNotCounted(t *testing.T) {
	w := &watched{Engine: memory.New()}
	f := newFixtureOn(t, w, registry.Config{})
	ca := f.mint("Failing")
	f.authority(ca)
	f.ok(f.CountAll(t.Context()))
	w.failed = errors.New("no space left")
	if _, err := f.RegisterCertificate(t.Context(), registry.CertificateRegistration{Account: account, PEM: f.leaf(ca, "lost")}); err == nil {
		t.Error("the certificate was registered")
	}
	w.failed = nil
	f.figures()
}

// TestFiguresOfManyAtOnce: whatever is done to certificates by several at once,
// while they are counted and after, the figures are what a look at each gives.
func TestFiguresOfManyAtOnce(t *testing.T) { onBothEngines(t, testFiguresOfManyAtOnce) }

func testFiguresOfManyAtOnce(f *fixture) {
	ca := f.mint("Many")
	a := f.authority(ca)
	var texts, ids []string
	for i := range 12 {
		texts = append(texts, f.leaf(ca, fmt.Sprint(i)))
		ids = append(ids, fingerprint(f.T, texts[i]))
	}
	var all sync.WaitGroup
	for n := range 6 {
		random := rand.New(rand.NewPCG(4, uint64(n)))
		all.Go(func() {
			for range 60 {
				f.anything(random, a.ID, texts, ids)
			}
		})
	}
	all.Go(func() {
		if err := f.CountAll(f.Context()); err != nil {
			f.Error(err)
		}
	})
	all.Go(func() { _, _ = f.PendingCount(f.Context(), account, a.ID) })
	all.Wait()
	f.figures()
	waiting, _, err := f.ListCertificatesByStatus(f.Context(), account, muster.PendingActivation, registry.Page{Limit: 100})
	f.ok(err)
	f.pendingCount(account, a.ID, len(waiting))
	f.step()
}

// anything does one thing to some of the certificates; that they are in no state
// for it is as good.
func (f *fixture) anything(random *rand.Rand, authority string, texts, ids []string) {
	ctx, i := f.Context(), random.IntN(len(ids))
	statuses := []muster.Status{muster.Active, muster.Inactive, muster.Revoked}
	status := statuses[random.IntN(len(statuses))]
	switch random.IntN(8) {
	case 0, 1:
		_, _ = f.Enrol(ctx, muster.Enrolment{Account: account, AuthorityID: authority, PEM: texts[i]})
	case 2:
		_, _ = f.RegisterCertificate(ctx, registry.CertificateRegistration{Account: account, PEM: texts[i], Status: status})
	case 3:
		_, _ = f.UpdateCertificateStatus(ctx, account, ids[i], status)
	case 4:
		_ = f.Revoke(ctx, account, ids[i])
	case 5:
		_ = f.DeleteCertificate(ctx, account, ids[i], true)
		_ = f.ForgetCertificate(ctx, account, ids[i])
	case 6:
		_, _ = f.Settle(ctx, account, ids[i:], registry.Settlement{Status: status})
	case 7:
		_, _ = f.Settle(ctx, account, ids[i:], registry.Settlement{Delete: true})
		_ = f.Sweep(ctx)
	}
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
	broken := memory.New()
	broken.Fail(errors.New("no space left"))
	s = must(registry.New(registry.Config{Engine: broken}))(f)
	f.ok(s.Beat(t.Context())) // it says itself that it writes no more
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
