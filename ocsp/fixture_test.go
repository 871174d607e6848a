package ocsp_test

import (
	"bytes"
	"context"
	"net/netip"
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
	puts    int
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
	s.puts++
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
	return c.Check(t.Context(), ocsp.Question{Leaf: b.leaf.Cert, Issuer: b.Authority.Cert})
}

// known reports whether an answer is of an earlier time.
func known(a ocsp.Answer) bool {
	return a.Source == ocsp.SourceMemory || a.Source == ocsp.SourceCache
}

// record collects what a Client tells.
type record struct {
	mu     sync.Mutex
	events []ocsp.Event
	came   chan struct{} // has an element once something came
}

func newRecord() *record { return &record{came: make(chan struct{}, 1)} }

func (r *record) observe(e ocsp.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	select {
	case r.came <- struct{}{}:
	default:
	}
}

// take returns what came since the last time.
func (r *record) take() []ocsp.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

// await waits for an event of that kind and returns it; what came before is
// dropped.
func (r *record) await(t *testing.T, kind ocsp.EventKind) ocsp.Event {
	t.Helper()
	for {
		r.mu.Lock()
		for i, e := range r.events {
			if e.Kind == kind {
				r.events = r.events[i+1:]
				r.mu.Unlock()
				return e
			}
		}
		r.events = nil
		r.mu.Unlock()
		select {
		case <-r.came:
		case <-t.Context().Done():
			t.Fatalf("no event %s", kind)
		}
	}
}

// kinds returns what came since the last time, one word an event, or "word:
// fault" where an answer was not to be had.
func (r *record) kinds() []string {
	var list []string
	for _, e := range r.take() {
		word := string(e.Kind)
		if e.Fault != "" {
			word += ": " + string(e.Fault)
		}
		list = append(list, word)
	}
	return list
}

// ask checks the bench's device with those settings.
func (b *bench) ask(t *testing.T, c *ocsp.Client, s muster.OCSPSettings) ocsp.Answer {
	t.Helper()
	return c.Check(t.Context(), ocsp.Question{Leaf: b.leaf.Cert, Issuer: b.Authority.Cert, Settings: s})
}
