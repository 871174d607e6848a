// Package ocsp asks responders whether certificates still stand (RFC 6960),
// and believes no more of their answers than their signatures prove: see
// Validate. Package admission asks it about every device whose authority wants
// that; a Cache, which package registry implements, keeps answers over
// restarts.
//
// The caller verifies first that the issuer signed the certificate: the URL
// that is dialled comes from it.
package ocsp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
)

// Config configures a Client. Zero fields take their defaults.
type Config struct {
	Limits                                  // how old an answer may be
	Cache                  Cache            // keeps answers over restarts; nil: memory alone
	Now                    func() time.Time // default time.Now
	AllowPrivate           []netip.Prefix   // ranges that may be dialled though they are private or reserved; default none
	Roots                  *x509.CertPool   // of responders with https URLs; nil: the system's
	Timeout                time.Duration    // for a whole Check: waiting, connecting, every URL; default 5 s
	FirstReply             time.Duration    // from connecting to the reply's header, each URL; default 2 s
	MaxBody                int64            // bytes of a reply; default 64 KiB
	Retry                  time.Duration    // until the next try after a failure or an unknown; default 10 s
	Concurrent             int              // requests at once to all responders; default 64
	ConcurrentPerResponder int              // requests at once to one host and port; default 16
	Waiting                int              // certificates being asked about at once; default 4096
	Remembered             int              // answers in memory; default 50,000
	Observe                func(Event)      // told of what happens, from any goroutine; must not block; nil: nobody is
	Log                    zerolog.Logger
}

func (c Config) orDefaults() Config {
	c.Limits = c.Limits.orDefaults()
	if c.Now == nil {
		c.Now = time.Now
	}
	setDefault(&c.Timeout, 5*time.Second)
	setDefault(&c.FirstReply, 2*time.Second)
	setDefault(&c.MaxBody, 64<<10)
	setDefault(&c.Retry, 10*time.Second)
	setDefault(&c.Concurrent, 64)
	setDefault(&c.ConcurrentPerResponder, 16)
	setDefault(&c.Waiting, 4096)
	setDefault(&c.Remembered, 50_000)
	return c
}

func setDefault[T ~int | ~int64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Client asks responders. Its methods may be called from several goroutines.
type Client struct {
	cfg      Config
	exchange *exchange
	log      zerolog.Logger // bounded: a dead responder fails every device

	ctx     context.Context // ends with Close; flights outlive their callers
	cancel  context.CancelFunc
	flights sync.WaitGroup

	mu     sync.Mutex // guards all below
	known  memory
	flying map[string]*flight
	closed bool
}

// flight is one question under way, which all who ask it meanwhile share.
type flight struct {
	done   chan struct{}
	answer Answer // set before done is closed
}

// New returns a Client. Close it after use.
func New(cfg Config) (*Client, error) {
	cfg = cfg.orDefaults()
	if min(cfg.Skew, cfg.MaxAge, cfg.Keep, cfg.Timeout, cfg.FirstReply, cfg.Retry) < 0 ||
		cfg.MaxBody < 0 || min(cfg.Concurrent, cfg.ConcurrentPerResponder, cfg.Waiting, cfg.Remembered) < 0 {
		return nil, errors.New("ocsp: a limit is negative")
	}
	e, err := newExchange(cfg)
	if err != nil {
		return nil, fmt.Errorf("ocsp: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Client{
		cfg:      cfg,
		exchange: e,
		log:      cfg.Log.Sample(&zerolog.BurstSampler{Burst: 10, Period: time.Second}),
		ctx:      ctx,
		cancel:   cancel,
		known:    newMemory(cfg.Remembered),
		flying:   map[string]*flight{},
	}, nil
}

// Close ends what is under way, waits for it, and closes idle connections.
// Later Checks answer what is known and Unavailable for the rest.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.flights.Wait()
	c.exchange.client.CloseIdleConnections()
}

// Breakers returns the responders that are not asked at present.
func (c *Client) Breakers() []Breaker { return nil }

// Question asks whether a certificate still stands.
type Question struct {
	Leaf, Issuer *x509.Certificate // the caller verified that Issuer's key signed Leaf
	Settings     muster.OCSPSettings
	Brought      []byte // a response that the device itself brought, DER; nil for none
	Offline      bool   // go by Brought and by what is known, and ask nobody
}

// Check says what is known of a certificate: from memory, from the Cache, or
// from a responder. It always answers; why it could not find out is in the
// Detail. When ctx ends first, the answer is Unavailable at once, and what is
// under way goes on for others.
func (c *Client) Check(ctx context.Context, q Question) Answer {
	leaf, issuer := q.Leaf, q.Issuer
	if leaf == nil || issuer == nil {
		return unavailable("the certificate or its issuer is missing")
	}
	if len(leaf.OCSPServer) == 0 {
		return Answer{Status: NoURL}
	}
	f, a := c.join(Key(leaf, issuer), leaf, issuer)
	if f == nil {
		return a
	}
	select {
	case <-f.done:
		return f.answer
	case <-ctx.Done():
		return unavailable("stopped waiting for an answer: " + ctx.Err().Error())
	}
}

func unavailable(detail string) Answer { return Answer{Status: Unavailable, Detail: detail} }

// join returns the flight that will answer, or nil and the answer at hand.
func (c *Client) join(key string, leaf, issuer *x509.Certificate) (*flight, Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok := c.known.get(key, c.cfg.Now()); ok {
		a.Source = SourceMemory
		return nil, a
	}
	if f := c.flying[key]; f != nil {
		return f, Answer{}
	}
	if c.closed {
		return nil, unavailable("the client is closed")
	}
	if len(c.flying) >= c.cfg.Waiting {
		return nil, unavailable(fmt.Sprintf("%d other certificates are being asked about already", len(c.flying)))
	}
	f := &flight{done: make(chan struct{})}
	c.flying[key] = f
	c.flights.Go(func() { c.fly(f, key, leaf, issuer) })
	return f, Answer{}
}

// fly finds the answer, remembers it and lands, in this order: whoever comes
// later finds either the flight or what it found.
func (c *Client) fly(f *flight, key string, leaf, issuer *x509.Certificate) {
	ctx, cancel := context.WithTimeoutCause(c.ctx, c.cfg.Timeout, fmt.Errorf("no answer within %s", c.cfg.Timeout))
	defer cancel()
	a, ok := c.recall(ctx, key, leaf, issuer)
	if !ok {
		a = c.ask(ctx, key, leaf, issuer)
	}
	f.answer = a
	now := c.cfg.Now()
	c.mu.Lock()
	c.known.put(key, a, c.until(a, now), now)
	delete(c.flying, key)
	c.mu.Unlock()
	close(f.done)
}

// until returns how long memory holds an answer. One from the Cache is read
// again after a while, for only the Cache knows when it was fetched, on which
// Limits.Keep counts.
func (c *Client) until(a Answer, now time.Time) time.Time {
	if a.Final() {
		return time.Time{}
	}
	retry := now.Add(c.cfg.Retry)
	if a.Status != Good && a.Status != Revoked || a.Expires.Before(retry) {
		return retry
	}
	if reread := now.Add(c.cfg.MaxAge); a.Source == SourceCache && reread.Before(a.Expires) {
		return reread
	}
	return a.Expires
}
