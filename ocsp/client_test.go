package ocsp_test

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// clock is a clock that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now().UTC().Truncate(time.Second)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// shelf is a Cache that drops nothing, so that what lapsed is for the Client
// to see.
type shelf struct {
	mu      sync.Mutex
	answers map[string][]byte
	expires map[string]time.Time
	err     error
}

func newShelf() *shelf {
	return &shelf{answers: map[string][]byte{}, expires: map[string]time.Time{}}
}

func (s *shelf) Answer(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	der, ok := s.answers[key]
	if !ok {
		return nil, muster.ErrNotFound
	}
	return bytes.Clone(der), nil
}

func (s *shelf) PutAnswer(_ context.Context, key string, der []byte, expires time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.answers[key], s.expires[key] = bytes.Clone(der), expires
	return nil
}

// bench is a responder with a device of its authority, and a Client's Config
// that may ask it.
type bench struct {
	*testpki.Responder
	clock *clock
	leaf  *mint.Leaf
	cfg   ocsp.Config
}

func newBench(t *testing.T) *bench {
	t.Helper()
	r, c := testpki.NewResponder(t), newClock()
	r.Now = c.Now
	return &bench{
		Responder: r, clock: c, leaf: r.Issue(t, mint.Request{}),
		cfg: ocsp.Config{Now: c.Now, AllowPrivate: loopback},
	}
}

func (b *bench) client(t *testing.T) *ocsp.Client {
	t.Helper()
	c, err := ocsp.New(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (b *bench) check(t *testing.T, c *ocsp.Client) ocsp.Answer {
	t.Helper()
	return c.Check(t.Context(), b.leaf.Cert, b.Authority.Cert)
}

func TestCheckRefuses(t *testing.T) {
	for _, c := range refused {
		t.Run(string(c.fault), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.Fail(c.fault)
			a := b.check(t, b.client(t))
			if a.Status != ocsp.Unavailable || a.Detail == "" || a.Responder != b.URL {
				t.Errorf("got %+v, want unavailable with a detail and the URL", a)
			}
		})
	}
}

func TestCheckAccepts(t *testing.T) {
	for _, f := range honest {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.Fail(f)
			a := b.check(t, b.client(t))
			if a.Status != ocsp.Good || a.Responder != b.URL || a.Cached {
				t.Errorf("got %+v, want good from %s", a, b.URL)
			}
		})
	}
}

// What may go wrong on the way: each ends in time, and says what it was.
func TestCheckTransport(t *testing.T) {
	cases := []struct {
		fault               testpki.Fault
		firstReply, timeout time.Duration
		detail              string
	}{
		{testpki.Oversized, 0, 0, "longer than 65536 bytes"},
		{testpki.Slow, 50 * time.Millisecond, 0, "no reply within 50ms"},
		{testpki.Slow, 0, 50 * time.Millisecond, "no answer within 50ms"},
		{testpki.SlowBody, 0, 200 * time.Millisecond, "no answer within 200ms"},
		{testpki.Redirect, 0, 0, "redirects are not followed"},
		{testpki.HTTP500, 0, 0, "HTTP status 500"},
	}
	for _, c := range cases {
		t.Run(string(c.fault), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.cfg.FirstReply, b.cfg.Timeout = c.firstReply, c.timeout
			b.Fail(c.fault)
			a := b.check(t, b.client(t))
			if a.Status != ocsp.Unavailable || !strings.Contains(a.Detail, c.detail) {
				t.Errorf("got %+v, want unavailable: %q", a, c.detail)
			}
			if got := b.Requests(); got > 1 {
				t.Errorf("%d requests, want no more than 1", got)
			}
		})
	}
}

func TestCheckStatuses(t *testing.T) {
	b := newBench(t)
	held, gone := b.Issue(t, mint.Request{}), b.Issue(t, mint.Request{})
	b.Revoke(t, b.leaf.Cert, 1)
	b.Revoke(t, held.Cert, 6)
	b.Forget(gone.Cert)
	c := b.client(t)
	if a := b.check(t, c); !a.Final() || !a.RevokedAt.Equal(b.clock.Now()) {
		t.Errorf("keyCompromise: %+v", a)
	}
	if a := c.Check(t.Context(), held.Cert, b.Authority.Cert); a.Status != ocsp.Revoked || !a.Hold || a.Final() {
		t.Errorf("certificateHold: %+v", a)
	}
	if a := c.Check(t.Context(), gone.Cert, b.Authority.Cert); a.Status != ocsp.Unknown {
		t.Errorf("forgotten: %+v", a)
	}
}

