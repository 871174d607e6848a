package ocsp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
)

// next makes the bench's device another one, about which nothing is known.
func (b *bench) next(t *testing.T) {
	t.Helper()
	b.leaf = b.Issue(t, mint.Request{})
}

// A responder that fails five times in a row is left alone for ten seconds,
// then tried by one request; while that fails, for twice as long, up to a
// minute; once it answers, it is asked as ever.
func TestBreaker(t *testing.T) {
	b, r := newBench(t), newRecord()
	b.cfg.Observe = r.observe
	b.Fail(testpki.TryLater)
	c := b.client(t)
	for range 5 {
		if a := b.check(t, c); a.Fault != ocsp.FaultTryLater {
			t.Fatalf("%+v", a)
		}
		b.next(t)
	}
	opened := r.await(t, ocsp.EventOpened)
	a := b.check(t, c)
	since := b.clock.Now().Format(time.RFC3339)
	if a.Status != ocsp.Unavailable || a.Fault != ocsp.FaultHeldOff || !strings.Contains(a.Detail, "not asked since "+since) ||
		!strings.Contains(a.Detail, "tryLater") || !strings.Contains(a.Detail, "tried again at "+opened.Until.Format(time.RFC3339)) {
		t.Errorf("open: %+v", a)
	}
	if list := c.Breakers(); len(list) != 1 || list[0] != (ocsp.Breaker{
		Responder: b.URL, Since: b.clock.Now(), Until: opened.Until, Fault: ocsp.FaultTryLater,
	}) {
		t.Errorf("breakers: %+v", list)
	}
	for _, pause := range []time.Duration{10, 20, 40, 60, 60} {
		pause *= time.Second
		if got := opened.Until.Sub(b.clock.Now()); got < pause*3/4 || got > pause {
			t.Errorf("open for %v, want %v less a quarter at most", got, pause)
		}
		before := b.Requests()
		b.clock.advance(opened.Until.Sub(b.clock.Now()) - time.Second)
		b.next(t)
		b.check(t, c)
		if b.Requests() != before {
			t.Error("asked while it is open")
		}
		b.clock.advance(time.Second)
		b.check(t, c) // the same device: it is not held back longer than the responder
		if b.Requests() != before+1 {
			t.Error("not tried again")
		}
		opened = r.await(t, ocsp.EventOpened)
	}
	b.Fail(testpki.None)
	b.clock.advance(time.Minute)
	b.next(t)
	if a := b.check(t, c); a.Status != ocsp.Good {
		t.Errorf("it answers again: %+v", a)
	}
	r.await(t, ocsp.EventClosed)
	if list := c.Breakers(); len(list) != 0 {
		t.Errorf("breakers: %+v", list)
	}
}

// Half-open, one request is let through and the others are answered for.
func TestBreakerTriesOnce(t *testing.T) {
	b, r := newBench(t), newRecord()
	b.cfg.BreakAfter, b.cfg.Observe = 1, r.observe
	b.Fail(testpki.Busy)
	c := b.client(t)
	b.check(t, c)
	b.Fail(testpki.None)
	b.clock.advance(10 * time.Second)
	release := b.Hold()
	tried, trial := b.leaf, make(chan ocsp.Answer)
	go func() {
		trial <- c.Check(t.Context(), ocsp.Question{Leaf: tried.Cert, Issuer: b.Authority.Cert})
	}()
	b.awaitRequests(t, 2)
	b.next(t)
	if a := b.check(t, c); a.Fault != ocsp.FaultHeldOff || !strings.Contains(a.Detail, "being tried again") {
		t.Errorf("beside the trial: %+v", a)
	}
	release()
	if a := <-trial; a.Status != ocsp.Good {
		t.Errorf("the trial: %+v", a)
	}
	b.next(t)
	if a := b.check(t, c); a.Status != ocsp.Good {
		t.Errorf("afterwards: %+v", a)
	}
}

// What opens a breaker and what does not: an answer that does not count shows
// that somebody is there.
func TestBreakerOpensBy(t *testing.T) {
	cases := map[testpki.Fault]bool{
		testpki.Reset: true, testpki.Busy: true, testpki.TryLater: true, testpki.Slow: true,
		testpki.Garbage: false, testpki.Unauthorized: false, testpki.MalformedRequest: false, testpki.HTTP500: false,
		testpki.Redirect: false, testpki.Oversized: false, testpki.SelfVouched: false, testpki.Stale: false,
	}
	for fault, want := range cases {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.cfg.BreakAfter = 2
			if fault == testpki.Slow {
				b.cfg.FirstReply = 50 * time.Millisecond
			}
			b.Fail(fault)
			c := b.client(t)
			for range 3 {
				b.check(t, c)
				b.next(t)
			}
			if got := len(c.Breakers()) == 1; got != want {
				t.Errorf("open: %v, want %v", got, want)
			}
		})
	}
}

// Failures count in a row only.
func TestBreakerCountsInARow(t *testing.T) {
	b := newBench(t)
	b.cfg.BreakAfter = 2
	c := b.client(t)
	for i := range 6 {
		b.Fail([]testpki.Fault{testpki.Busy, testpki.None}[i%2])
		b.check(t, c)
		b.next(t)
	}
	if list := c.Breakers(); len(list) != 0 {
		t.Errorf("breakers: %+v", list)
	}
}

