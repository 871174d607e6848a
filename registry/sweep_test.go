package registry_test

import (
	"context"
	"crypto/x509/pkix"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

func (f *fixture) pendingCount(owner, authority string, want int) {
	f.Helper()
	if got := must(f.PendingCount(f.Context(), owner, authority))(f); got != want {
		f.Errorf("%d pending under %.8s of %s, want %d", got, authority, owner, want)
	}
}

func TestPendingCount(t *testing.T) {
	e := memory.New()
	f := newFixtureOn(t, e, registry.Config{})
	ca, otherCA := f.mint("One"), f.mint("Two")
	a, other := f.authority(ca), f.authority(otherCA)
	first := f.enrol(a, ca, "before it is counted")
	f.enrol(other, otherCA, "the other's")
	f.pendingCount(account, a.ID, 1)
	f.pendingCount(account, other.ID, 1)
	f.pendingCount(account2, a.ID, 0)
	second := f.enrol(a, ca, "after")
	f.enrol(a, ca, "third")
	f.pendingCount(account, a.ID, 3)
	must(f.UpdateCertificateStatus(t.Context(), account, first.ID, muster.Active))(f)
	f.pendingCount(account, a.ID, 2)
	f.ok(f.DeleteCertificate(t.Context(), account, second.ID, false))
	f.pendingCount(account, a.ID, 1)
	_, err := f.UpdateCertificateStatus(t.Context(), account, first.ID, muster.PendingActivation)
	f.is("not allowed", err, muster.ErrState)
	f.pendingCount(account, a.ID, 1)

	again, err := registry.New(registry.Config{Engine: e}) // as after a restart
	f.ok(err)
	if got := must(again.PendingCount(t.Context(), account, a.ID))(f); got != 1 {
		t.Errorf("counted anew: %d", got)
	}
}

// dawdling lets others run between the commit of an update and its return.
type dawdling struct{ registry.Engine }

func (d dawdling) Update(ctx context.Context, fn func(registry.Tx) error) error {
	err := d.Engine.Update(ctx, fn)
	for range 100 {
		runtime.Gosched()
	}
	return err
}

// However the first count falls among registrations, a registration is counted
// once: by the count or by its own update, never by both.
func TestPendingCountRace(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Race")
	a := f.authority(ca)
	const rounds, devices = 20, 8
	for round := range rounds {
		s, err := registry.New(registry.Config{Engine: dawdling{f.engine}}) // nothing is counted yet
		f.ok(err)
		var wg sync.WaitGroup
		for i := range devices {
			text := f.leaf(ca, fmt.Sprint("device-", i))
			wg.Go(func() {
				if _, err := s.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: text}); err != nil {
					t.Error(err)
				}
				if _, err := s.PendingCount(t.Context(), account, a.ID); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got, want := must(s.PendingCount(t.Context(), account, a.ID))(f), (round+1)*devices; got != want {
			t.Fatalf("%d pending, want %d", got, want)
		}
	}
}

func TestSweepPending(t *testing.T) {
	f := newFixtureOn(t, memory.New(), registry.Config{PendingTTL: time.Hour})
	ca := f.mint("Pending")
	a := f.authority(ca)
	const many = 250 // more than two batches
	var old muster.Certificate
	for i := range many {
		old = f.enrol(a, ca, fmt.Sprint("old-", i))
	}
	kept := f.enrol(a, ca, "activated")
	must(f.UpdateCertificateStatus(t.Context(), account, kept.ID, muster.Active))(f)
	f.pendingCount(account, a.ID, many)
	f.advance(59 * time.Minute)
	young := f.enrol(a, ca, "young")
	f.ok(f.Sweep(t.Context()))
	f.pendingCount(account, a.ID, many+1)
	f.advance(2 * time.Minute)
	f.ok(f.Sweep(t.Context()))
	f.pendingCount(account, a.ID, 1)
	f.step()
	for _, c := range []muster.Certificate{kept, young} {
		must(f.Certificate(t.Context(), account, c.ID))(f)
	}
	gone, tombstones, err := f.Find(t.Context(), old.ID)
	if err != nil || len(gone)+len(tombstones) != 0 {
		t.Errorf("swept: %+v, %+v, %v", gone, tombstones, err)
	}
	again := must(f.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: old.PEM}))(f)
	if again.Generation == old.Generation || again.Status != muster.PendingActivation {
		t.Errorf("back from the shelf: %+v", again)
	}
}