func TestCheckAsksNobody(t *testing.T) {
	b := newBench(t)
	c := b.client(t)
	silent := b.Issue(t, mint.Request{OCSPServer: []string{}})
	if a := c.Check(t.Context(), silent.Cert, b.Authority.Cert); a.Status != ocsp.NoURL {
		t.Errorf("no URL: %+v", a)
	}
	if a := c.Check(t.Context(), b.leaf.Cert, nil); a.Status != ocsp.Unavailable {
		t.Errorf("no issuer: %+v", a)
	}
	odd := b.Issue(t, mint.Request{OCSPServer: []string{"ldap://x/", "file:///etc/passwd", "http://", "::", ""}})
	if a := c.Check(t.Context(), odd.Cert, b.Authority.Cert); a.Status != ocsp.Unavailable || !strings.Contains(a.Detail, "http") {
		t.Errorf("no usable URL: %+v", a)
	}
	if got := b.Requests(); got != 0 {
		t.Errorf("%d requests, want none", got)
	}
}

func TestCheckTriesURLsInOrder(t *testing.T) {
	b, dead, faulty := newBench(t), testpki.NewResponder(t), testpki.NewResponder(t)
	dead.Stop()
	faulty.Fail(testpki.Garbage)
	third := b.Issue(t, mint.Request{OCSPServer: []string{dead.URL, "ldap://skipped/", faulty.URL, b.URL}})
	fourth := b.Issue(t, mint.Request{OCSPServer: []string{dead.URL, dead.URL, faulty.URL, b.URL}})
	c := b.client(t)
	if a := c.Check(t.Context(), third.Cert, b.Authority.Cert); a.Status != ocsp.Good || a.Responder != b.URL {
		t.Errorf("third responder: %+v", a)
	}
	a := c.Check(t.Context(), fourth.Cert, b.Authority.Cert)
	if a.Status != ocsp.Unavailable || !strings.Contains(a.Detail, "refused") || !strings.Contains(a.Detail, "not an OCSPResponse") {
		t.Errorf("a fourth is not asked, and each failure is told: %+v", a)
	}
}