// The breaker of one responder leaves the next one of a certificate alone, and
// what is known is known without it.
func TestBreakerOfOne(t *testing.T) {
	b, dead, r := newBench(t), testpki.NewResponder(t), newRecord()
	b.cfg.BreakAfter, b.cfg.Observe = 1, r.observe
	dead.Stop()
	c := b.client(t)
	known := b.leaf
	b.check(t, c)
	for range 2 {
		b.leaf = b.Issue(t, mint.Request{OCSPServer: []string{dead.URL, b.URL}})
		if a := b.check(t, c); a.Status != ocsp.Good || a.Responder != b.URL {
			t.Errorf("%+v", a)
		}
	}
	want := []string{"asked", "asked: connect", "breaker_opened: connect", "asked", "breaker_held_off", "asked"}
	if got := r.kinds(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	b.Fail(testpki.Busy)
	b.next(t)
	b.check(t, c)
	if got := len(c.Breakers()); got != 2 {
		t.Fatalf("%d breakers open, want 2", got)
	}
	b.leaf = known
	if a := b.check(t, c); a.Status != ocsp.Good || a.Source != ocsp.SourceMemory {
		t.Errorf("known: %+v", a)
	}
}

// awaitRequests returns once the responder has had so many.
func (b *bench) awaitRequests(t *testing.T, n int) {
	t.Helper()
	for b.Requests() < n {
		select {
		case <-b.Came():
		case <-t.Context().Done():
			t.Fatalf("%d requests came, want %d", b.Requests(), n)
		}
	}
}

// Whoever has certificates name ever more dead responders gets no more memory
// than that.
func TestRespondersAreBounded(t *testing.T) {
	b := newBench(t)
	b.cfg.BreakAfter, b.cfg.AllowPrivate = 1, nil
	c := b.client(t)
	for i := range 1500 {
		c.Fault(fmt.Sprintf("http://192.0.2.1:%d", 1024+i), ocsp.FaultTimeout)
	}
	if got := len(c.Breakers()); got != 1024 {
		t.Errorf("%d breakers, want 1024", got)
	}
	b.cfg.AllowPrivate, b.cfg.BreakAfter = loopback, 2
	c = b.client(t)
	c.Fault(b.URL, ocsp.FaultTimeout)
	b.check(t, c)
	if got := c.Responders(); got != 0 {
		t.Errorf("%d responders remembered that answer as they should", got)
	}
}

// Whoever waits for a slot when the breaker opens is answered for, and so is
// who comes then, though no slot is free.
func TestBreakerBeforeSlots(t *testing.T) {
	b := newBench(t)
	b.cfg.BreakAfter, b.cfg.ConcurrentPerResponder = 1, 1
	b.Fail(testpki.Busy)
	release := b.Hold()
	c := b.client(t)
	answers := make(chan ocsp.Answer, 2)
	for i := range 2 {
		leaf := b.leaf
		go func() {
			answers <- c.Check(t.Context(), ocsp.Question{Leaf: leaf.Cert, Issuer: b.Authority.Cert})
		}()
		c.AwaitWaiters(i + 1)
		b.next(t)
	}
	c.AwaitQueue(b.URL, 2)
	b.awaitRequests(t, 1)
	c.Fault(b.URL, ocsp.FaultTimeout)
	if a := b.check(t, c); a.Fault != ocsp.FaultHeldOff {
		t.Errorf("who comes then: %+v", a)
	}
	release()
	faults := map[ocsp.Fault]bool{(<-answers).Fault: true, (<-answers).Fault: true}
	if !faults[ocsp.FaultTryLater] || !faults[ocsp.FaultHeldOff] || b.Requests() != 1 {
		t.Errorf("who waited: %v after %d requests", faults, b.Requests())
	}
}

// A responder that is asked last, when the time is all but used up, is not
// blamed for that.
func TestBreakerBlamesWhoHadTime(t *testing.T) {
	b, other := newBench(t), testpki.NewResponder(t)
	b.cfg.BreakAfter, b.cfg.FirstReply, b.cfg.Timeout = 1, 160*time.Millisecond, 200*time.Millisecond
	b.Fail(testpki.Slow)
	other.Fail(testpki.Slow)
	b.leaf = b.Issue(t, mint.Request{OCSPServer: []string{other.URL, b.URL}})
	c := b.client(t)
	if a := b.check(t, c); a.Fault != ocsp.FaultTimeout {
		t.Errorf("%+v", a)
	}
	if list := c.Breakers(); len(list) != 1 || list[0].Responder != other.URL {
		t.Errorf("breakers: %+v", list)
	}
}

// TestBreakerWithLittleTime: where the whole question has less time than a first
// reply may take, a responder that hangs is left alone all the same.
func TestBreakerWithLittleTime(t *testing.T) {
	b := newBench(t)
	b.cfg.BreakAfter, b.cfg.Timeout = 1, 50*time.Millisecond
	b.Fail(testpki.Slow)
	c := b.client(t)
	b.check(t, c)
	if list := c.Breakers(); len(list) != 1 {
		t.Errorf("breakers: %+v", list)
	}
}
