package ocsp_test

import (
	"testing"
	"time"

	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
)

// refreshed waits for the end of a refresh.
func (r *record) refreshed(t *testing.T) ocsp.Event {
	t.Helper()
	for {
		if e := r.await(t, ocsp.EventAsked); e.Refresh {
			return e
		}
	}
}

// An answer good for an hour is asked for again after thirty to forty-five
// minutes, while it is given to whoever asks.
func TestRefresh(t *testing.T) {
	b, r := newBench(t), newRecord()
	b.cfg.Observe = r.observe
	c := b.client(t)
	first := b.check(t, c)
	if left := first.Refresh.Sub(b.clock.Now()); left < 30*time.Minute || left > 45*time.Minute {
		t.Fatalf("refreshed in %v", left)
	}
	b.clock.advance(first.Refresh.Sub(b.clock.Now()) - time.Second)
	b.check(t, c)
	b.clock.advance(time.Second)
	if b.Requests() != 1 {
		t.Fatal("refreshed before its time")
	}
	if a := b.check(t, c); a.Status != ocsp.Good || a.Source != ocsp.SourceMemory || !a.ThisUpdate.Equal(first.ThisUpdate) {
		t.Errorf("while it is refreshed: %+v", a)
	}
	if e := r.refreshed(t); e.Status != ocsp.Good {
		t.Errorf("told %+v", e)
	}
	b.clock.advance(time.Hour - time.Minute)
	a := b.check(t, c)
	if a.Status != ocsp.Good || !a.ThisUpdate.After(first.ThisUpdate) || a.Source != ocsp.SourceMemory {
		t.Errorf("after the first answer lapsed: %+v", a)
	}
}

// The point is each certificate's own, and the same in each process.
func TestRefreshPoint(t *testing.T) {
	b := newBench(t)
	first := b.check(t, b.client(t)).Refresh
	if again := b.check(t, b.client(t)).Refresh; !again.Equal(first) {
		t.Errorf("%v, then %v", first, again)
	}
	points := map[time.Time]bool{}
	c := b.client(t)
	for range 10 {
		b.next(t)
		points[b.check(t, c).Refresh] = true
	}
	if len(points) < 9 {
		t.Errorf("ten devices, %d points", len(points))
	}
	b.Revoke(t, b.leaf.Cert, 1)
	if a := b.check(t, b.client(t)); !a.Refresh.IsZero() {
		t.Errorf("a final revocation is refreshed: %+v", a)
	}
	b.cfg.Keep = 15 * time.Second
	b.next(t)
	if a := b.check(t, b.client(t)); a.Status != ocsp.Good || !a.Refresh.IsZero() {
		t.Errorf("an answer that soon lapses is refreshed: %+v", a)
	}
}

// dueBench has a device whose answer is due for a refresh.
func dueBench(t *testing.T) (*bench, *record, *ocsp.Client) {
	t.Helper()
	b, r := newBench(t), newRecord()
	b.cfg.Observe, b.cfg.Cache = r.observe, newShelf()
	c := b.client(t)
	b.clock.advance(b.check(t, c).Refresh.Sub(b.clock.Now()))
	r.take()
	return b, r, c
}

func TestRefreshSaysRevoked(t *testing.T) {
	b, r, c := dueBench(t)
	b.Revoke(t, b.leaf.Cert, 1)
	if a := b.check(t, c); a.Status != ocsp.Good {
		t.Errorf("before: %+v", a)
	}
	r.refreshed(t)
	if a := b.check(t, c); !a.Final() {
		t.Errorf("after: %+v", a)
	}
	if a := b.check(t, b.client(t)); !a.Final() || a.Source != ocsp.SourceCache {
		t.Errorf("after a restart: %+v", a)
	}
}

// A refresh that fails leaves the answer until it lapses, and is tried again
// at growing distances.
func TestRefreshFails(t *testing.T) {
	for _, fault := range []testpki.Fault{testpki.Garbage, testpki.None} { // None: it says unknown
		t.Run(string(fault), func(t *testing.T) {
			b, r, c := dueBench(t)
			b.Fail(fault)
			b.Forget(b.leaf.Cert)
			var lapses time.Time
			var pauses []time.Duration
			for {
				a := b.check(t, c)
				if a.Status != ocsp.Good || a.Source != ocsp.SourceMemory {
					t.Fatalf("after %v: %+v", pauses, a)
				}
				if lapses = a.Expires; a.Refresh.After(lapses) {
					break
				}
				r.refreshed(t)
				next := c.Postponed(b.leaf.Cert, b.Authority.Cert, b.clock.Now())
				pauses = append(pauses, next)
				if b.clock.Now().Add(next).After(lapses) {
					break
				}
				b.clock.advance(next)
			}
			for i, p := range pauses {
				want := min(10*time.Second<<i, 10*time.Minute)
				if p < want || p > want*3/2 {
					t.Errorf("try %d after %v, want %v and half of that at most", i+1, p, want)
				}
			}
			if len(pauses) < 4 {
				t.Errorf("%d tries", len(pauses))
			}
			b.clock.advance(lapses.Sub(b.clock.Now()))
			if a := b.check(t, c); a.Status == ocsp.Good {
				t.Errorf("lapsed: %+v", a)
			}
		})
	}
}

