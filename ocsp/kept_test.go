package ocsp_test

import (
	"errors"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
)

func TestCheckRemembers(t *testing.T) {
	b := newBench(t)
	c := b.client(t)
	b.check(t, c)
	if a := b.check(t, c); a.Status != ocsp.Good || !known(a) || b.Requests() != 1 {
		t.Errorf("second check: %+v after %d requests", a, b.Requests())
	}
	b.Revoke(t, b.leaf.Cert, 1)
	b.clock.advance(time.Hour - time.Second)
	if a := b.check(t, c); a.Status != ocsp.Good {
		t.Errorf("just before nextUpdate: %+v", a)
	}
	b.clock.advance(time.Second) // the check before has had it refreshed, or has it still
	if a := b.check(t, c); a.Status != ocsp.Revoked || b.Requests() != 2 {
		t.Errorf("at nextUpdate: %+v after %d requests", a, b.Requests())
	}
}

// Failures and unknown are held back for a little while only.
func TestCheckRetries(t *testing.T) {
	b := newBench(t)
	kept := newShelf()
	b.cfg.Cache = kept
	c := b.client(t)
	for i, prepare := range []func(){
		func() { b.Fail(testpki.TryLater) },
		func() { b.Fail(testpki.None); b.Forget(b.leaf.Cert) },
	} {
		prepare()
		first := b.check(t, c)
		if again := b.check(t, c); again.Status != first.Status || !known(again) || b.Requests() != i+1 {
			t.Errorf("at once: %+v after %d requests", again, b.Requests())
		}
		b.clock.advance(10 * time.Second)
	}
	if len(kept.answers) != 0 {
		t.Errorf("%d answers kept over restarts, want none", len(kept.answers))
	}
	b.Restore(b.leaf.Cert)
	if a := b.check(t, c); a.Status != ocsp.Good {
		t.Errorf("after a while: %+v", a)
	}
}

// A Client that starts with the Cache of another asks nobody, and does not
// take the Cache's word for anything.
func TestCheckAfterRestart(t *testing.T) {
	b := newBench(t)
	kept := newShelf()
	b.cfg.Cache = kept
	b.check(t, b.client(t))
	if a := b.check(t, b.client(t)); a.Status != ocsp.Good || !known(a) || b.Requests() != 1 {
		t.Errorf("after a restart: %+v after %d requests", a, b.Requests())
	}
	key := ocsp.Key(b.leaf.Cert, b.Authority.Cert)
	if want := b.clock.Now().Add(time.Hour); !kept.expires[key].Equal(want) {
		t.Errorf("kept until %v, want %v", kept.expires[key], want)
	}
	forged, err := testpki.Forge(testpki.SelfVouched, b.Authority, b.leaf, testpki.Good(), b.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	b.Revoke(t, b.leaf.Cert, 1)
	for name, der := range map[string][]byte{"forged": forged, "cut": kept.answers[key][:99], "empty": nil} {
		kept.answers[key] = der
		if a := b.check(t, b.client(t)); a.Status != ocsp.Revoked || known(a) {
			t.Errorf("%s on the disk: %+v", name, a)
		}
	}
}

func TestCheckNeverForgetsRevoked(t *testing.T) {
	b := newBench(t)
	b.cfg.Cache = newShelf()
	b.Revoke(t, b.leaf.Cert, 1)
	c := b.client(t)
	b.check(t, c)
	b.Restore(b.leaf.Cert) // a responder that would take it back
	b.clock.advance(31 * 24 * time.Hour)
	if a := b.check(t, c); !a.Final() || !known(a) {
		t.Errorf("a month later: %+v", a)
	}
	b.Stop()
	if a := b.check(t, b.client(t)); !a.Final() || !known(a) {
		t.Errorf("after a restart, the responder down: %+v", a)
	}
	if got := b.Requests(); got != 1 {
		t.Errorf("%d requests, want 1", got)
	}
	key := ocsp.Key(b.leaf.Cert, b.Authority.Cert)
	if kept := b.cfg.Cache.(*shelf).expires[key]; !kept.After(b.leaf.Cert.NotAfter) {
		t.Errorf("kept until %v, but the certificate lives until %v", kept, b.leaf.Cert.NotAfter)
	}
}

func TestCheckNeverForgetsRevokedWithoutCache(t *testing.T) {
	b := newBench(t)
	b.Revoke(t, b.leaf.Cert, 1)
	c := b.client(t)
	b.check(t, c)
	b.Restore(b.leaf.Cert)
	b.clock.advance(31 * 24 * time.Hour)
	if a := b.check(t, c); !a.Final() || !known(a) || b.Requests() != 1 {
		t.Errorf("a month later: %+v after %d requests", a, b.Requests())
	}
}

// Only the Cache knows when an answer was fetched and drops it in time, so
// memory does not hold on to what it read from there.
func TestCheckReadsCacheAgain(t *testing.T) {
	b := newBench(t)
	kept := newShelf()
	b.cfg.Cache, b.cfg.MaxAge = kept, 10*time.Minute
	b.check(t, b.client(t))
	c := b.client(t)
	if a := b.check(t, c); !known(a) {
		t.Fatalf("after a restart: %+v", a)
	}
	clear(kept.answers)
	b.clock.advance(10*time.Minute - time.Second)
	if a := b.check(t, c); !known(a) {
		t.Errorf("before MaxAge: %+v", a)
	}
	b.clock.advance(time.Second)
	if a := b.check(t, c); a.Status != ocsp.Good || known(a) {
		t.Errorf("at MaxAge: %+v", a)
	}
}

// A hold lapses as good does.
func TestCheckHoldLapses(t *testing.T) {
	b := newBench(t)
	b.cfg.Cache = newShelf()
	b.Revoke(t, b.leaf.Cert, 6)
	c := b.client(t)
	if a := b.check(t, c); !a.Hold {
		t.Fatalf("on hold: %+v", a)
	}
	b.Restore(b.leaf.Cert)
	b.clock.advance(time.Hour)
	if a := b.check(t, c); a.Status != ocsp.Good {
		t.Errorf("hold lifted: %+v", a)
	}
}

// A Cache that fails costs a question, not the answer.
func TestCheckWithoutCache(t *testing.T) {
	b := newBench(t)
	broken := newShelf()
	broken.err = errors.New("disk on fire")
	b.cfg.Cache = broken
	if a := b.check(t, b.client(t)); a.Status != ocsp.Good {
		t.Errorf("broken cache: %+v", a)
	}
}
