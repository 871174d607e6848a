package ocsp_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
)

// One responder that is silent does not use up the places of others.
func TestWaitingPerResponder(t *testing.T) {
	b, silent, r := newBench(t), testpki.NewResponder(t), newRecord()
	b.cfg.Waiting, b.cfg.Observe = 4, r.observe // two at one responder
	release := silent.Hold()
	c := b.client(t)
	answers := make(chan ocsp.Answer, 2)
	for range 2 {
		leaf := silent.Issue(t, mint.Request{})
		go func() {
			answers <- c.Check(t.Context(), ocsp.Question{Leaf: leaf.Cert, Issuer: silent.Authority.Cert})
		}()
	}
	c.AwaitWaiters(2)
	third := silent.Issue(t, mint.Request{})
	a := c.Check(t.Context(), ocsp.Question{Leaf: third.Cert, Issuer: silent.Authority.Cert})
	if a.Fault != ocsp.FaultCrowded || !strings.Contains(a.Detail, silent.URL) {
		t.Errorf("a third: %+v", a)
	}
	r.await(t, ocsp.EventCrowded)
	if a := b.check(t, c); a.Status != ocsp.Good {
		t.Errorf("at another responder: %+v", a)
	}
	release()
	for range 2 {
		if a := <-answers; a.Status != ocsp.Good {
			t.Errorf("who waited: %+v", a)
		}
	}
	if a := c.Check(t.Context(), ocsp.Question{Leaf: third.Cert, Issuer: silent.Authority.Cert}); a.Status != ocsp.Good {
		t.Errorf("the third, later: %+v", a)
	}
}

// So many wait and no more; of these, few for one certificate.
func TestWaiters(t *testing.T) {
	for name, k := range map[string]struct{ waiters, admitted int }{
		"at one responder": {10, 5}, "for one certificate": {100, 16},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.cfg.Waiters = k.waiters
			release := b.Hold()
			c := b.client(t)
			answers := make(chan ocsp.Answer, k.admitted)
			for range k.admitted {
				go func() { answers <- b.check(t, c) }()
			}
			c.AwaitWaiters(k.admitted)
			if a := b.check(t, c); a.Fault != ocsp.FaultCrowded {
				t.Errorf("one more: %+v", a)
			}
			release()
			for range k.admitted {
				if a := <-answers; a.Status != ocsp.Good {
					t.Errorf("who waited: %+v", a)
				}
			}
			if a := b.check(t, c); a.Status != ocsp.Good {
				t.Errorf("afterwards: %+v", a)
			}
		})
	}
}

// Who waits for a responder that answers slowly leaves half of the places to those
// of others, and all places together are bounded.
func TestWaitersPerResponder(t *testing.T) {
	b, slow, third := newBench(t), testpki.NewResponder(t), testpki.NewResponder(t)
	b.cfg.Waiters = 4
	releaseSlow, release := slow.Hold(), b.Hold()
	c := b.client(t)
	leaves := map[*testpki.Responder]*mint.Leaf{slow: slow.Issue(t, mint.Request{}), third: third.Issue(t, mint.Request{})}
	ask := func(r *testpki.Responder) ocsp.Answer {
		return c.Check(t.Context(), ocsp.Question{Leaf: leaves[r].Cert, Issuer: r.Authority.Cert})
	}
	answers := make(chan ocsp.Answer, 4)
	for n := range 2 {
		go func() { answers <- ask(slow) }()
		c.AwaitWaiters(n + 1)
	}
	if a := ask(slow); a.Fault != ocsp.FaultCrowded {
		t.Errorf("a third at the slow responder: %+v", a)
	}
	for n := range 2 {
		go func() { answers <- b.check(t, c) }()
		c.AwaitWaiters(n + 3)
	}
	if a := ask(third); a.Fault != ocsp.FaultCrowded {
		t.Errorf("a fifth: %+v", a)
	}
	releaseSlow()
	release()
	for range 4 {
		if a := <-answers; a.Status != ocsp.Good {
			t.Errorf("who waited: %+v", a)
		}
	}
	if a := ask(third); a.Status != ocsp.Good {
		t.Errorf("the fifth, later: %+v", a)
	}
}

// A responder that is asked second, for the first one fails at once, has no more
// places for it.
func TestWaitingForTheSecondResponder(t *testing.T) {
	b, slow, r := newBench(t), testpki.NewResponder(t), newRecord()
	b.cfg.Waiting, b.cfg.Observe = 2, r.observe
	release := slow.Hold()
	c := b.client(t)
	ask := func(urls ...string) ocsp.Answer {
		leaf := slow.Issue(t, mint.Request{OCSPServer: urls})
		return c.Check(t.Context(), ocsp.Question{Leaf: leaf.Cert, Issuer: slow.Authority.Cert})
	}
	first := make(chan ocsp.Answer, 1)
	go func() { first <- ask("http://127.0.0.1:1/", slow.URL) }()
	<-slow.Came()
	if a := ask("http://127.0.0.1:1/", slow.URL); a.Fault != ocsp.FaultCrowded {
		t.Errorf("another that comes to it second: %+v", a)
	}
	r.await(t, ocsp.EventCrowded)
	if a := ask(slow.URL, "http://127.0.0.1:1/"); a.Fault != ocsp.FaultCrowded {
		t.Errorf("the second responder is down: %+v", a)
	}
	if a := ask(slow.URL); a.Fault != ocsp.FaultCrowded {
		t.Errorf("a second: %+v", a)
	}
	release()
	if a := <-first; a.Status != ocsp.Good {
		t.Errorf("the first: %+v", a)
	}
}

// turnstile is a Cache that sees whether two answers about a certificate are
// put at once.
type turnstile struct {
	*shelf
	inside, jams atomic.Int32
}

func (s *turnstile) PutAnswer(ctx context.Context, key string, der []byte, expires time.Time) error {
	if s.inside.Add(1) > 1 {
		s.jams.Add(1)
	}
	for range 100 {
		runtime.Gosched()
	}
	defer s.inside.Add(-1)
	return s.shelf.PutAnswer(ctx, key, der, expires)
}

// Of many answers that come at once, the Cache ends up with the one that
// memory believes: a revocation must not be lost at the next start.
func TestCacheKeepsWhatMemoryBelieves(t *testing.T) {
	b := newBench(t)
	kept := &turnstile{shelf: newShelf()}
	b.cfg.Cache = kept
	b.Stop()
	for range 20 {
		b.next(t)
		c := b.client(t)
		var all sync.WaitGroup
		for i := range 8 {
			status := testpki.Good()
			if i == 3 {
				status = revoked(t, b.clock.Now(), 1)
			}
			der := b.response(t, testpki.None, status, time.Duration(i)*time.Second)
			all.Go(func() { b.bring(t, c, der) })
		}
		all.Wait()
		if a := b.check(t, c); !a.Final() {
			t.Errorf("memory: %+v", a)
		}
		if a := b.check(t, b.client(t)); !a.Final() {
			t.Errorf("the Cache: %+v", a)
		}
	}
	if n := kept.jams.Load(); n != 0 {
		t.Errorf("%d answers put while another was", n)
	}
}
