package ocsp_test

import (
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
)

func TestNonce(t *testing.T) {
	cases := []struct {
		fault              testpki.Fault
		optional, required bool // it counts
	}{
		{testpki.None, true, true},
		{testpki.StrictNonce, true, true},
		{testpki.NoNonce, true, false},
		{testpki.OtherNonce, false, false},
		{testpki.EmptyNonce, false, false},
		{testpki.LongNonce, false, false},
		{testpki.TwoNonces, false, false},
		{testpki.BareNonce, false, false},
	}
	for _, k := range cases {
		t.Run(string(k.fault), func(t *testing.T) {
			b := newBench(t)
			b.Fail(k.fault)
			c := b.client(t)
			for mode, want := range map[muster.OCSPNonce]bool{
				muster.OCSPNonceOff: true, muster.OCSPNonceOptional: k.optional, muster.OCSPNonceRequired: k.required,
			} {
				b.leaf = b.Issue(t, mint.Request{})
				a := b.ask(t, c, muster.OCSPSettings{Nonce: mode})
				if (a.Status == ocsp.Good) != want || want == (a.Fault == ocsp.FaultNonce) {
					t.Errorf("%s: %+v, want it to count: %v", mode, a, want)
				}
				b.leaf = b.Issue(t, mint.Request{})
				b.Revoke(t, b.leaf.Cert, 1)
				if a := b.ask(t, c, muster.OCSPSettings{Nonce: mode}); !a.Final() {
					t.Errorf("%s: a final revocation counts whatever its nonce: %+v", mode, a)
				}
				b.leaf = b.Issue(t, mint.Request{})
				b.Revoke(t, b.leaf.Cert, 6)
				if a := b.ask(t, c, muster.OCSPSettings{Nonce: mode}); (a.Status == ocsp.Revoked) != want {
					t.Errorf("%s: on hold: %+v, want it to count: %v", mode, a, want)
				}
			}
		})
	}
}

var required = muster.OCSPSettings{Nonce: muster.OCSPNonceRequired}

// Where a nonce is required, an answer that was had without ours is asked for
// again, and one that has it is kept in memory as any other, but not over a
// restart.
func TestNonceRequiredAndKept(t *testing.T) {
	b := newBench(t)
	b.cfg.Cache = newShelf()
	c := b.client(t)
	b.check(t, c)
	if a := b.ask(t, c, required); a.Status != ocsp.Good || known(a) {
		t.Errorf("known without a nonce: %+v", a)
	}
	if a := b.ask(t, c, required); a.Status != ocsp.Good || a.Source != ocsp.SourceMemory {
		t.Errorf("known with one: %+v", a)
	}
	c = b.client(t)
	if a := b.ask(t, c, required); a.Status != ocsp.Good || known(a) {
		t.Errorf("after a restart: %+v", a)
	}
	if got := b.Requests(); got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
	b.Fail(testpki.NoNonce)
	c = b.client(t)
	if a := b.ask(t, c, required); a.Fault != ocsp.FaultNonce {
		t.Errorf("the Cache's answer has a nonce of an earlier process: %+v", a)
	}
	if a := b.check(t, c); a.Status != ocsp.Good || !known(a) {
		t.Errorf("not required: %+v", a)
	}
}

// What is revoked stays so where a nonce is required, and no answer with one
// is to be had: for good, or on hold until that lapses.
func TestNonceRequiredAndRevoked(t *testing.T) {
	for _, reason := range []int{1, 6} {
		b := newBench(t)
		b.cfg.Cache = newShelf()
		b.Revoke(t, b.leaf.Cert, reason)
		b.check(t, b.client(t))
		b.Restore(b.leaf.Cert)
		b.Fail(testpki.NoNonce)
		c := b.client(t)
		for range 2 {
			if a := b.ask(t, c, required); a.Status != ocsp.Revoked {
				t.Errorf("reason %d: %+v", reason, a)
			}
		}
		if want := map[int]int{1: 1, 6: 2}[reason]; b.Requests() != want {
			t.Errorf("reason %d: %d requests, want %d", reason, b.Requests(), want)
		}
		b.Fail(testpki.None)
		b.clock.advance(time.Second)
		if a := b.ask(t, b.client(t), required); (a.Status == ocsp.Revoked) != (reason == 1) {
			t.Errorf("reason %d, restored: %+v", reason, a)
		}
	}
}

// An answer that is older than one known without a nonce does not count, and
// its nonce does not make the known one count either.
func TestNonceRequiredAndOlder(t *testing.T) {
	b := newBench(t)
	c := b.client(t)
	b.bring(t, c, b.longAnswer(t, testpki.Good(), b.clock.Now()))
	if a := b.ask(t, c, required); a.Fault != ocsp.FaultOutdated {
		t.Errorf("%+v", a)
	}
}
