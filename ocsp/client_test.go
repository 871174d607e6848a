package ocsp_test

import (
	"context"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
)

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
			if a.Status != ocsp.Good || a.Responder != b.URL || known(a) {
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
		want                ocsp.Fault
		detail              string
		requests            int // one, or one by GET and one by POST
	}{
		{testpki.Oversized, 0, 0, ocsp.FaultOversized, "longer than 65536 bytes", 2},
		{testpki.Slow, 50 * time.Millisecond, 0, ocsp.FaultTimeout, "no reply within 50ms", 1},
		{testpki.Slow, 0, 50 * time.Millisecond, ocsp.FaultTimeout, "no answer within 50ms", 1},
		{testpki.SlowBody, 0, 200 * time.Millisecond, ocsp.FaultTimeout, "no answer within 200ms", 1},
		{testpki.Redirect, 0, 0, ocsp.FaultRedirect, "redirects are not followed", 2},
		{testpki.HTTP500, 0, 0, ocsp.FaultHTTPStatus, "HTTP status 500", 2},
		{testpki.Busy, 0, 0, ocsp.FaultTryLater, "HTTP status 503", 1},
		{testpki.TryLater, 0, 0, ocsp.FaultTryLater, "tryLater", 1},
		{testpki.Reset, 0, 0, ocsp.FaultBroken, "", 2},
		{testpki.Unauthorized, 0, 0, ocsp.FaultUnauthorized, "unauthorized", 2},
	}
	for _, c := range cases {
		t.Run(string(c.fault), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.cfg.FirstReply, b.cfg.Timeout = c.firstReply, c.timeout
			b.Fail(c.fault)
			a := b.check(t, b.client(t))
			if a.Status != ocsp.Unavailable || a.Fault != c.want || !strings.Contains(a.Detail, c.detail) {
				t.Errorf("got %+v, want unavailable for %s: %q", a, c.want, c.detail)
			}
			if got := b.Requests(); got != c.requests {
				t.Errorf("%d requests, want %d", got, c.requests)
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
	if a := c.Check(t.Context(), ocsp.Question{Leaf: held.Cert, Issuer: b.Authority.Cert}); a.Status != ocsp.Revoked || !a.Hold || a.Final() {
		t.Errorf("certificateHold: %+v", a)
	}
	if a := c.Check(t.Context(), ocsp.Question{Leaf: gone.Cert, Issuer: b.Authority.Cert}); a.Status != ocsp.Unknown {
		t.Errorf("forgotten: %+v", a)
	}
}

func TestCheckAsksNobody(t *testing.T) {
	b := newBench(t)
	c := b.client(t)
	silent := b.Issue(t, mint.Request{OCSPServer: []string{}})
	if a := c.Check(t.Context(), ocsp.Question{Leaf: silent.Cert, Issuer: b.Authority.Cert}); a.Status != ocsp.NoURL {
		t.Errorf("no URL: %+v", a)
	}
	if a := c.Check(t.Context(), ocsp.Question{Leaf: b.leaf.Cert, Issuer: nil}); a.Status != ocsp.Unavailable {
		t.Errorf("no issuer: %+v", a)
	}
	odd := b.Issue(t, mint.Request{OCSPServer: []string{"ldap://x/", "file:///etc/passwd", "http://", "::", ""}})
	if a := c.Check(t.Context(), ocsp.Question{Leaf: odd.Cert, Issuer: b.Authority.Cert}); a.Status != ocsp.Unavailable || !strings.Contains(a.Detail, "http") {
		t.Errorf("no usable URL: %+v", a)
	}
	long := b.Issue(t, mint.Request{OCSPServer: []string{b.URL + "/" + strings.Repeat("x", 2048)}})
	if a := c.Check(t.Context(), ocsp.Question{Leaf: long.Cert, Issuer: b.Authority.Cert}); a.Fault != ocsp.FaultSettings || len(a.Detail) > 400 {
		t.Errorf("an endless URL: %+v", a)
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
	if a := c.Check(t.Context(), ocsp.Question{Leaf: third.Cert, Issuer: b.Authority.Cert}); a.Status != ocsp.Good || a.Responder != b.URL {
		t.Errorf("third responder: %+v", a)
	}
	a := c.Check(t.Context(), ocsp.Question{Leaf: fourth.Cert, Issuer: b.Authority.Cert})
	if a.Status != ocsp.Unavailable || !strings.Contains(a.Detail, "refused") || !strings.Contains(a.Detail, "not an OCSPResponse") {
		t.Errorf("a fourth is not asked, and each failure is told: %+v", a)
	}
}

// What a certificate quotes is not remembered at any length.
func TestCheckTellsShortly(t *testing.T) {
	b := newBench(t)
	b.Fail(testpki.Garbage)
	url := b.URL + "/" + strings.Repeat("x", 2000)
	long := b.Issue(t, mint.Request{OCSPServer: []string{url + "1", url + "2", url + "3"}})
	a := b.client(t).Check(t.Context(), ocsp.Question{Leaf: long.Cert, Issuer: b.Authority.Cert})
	if a.Status != ocsp.Unavailable || len(a.Detail) > 2000 {
		t.Errorf("a detail of %d bytes: %+v", len(a.Detail), a)
	}
}

// When the time is up, that is why, and nobody else is asked.
func TestCheckTimeIsUp(t *testing.T) {
	b, other := newBench(t), testpki.NewResponder(t)
	b.cfg.FirstReply, b.cfg.Timeout = time.Hour, 50*time.Millisecond
	b.Fail(testpki.Slow)
	b.leaf = b.Issue(t, mint.Request{OCSPServer: []string{b.URL, other.URL}})
	a := b.check(t, b.client(t))
	if a.Fault != ocsp.FaultTimeout || a.Responder != b.URL || other.Requests() != 0 {
		t.Errorf("%+v after %d requests to the next", a, other.Requests())
	}
}

func TestCheckSingleFlight(t *testing.T) {
	const callers = 64
	b := newBench(t)
	release := b.Hold()
	c := b.client(t)
	answers := make(chan ocsp.Answer, callers)
	for range callers {
		go func() {
			answers <- c.Check(context.Background(), ocsp.Question{Leaf: b.leaf.Cert, Issuer: b.Authority.Cert})
		}()
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
	if a := c.Check(ctx, ocsp.Question{Leaf: b.leaf.Cert, Issuer: b.Authority.Cert}); a.Status != ocsp.Unavailable || !strings.Contains(a.Detail, "stopped waiting") {
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
	c.Check(ctx, ocsp.Question{Leaf: b.leaf.Cert, Issuer: b.Authority.Cert}) // its flight stays
	go func() { first <- b.check(t, c) }()
	other := b.Issue(t, mint.Request{})
	if a := c.Check(t.Context(), ocsp.Question{Leaf: other.Cert, Issuer: b.Authority.Cert}); a.Status != ocsp.Unavailable {
		t.Errorf("beyond the bound: %+v", a)
	}
	release()
	<-first
	if a := c.Check(t.Context(), ocsp.Question{Leaf: other.Cert, Issuer: b.Authority.Cert}); a.Status != ocsp.Good {
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
	c.Check(ctx, ocsp.Question{Leaf: b.leaf.Cert, Issuer: b.Authority.Cert}) // its flight stays, for an hour if nobody ends it
	c.Close()
	if a := b.check(t, c); a.Status != ocsp.Unavailable || !known(a) {
		t.Errorf("what was under way: %+v", a)
	}
	other := b.Issue(t, mint.Request{})
	if a := c.Check(t.Context(), ocsp.Question{Leaf: other.Cert, Issuer: b.Authority.Cert}); a.Status != ocsp.Unavailable || !strings.Contains(a.Detail, "closed") {
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
			a := b.client(t).Check(t.Context(), ocsp.Question{Leaf: leaf.Cert, Issuer: b.Authority.Cert})
			if a.Status != ocsp.Unavailable || !strings.Contains(a.Detail, "private or reserved") {
				t.Errorf("got %+v, want unavailable", a)
			}
		})
	}
	b.cfg.AllowPrivate = loopback
	named := b.Issue(t, mint.Request{OCSPServer: []string{"http://localhost:" + u.Port()}})
	if a := b.client(t).Check(t.Context(), ocsp.Question{Leaf: named.Cert, Issuer: b.Authority.Cert}); a.Status != ocsp.Good {
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
