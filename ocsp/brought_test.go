package ocsp_test

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
)

// response is what the device of the bench could have with it: an answer made
// some time ago.
func (b *bench) response(t *testing.T, f testpki.Fault, status asn1.RawValue, ago time.Duration) []byte {
	t.Helper()
	der, err := testpki.Forge(f, b.Authority, b.leaf, status, b.clock.Now().Add(-ago))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// bring checks the bench's device with what it has with it.
func (b *bench) bring(t *testing.T, c *ocsp.Client, der []byte) ocsp.Answer {
	t.Helper()
	return c.Check(t.Context(), ocsp.Question{Leaf: b.leaf.Cert, Issuer: b.Authority.Cert, Brought: der})
}

// What a device brings spares the round trip, and is kept as any other.
func TestBrought(t *testing.T) {
	b, r := newBench(t), newRecord()
	b.cfg.Observe, b.cfg.Cache = r.observe, newShelf()
	b.Stop()
	c := b.client(t)
	der := b.response(t, testpki.None, testpki.Good(), 10*time.Minute)
	if a := b.bring(t, c, der); a.Status != ocsp.Good || a.Source != ocsp.SourceBrought || a.Detail != "" {
		t.Errorf("brought: %+v", a)
	}
	if a := b.check(t, c); a.Status != ocsp.Good || a.Source != ocsp.SourceMemory {
		t.Errorf("without it: %+v", a)
	}
	if a := b.bring(t, c, der); a.Status != ocsp.Good || a.Source != ocsp.SourceMemory {
		t.Errorf("brought again: %+v", a)
	}
	if a := b.check(t, b.client(t)); a.Status != ocsp.Good || a.Source != ocsp.SourceCache {
		t.Errorf("after a restart: %+v", a)
	}
	if want, got := []string{"brought", "known", "brought", "known"}, r.kinds(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// A device that no responder is named for may bring its answer, too.
func TestBroughtWithoutURL(t *testing.T) {
	b := newTLSBench(t)
	c := b.client(t)
	if a := b.bring(t, c, b.response(t, testpki.None, testpki.Good(), 0)); a.Status != ocsp.Good {
		t.Errorf("%+v", a)
	}
}

// What Validate refuses from a responder it refuses from a device, which then
// gets the responder's answer.
func TestBroughtRefused(t *testing.T) {
	b, r := newBench(t), newRecord()
	b.cfg.Observe = r.observe
	for _, k := range refused {
		b.next(t)
		c := b.client(t)
		a := b.bring(t, c, b.response(t, k.fault, testpki.Good(), 0))
		if k.fault == testpki.Empty { // nothing was brought
			continue
		}
		if a.Status != ocsp.Good || a.Source != ocsp.SourceResponder || !strings.HasPrefix(a.Detail, "what the device brought does not count: ") {
			t.Errorf("%s: %+v", k.fault, a)
		}
		if e := r.await(t, ocsp.EventBrought); e.Status != ocsp.Unavailable || e.Fault != k.want || e.Detail == "" {
			t.Errorf("%s: told %+v, want %s", k.fault, e, k.want)
		}
	}
	b.next(t)
	c := b.client(t)
	for want, der := range map[ocsp.Fault][]byte{
		ocsp.FaultOversized: bytes.Repeat([]byte{0}, 64<<10+1),
		ocsp.FaultUndecided: b.response(t, testpki.None, testpki.Unknown(), 0),
		ocsp.FaultStale:     b.response(t, testpki.None, testpki.Good(), time.Hour), // within the skew, but for no more use
		ocsp.FaultOutdated:  b.response(t, testpki.None, testpki.Good(), time.Minute),
	} {
		if want == ocsp.FaultOutdated {
			b.check(t, c)
		}
		if a := b.bring(t, c, der); a.Status != ocsp.Good || !strings.Contains(a.Detail, "brought") {
			t.Errorf("%s: %+v", want, a)
		}
		if e := r.await(t, ocsp.EventBrought); e.Fault != want {
			t.Errorf("told %+v, want %s", e, want)
		}
	}
}

// Where a nonce is required, only a final revocation can be brought.
func TestBroughtWithNonceRequired(t *testing.T) {
	b, r := newBench(t), newRecord()
	b.cfg.Observe = r.observe
	c := b.client(t)
	q := ocsp.Question{Leaf: b.leaf.Cert, Issuer: b.Authority.Cert, Settings: required}
	q.Brought = b.response(t, testpki.None, testpki.Good(), 0)
	if a := c.Check(t.Context(), q); a.Status != ocsp.Good || a.Source != ocsp.SourceResponder {
		t.Errorf("good: %+v", a)
	}
	if e := r.await(t, ocsp.EventBrought); e.Fault != ocsp.FaultNonce {
		t.Errorf("told %+v", e)
	}
	q.Brought = b.response(t, testpki.None, revoked(t, b.clock.Now(), 1), 0)
	if a := c.Check(t.Context(), q); !a.Final() {
		t.Errorf("revoked: %+v", a)
	}
}

// Time does not run backwards, whatever is brought.
func TestBroughtOrder(t *testing.T) {
	hold, final := 6, 1
	cases := []struct {
		name     string
		known    int // reason of the revocation known; -1: good
		wait     time.Duration
		brought  int
		ago      time.Duration // before the known answer
		want     ocsp.Status
		accepted bool
	}{
		{"older good, good known", -1, 0, -1, time.Minute, ocsp.Good, false},
		{"newer good, good known", -1, 0, -1, -time.Minute, ocsp.Good, true},
		{"older good, hold known", hold, 0, -1, time.Minute, ocsp.Revoked, false},
		{"good as old as the hold known", hold, 0, -1, 0, ocsp.Revoked, false},
		{"newer good, hold known", hold, 0, -1, -time.Minute, ocsp.Good, true},
		{"newer good, final known", final, 0, -1, -time.Minute, ocsp.Revoked, false},
		{"newer hold, good known", -1, 0, hold, -time.Minute, ocsp.Revoked, true},
		{"older final, good known", -1, 0, final, time.Minute, ocsp.Revoked, true},
		{"older hold, good known", -1, 0, hold, time.Minute, ocsp.Good, false},
		{"older good, hold lapsed", hold, time.Hour, -1, time.Second, ocsp.Unavailable, false},
		{"older good, good lapsed", -1, time.Hour, -1, time.Second, ocsp.Unavailable, false},
	}
	for _, k := range cases {
		for _, restart := range []bool{false, true} {
			b := newBench(t)
			b.cfg.Cache, b.cfg.Keep = newShelf(), time.Hour
			if k.known >= 0 {
				b.Revoke(t, b.leaf.Cert, k.known)
			}
			c := b.client(t)
			b.check(t, c)
			made := b.clock.Now()
			b.Stop()
			b.clock.advance(k.wait)
			if k.ago < 0 {
				b.clock.advance(-k.ago)
			}
			if restart {
				c = b.client(t)
			}
			status := testpki.Good()
			if k.brought >= 0 {
				status = revoked(t, made, k.brought)
			}
			a := b.bring(t, c, b.longAnswer(t, status, made.Add(-k.ago-time.Minute)))
			if a.Status != k.want || (a.Source == ocsp.SourceBrought) != k.accepted {
				t.Errorf("%s, restarted: %v: %+v", k.name, restart, a)
			}
		}
	}
}

// longAnswer is one that counts for a day.
func (b *bench) longAnswer(t *testing.T, status asn1.RawValue, thisUpdate time.Time) []byte {
	t.Helper()
	der, err := testpki.Forgery{
		ResponderID: testpki.ByName(b.Authority.Cert),
		Singles: []testpki.Single{{
			CertID:     testpki.IDFor(crypto.SHA1, b.Authority.Cert, b.leaf.Cert.SerialNumber),
			Status:     status,
			ThisUpdate: thisUpdate, NextUpdate: thisUpdate.Add(24 * time.Hour),
		}},
		Key: b.Authority.Key,
	}.DER()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Whoever asks nobody goes by what is known and brought.
func TestOffline(t *testing.T) {
	b := newBench(t)
	b.cfg.Cache = newShelf()
	c := b.client(t)
	q := ocsp.Question{Leaf: b.leaf.Cert, Issuer: b.Authority.Cert, Offline: true}
	if a := c.Check(t.Context(), q); a.Status != ocsp.NotAsked || a.Detail == "" {
		t.Errorf("nothing known: %+v", a)
	}
	q.Brought = []byte("garbage")
	if a := c.Check(t.Context(), q); a.Status != ocsp.NotAsked || !strings.Contains(a.Detail, "brought") {
		t.Errorf("garbage brought: %+v", a)
	}
	q.Brought = b.response(t, testpki.None, testpki.Good(), 0)
	if a := c.Check(t.Context(), q); a.Status != ocsp.Good || a.Source != ocsp.SourceBrought {
		t.Errorf("brought: %+v", a)
	}
	q.Brought = nil
	if a := b.client(t).Check(t.Context(), q); a.Status != ocsp.Good || a.Source != ocsp.SourceCache {
		t.Errorf("kept: %+v", a)
	}
	if got := b.Requests(); got != 0 {
		t.Errorf("%d requests", got)
	}
	b.next(t)
	b.Fail(testpki.Unauthorized)
	b.check(t, c)
	q.Leaf = b.leaf.Cert
	if a := c.Check(t.Context(), q); a.Fault != ocsp.FaultUnauthorized || a.Source != ocsp.SourceMemory {
		t.Errorf("why it is not known: %+v", a)
	}
	silent := newTLSBench(t)
	q.Leaf, q.Issuer = silent.leaf.Cert, silent.Authority.Cert
	if a := c.Check(t.Context(), q); a.Status != ocsp.NoURL {
		t.Errorf("no responder: %+v", a)
	}
	q.Settings = muster.OCSPSettings{Responder: silent.URL}
	if a := c.Check(t.Context(), q); a.Status != ocsp.NotAsked {
		t.Errorf("a responder that is not asked: %+v", a)
	}
}

// A final revocation that the Cache alone knows is not overridden by what a
// device brings, and neither is one whose responder is gone from the settings.
func TestBroughtAfterRestart(t *testing.T) {
	b := newBench(t)
	b.cfg.Cache = newShelf()
	b.Revoke(t, b.leaf.Cert, 1)
	b.check(t, b.client(t))
	b.clock.advance(time.Minute)
	newer := b.response(t, testpki.None, testpki.Good(), 0)
	if a := b.bring(t, b.client(t), newer); !a.Final() || a.Source != ocsp.SourceCache {
		t.Errorf("%+v", a)
	}
	leaf := *b.leaf.Cert
	leaf.OCSPServer = nil
	if a := b.client(t).Check(t.Context(), ocsp.Question{Leaf: &leaf, Issuer: b.Authority.Cert}); !a.Final() {
		t.Errorf("no responder any more: %+v", a)
	}
}

// A device that brings the same answer as long as that lives does not keep its
// revocation from being seen: the responder is asked in the background.
func TestBroughtAgainAndAgain(t *testing.T) {
	for name, times := range map[string][]time.Duration{ // when it connects
		"while it is held":   {0, 15 * time.Minute},
		"after it lapsed":    {0, 25 * time.Minute},
		"for the first time": {25 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			b, r := newBench(t), newRecord()
			b.cfg.Observe, b.cfg.Keep = r.observe, 20*time.Minute
			der := b.response(t, testpki.None, testpki.Good(), 0)
			b.Revoke(t, b.leaf.Cert, 1)
			c, start := b.client(t), b.clock.Now()
			for _, at := range times {
				if b.Requests() != 0 {
					t.Errorf("the responder was asked by %v", at)
				}
				b.clock.advance(start.Add(at).Sub(b.clock.Now()))
				if a := b.bring(t, c, der); a.Status != ocsp.Good {
					t.Errorf("at %v: %+v", at, a)
				}
			}
			if e := r.refreshed(t); e.Status != ocsp.Revoked {
				t.Errorf("told %+v", e)
			}
			if a := b.bring(t, c, der); !a.Final() {
				t.Errorf("then: %+v", a)
			}
		})
	}
}