// A tombstone outlasts its certificate by a day, and the issuer document of a
// deleted authority goes with the last pending certificate.
func TestSweepTombstones(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Tombstones")
	a := f.authority(ca)
	leaf := must(ca.Issue(mint.Request{Subject: pkix.Name{CommonName: "short"}, NotAfter: time.Now().Add(2 * time.Hour)}))(f)
	short := must(f.RegisterCertificate(t.Context(), registry.CertificateRegistration{Account: account, PEM: string(leaf.CertPEM())}))(f)
	long := f.register(ca, "long", muster.Inactive)
	for _, c := range []muster.Certificate{short, long} {
		f.ok(f.DeleteCertificate(t.Context(), account, c.ID, false))
	}
	tombstones := func(id string) int {
		t.Helper()
		_, found, err := f.Find(t.Context(), id)
		f.ok(err)
		return len(found)
	}
	f.advance(25 * time.Hour)
	f.ok(f.Sweep(t.Context()))
	if tombstones(short.ID) != 1 || tombstones(long.ID) != 1 {
		t.Error("swept within a day of the certificate's end")
	}
	f.advance(2 * time.Hour)
	f.ok(f.Sweep(t.Context()))
	if tombstones(short.ID) != 0 || tombstones(long.ID) != 1 {
		t.Error("want the expired one swept, the other not")
	}
	f.enrol(a, ca, "pending")
	f.ok(f.setAuthority(a.ID, muster.Inactive))
	f.ok(f.DeleteAuthority(t.Context(), account, a.ID))
	must(f.Issuer(t.Context(), account, a.ID))(f)
	f.advance(31 * 24 * time.Hour)
	f.ok(f.Sweep(t.Context()))
	_, err := f.Issuer(t.Context(), account, a.ID)
	f.is("issuer after the last certificate", err, muster.ErrNotFound)
	f.step()
}

func TestAnswers(t *testing.T) {
	f := newFixture(t)
	_, err := f.Answer(t.Context(), "k")
	f.is("no answer", err, muster.ErrNotFound)
	f.is("empty answer", f.PutAnswer(t.Context(), "k", nil, time.Time{}), muster.ErrInvalid)
	f.is("oversized answer", f.PutAnswer(t.Context(), "k", make([]byte, 64<<10+1), time.Time{}), muster.ErrInvalid)
	now := time.Now()
	f.ok(f.PutAnswer(t.Context(), "k", []byte("old"), now.Add(time.Minute)))
	f.ok(f.PutAnswer(t.Context(), "k", []byte("new"), now.Add(time.Hour)))
	f.ok(f.PutAnswer(t.Context(), "revoked", []byte("for good"), time.Time{}))
	f.advance(30 * time.Minute)
	f.ok(f.Sweep(t.Context()))
	if got := must(f.Answer(t.Context(), "k"))(f); string(got) != "new" {
		t.Errorf("answer %q", got)
	}
	f.step()
	f.advance(31 * time.Minute)
	f.ok(f.Sweep(t.Context()))
	_, err = f.Answer(t.Context(), "k")
	f.is("past its time", err, muster.ErrNotFound)
	f.advance(10_000 * time.Hour)
	f.ok(f.Sweep(t.Context()))
	must(f.Answer(t.Context(), "revoked"))(f)
}

// Run sweeps at once and every minute, and ends with its context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		f.ok(f.PutAnswer(t.Context(), "at once", []byte("x"), time.Now().Add(-time.Second)))
		f.ok(f.PutAnswer(t.Context(), "later", []byte("x"), time.Now().Add(61*time.Second)))
		go func() { ended <- f.Store.Run(ctx) }()
		synctest.Wait()
		_, err := f.Answer(t.Context(), "at once")
		f.is("at once", err, muster.ErrNotFound)
		time.Sleep(61 * time.Second)
		synctest.Wait()
		must(f.Answer(t.Context(), "later"))(f)
		time.Sleep(time.Minute)
		synctest.Wait()
		_, err = f.Answer(t.Context(), "later")
		f.is("two minutes later", err, muster.ErrNotFound)
		cancel()
		f.ok(<-ended)
	})
}