func TestCheckRemembers(t *testing.T) {
	b := newBench(t)
	c := b.client(t)
	b.check(t, c)
	if a := b.check(t, c); a.Status != ocsp.Good || !a.Cached || b.Requests() != 1 {
		t.Errorf("second check: %+v after %d requests", a, b.Requests())
	}
	b.Revoke(t, b.leaf.Cert, 1)
	b.clock.advance(time.Hour - time.Second)
	if a := b.check(t, c); a.Status != ocsp.Good {
		t.Errorf("just before nextUpdate: %+v", a)
	}
	b.clock.advance(time.Second)
	if a := b.check(t, c); a.Status != ocsp.Revoked || a.Cached || b.Requests() != 2 {
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
		if again := b.check(t, c); again.Status != first.Status || !again.Cached || b.Requests() != i+1 {
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
	if a := b.check(t, b.client(t)); a.Status != ocsp.Good || !a.Cached || b.Requests() != 1 {
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
		if a := b.check(t, b.client(t)); a.Status != ocsp.Revoked || a.Cached {
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
	if a := b.check(t, c); !a.Final() || !a.Cached {
		t.Errorf("a month later: %+v", a)
	}
	b.Stop()
	if a := b.check(t, b.client(t)); !a.Final() || !a.Cached {
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
	if a := b.check(t, c); !a.Final() || !a.Cached || b.Requests() != 1 {
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
	if a := b.check(t, c); !a.Cached {
		t.Fatalf("after a restart: %+v", a)
	}
	clear(kept.answers)
	b.clock.advance(10*time.Minute - time.Second)
	if a := b.check(t, c); !a.Cached {
		t.Errorf("before MaxAge: %+v", a)
	}
	b.clock.advance(time.Second)
	if a := b.check(t, c); a.Status != ocsp.Good || a.Cached {
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

func TestCheckSingleFlight(t *testing.T) {
	const callers = 64
	b := newBench(t)
	release := b.Hold()
	c := b.client(t)
	answers := make(chan ocsp.Answer, callers)
	for range callers {
		go func() { answers <- c.Check(context.Background(), b.leaf.Cert, b.Authority.Cert) }()
	}
	release()
	for range callers {
		if a := <-answers; a.Status != ocsp.Good {
			t.Errorf("got %+v, want good", a)
		}
	}
	if got := b.Requests(); got != 1 {
		t.Errorf("%d requests for %d callers, want 1", got, callers)
	}
}

// The caller that started a flight may leave: it goes on for the others.
func TestCheckCallerLeaves(t *testing.T) {
	b := newBench(t)
	release := b.Hold()
	c := b.client(t)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if a := c.Check(ctx, b.leaf.Cert, b.Authority.Cert); a.Status != ocsp.Unavailable || !strings.Contains(a.Detail, "stopped waiting") {
		t.Errorf("who left: %+v", a)
	}
	stays := make(chan ocsp.Answer)
	go func() { stays <- b.check(t, c) }()
	release()
	if a := <-stays; a.Status != ocsp.Good {
		t.Errorf("who stays: %+v", a)
	}
	if got := b.Requests(); got != 1 {
		t.Errorf("%d requests, want 1", got)
	}
}

func TestCheckWaitingIsBounded(t *testing.T) {
	b := newBench(t)
	b.cfg.Waiting = 1
	release := b.Hold()
	c := b.client(t)
	first := make(chan ocsp.Answer)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	c.Check(ctx, b.leaf.Cert, b.Authority.Cert) // its flight stays
	go func() { first <- b.check(t, c) }()
	other := b.Issue(t, mint.Request{})
	if a := c.Check(t.Context(), other.Cert, b.Authority.Cert); a.Status != ocsp.Unavailable {
		t.Errorf("beyond the bound: %+v", a)
	}
	release()
	<-first
	if a := c.Check(t.Context(), other.Cert, b.Authority.Cert); a.Status != ocsp.Good {
		t.Errorf("afterwards: %+v", a)
	}
}

func TestClose(t *testing.T) {
	b := newBench(t)
	b.Fail(testpki.Slow)
	b.cfg.Timeout, b.cfg.FirstReply = time.Hour, time.Hour
	c := b.client(t)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	c.Check(ctx, b.leaf.Cert, b.Authority.Cert) // its flight stays, for an hour if nobody ends it
	c.Close()
	if a := b.check(t, c); a.Status != ocsp.Unavailable || !a.Cached {
		t.Errorf("what was under way: %+v", a)
	}
	other := b.Issue(t, mint.Request{})
	if a := c.Check(t.Context(), other.Cert, b.Authority.Cert); a.Status != ocsp.Unavailable || !strings.Contains(a.Detail, "closed") {
		t.Errorf("after Close: %+v", a)
	}
}

func TestCheckGuard(t *testing.T) {
	b := newBench(t)
	u, err := url.Parse(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{
		"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]",
		"10.0.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1",
	}
	for _, host := range hosts {
		t.Run(host, func(t *testing.T) {
			b.cfg.AllowPrivate = nil
			leaf := b.Issue(t, mint.Request{OCSPServer: []string{"http://" + host + ":" + u.Port()}})
			a := b.client(t).Check(t.Context(), leaf.Cert, b.Authority.Cert)
			if a.Status != ocsp.Unavailable || !strings.Contains(a.Detail, "private or reserved") {
				t.Errorf("got %+v, want unavailable", a)
			}
		})
	}
	b.cfg.AllowPrivate = loopback
	named := b.Issue(t, mint.Request{OCSPServer: []string{"http://localhost:" + u.Port()}})
	if a := b.client(t).Check(t.Context(), named.Cert, b.Authority.Cert); a.Status != ocsp.Good {
		t.Errorf("allowed: %+v", a)
	}
	if got := b.Requests(); got != 1 {
		t.Errorf("%d requests, want only the allowed one", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]ocsp.Config{
		"negative time":  {Timeout: -1},
		"negative skew":  {Limits: ocsp.Limits{Skew: -1}},
		"negative count": {Concurrent: -1},
		"no range":       {AllowPrivate: []netip.Prefix{{}}},
		"mapped range":   {AllowPrivate: []netip.Prefix{netip.MustParsePrefix("::ffff:127.0.0.0/104")}},
	} {
		if c, err := ocsp.New(cfg); err == nil {
			c.Close()
			t.Errorf("%s: no error", name)
		}
	}
}