// Who asks nobody refreshes nothing.
func TestRefreshNotOffline(t *testing.T) {
	b, _, c := dueBench(t)
	if a := c.Check(t.Context(), ocsp.Question{Leaf: b.leaf.Cert, Issuer: b.Authority.Cert, Offline: true}); a.Status != ocsp.Good {
		t.Errorf("%+v", a)
	}
	c.Postponed(b.leaf.Cert, b.Authority.Cert, b.clock.Now())
	if got := b.Requests(); got != 1 {
		t.Errorf("%d requests, want 1", got)
	}
}

// One refresh of a certificate is under way at a time, and few of all. One that is wanted after all is joined, not repeated.
func TestRefreshIsOneOfFew(t *testing.T) {
	b, r := newBench(t), newRecord()
	b.cfg.Observe, b.cfg.Refreshing = r.observe, 1
	other := b.Issue(t, mint.Request{})
	c := b.client(t)
	b.check(t, c)
	c.Check(t.Context(), ocsp.Question{Leaf: other.Cert, Issuer: b.Authority.Cert})
	b.clock.advance(50 * time.Minute)
	release := b.Hold()
	for range 3 {
		b.check(t, c)
		c.Check(t.Context(), ocsp.Question{Leaf: other.Cert, Issuer: b.Authority.Cert})
	}
	b.awaitRequests(t, 3)
	b.clock.advance(10 * time.Minute) // now it has lapsed
	joined := make(chan ocsp.Answer)
	go func() { joined <- b.check(t, c) }()
	release()
	if a := <-joined; a.Status != ocsp.Good {
		t.Errorf("joined: %+v", a)
	}
	if got := b.Requests(); got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
}

// A responder that signs ahead of time says the same again: that is not kept
// twice, but looked at again later.
func TestRefreshSaysTheSame(t *testing.T) {
	b, r := newBench(t), newRecord()
	kept := newShelf()
	b.cfg.Observe, b.cfg.Cache = r.observe, kept
	made := b.clock.Now()
	b.Now = func() time.Time { return made }
	c := b.client(t)
	first := b.check(t, c)
	b.clock.advance(first.Refresh.Sub(b.clock.Now()))
	b.check(t, c)
	r.refreshed(t)
	if a := b.check(t, c); !a.Refresh.After(first.Refresh) || !a.Refresh.Before(a.Expires) {
		t.Errorf("refreshed at %v, then at %v", first.Refresh, a.Refresh)
	}
	if kept.puts != 1 {
		t.Errorf("kept %d times", kept.puts)
	}
}

// Of the answers that are refreshed at once, half may be one responder's.
func TestRefreshingPerResponder(t *testing.T) {
	b, other, r := newBench(t), testpki.NewResponder(t), newRecord()
	other.Now = b.clock.Now
	b.cfg.Refreshing, b.cfg.Observe = 2, r.observe
	c := b.client(t)
	check := func(of *testpki.Responder, l *mint.Leaf) ocsp.Answer {
		return c.Check(t.Context(), ocsp.Question{Leaf: l.Cert, Issuer: of.Authority.Cert})
	}
	leaves := []*mint.Leaf{b.Issue(t, mint.Request{}), b.Issue(t, mint.Request{})}
	elsewhere := other.Issue(t, mint.Request{})
	for _, l := range leaves {
		check(b.Responder, l)
	}
	check(other, elsewhere)
	b.clock.advance(50 * time.Minute)
	release := b.Hold()
	for _, l := range leaves {
		check(b.Responder, l)
	}
	if n := c.Ahead(); n != 1 {
		t.Errorf("%d answers of one responder are being refreshed", n)
	}
	check(other, elsewhere)
	if e := r.refreshed(t); e.Responder != other.URL {
		t.Errorf("refreshed at %s", e.Responder)
	}
	release()
	r.refreshed(t)
}
