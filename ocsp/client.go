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
	Roots                  *x509.CertPool   // of https responders whose settings name none; nil: the system's
	Timeout                time.Duration    // for a whole Check: waiting, connecting, every URL; default 5 s
	FirstReply             time.Duration    // from connecting to the reply's header, each request; default 2 s
	MaxBody                int64            // bytes of a reply; default 64 KiB
	Retry                  time.Duration    // until the next try after a failure or an unknown; default 10 s
	BreakAfter             int              // failures in a row after which a responder is not asked for a while; default 5
	BreakAtMost            time.Duration    // that while begins with Retry and doubles up to this; default 1 minute
	Concurrent             int              // requests at once to all responders; default 64
	ConcurrentPerResponder int              // of these, to one scheme, host and port; default a quarter of Concurrent, at least 1
	Refreshing             int              // answers being refreshed at once, half of them from one responder; default 8
	Waiting                int              // certificates being asked about at once; default 4096
	WaitingPerResponder    int              // of these, at one responder; default half of Waiting, at least 1
	Waiters                int              // Checks waiting for an answer at once, half of them from one responder; default twice Waiting
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
	setDefault(&c.BreakAfter, 5)
	setDefault(&c.BreakAtMost, time.Minute)
	setDefault(&c.Concurrent, 64)
	setDefault(&c.ConcurrentPerResponder, max(1, c.Concurrent/4))
	setDefault(&c.Refreshing, 8)
	setDefault(&c.Waiting, 4096)
	setDefault(&c.WaitingPerResponder, max(1, c.Waiting/2))
	setDefault(&c.Waiters, 2*c.Waiting)
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
	cfg        Config
	known      *knowledge
	responders *responders
	transports *transports
	exchange   exchange
	limiter    *limiter
	log        zerolog.Logger // bounded: a dead responder fails every device

	ctx     context.Context // ends with Close; flights outlive their callers
	cancel  context.CancelFunc
	flights sync.WaitGroup

	mu      sync.Mutex // guards all below
	flying  map[id]*flight
	towards map[string]*load // what concerns each responder
	waiters int              // Checks that wait for a flight
	ahead   int              // flights that refresh
	closed  bool
}

// New returns a Client. Close it after use.
func New(cfg Config) (*Client, error) {
	cfg = cfg.orDefaults()
	if min(cfg.Skew, cfg.MaxAge, cfg.Keep, cfg.Timeout, cfg.FirstReply, cfg.Retry, cfg.BreakAtMost) < 0 ||
		cfg.MaxBody < 0 || min(cfg.Concurrent, cfg.ConcurrentPerResponder, cfg.Refreshing, cfg.Waiting,
		cfg.WaitingPerResponder, cfg.Waiters, cfg.Remembered, cfg.BreakAfter) < 0 {
		return nil, errors.New("ocsp: a limit is negative")
	}
	g, err := newGuard(cfg.AllowPrivate)
	if err != nil {
		return nil, fmt.Errorf("ocsp: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	log := cfg.Log.Sample(&zerolog.BurstSampler{Burst: 10, Period: time.Second})
	return &Client{
		cfg:        cfg,
		known:      &knowledge{cfg: cfg, log: log, memory: newMemory(cfg.Remembered)},
		responders: newResponders(cfg),
		transports: newTransports(cfg, g),
		exchange:   exchange{cfg.FirstReply, cfg.MaxBody},
		limiter:    newLimiter(cfg.Concurrent, cfg.ConcurrentPerResponder),
		log:        log,
		ctx:        ctx,
		cancel:     cancel,
		flying:     map[id]*flight{},
		towards:    map[string]*load{},
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
	c.transports.close()
}

// Breakers returns the responders that are not asked at present, in no order.
func (c *Client) Breakers() []Breaker { return c.responders.open() }

func (c *Client) tell(e Event) {
	if c.cfg.Observe != nil {
		c.cfg.Observe(e)
	}
}

// Question asks whether a certificate still stands.
type Question struct {
	Leaf, Issuer *x509.Certificate // the caller verified that Issuer's key signed Leaf
	Settings     muster.OCSPSettings
	Brought      []byte // a response that the device itself brought, DER; nil for none
	Offline      bool   // go by Brought and by what is known, and ask nobody
}

// Check says what is known of a certificate: from memory, from what the device
// brought, from the Cache, or from a responder. It always answers; why it could
// not find out is in the Detail. When ctx ends first, the answer is Unavailable
// at once, and what is under way goes on for others. The mode of the Settings
// does not matter: whoever calls Check wants an answer.
func (c *Client) Check(ctx context.Context, q Question) Answer {
	if q.Leaf == nil || q.Issuer == nil {
		return unavailable(FaultMissingArgument, "the certificate or its issuer is missing")
	}
	in := inquiry{Question: q, cert: identify(q.Leaf, q.Issuer)}
	if len(q.Brought) == 0 {
		return c.answer(ctx, &in)
	}
	a, err := c.bring(ctx, &in)
	if err != nil {
		a = c.answer(ctx, &in)
		detail := "what the device brought does not count: " + err.Error()
		if a.Detail != "" {
			detail += "; " + a.Detail
		}
		a.Detail = detail
	}
	return a
}

// answer answers without what the device brought.
func (c *Client) answer(ctx context.Context, in *inquiry) Answer {
	if e, ok := c.known.current(in.cert); ok && e.counts(in.Settings.Nonce) {
		c.refresh(in, e)
		return c.tellKnown(e.answer)
	}
	in.plan()
	var a Answer
	if in.Offline {
		a = c.offline(ctx, in)
	} else {
		a = c.wait(ctx, in)
	}
	if a.proves() {
		return a
	}
	// A hold without the nonce that is required now says more than nothing.
	if e, ok := c.known.current(in.cert); ok && e.answer.Status == Revoked {
		return c.tellKnown(e.answer)
	}
	return a
}

// offline answers by what is known.
func (c *Client) offline(ctx context.Context, in *inquiry) Answer {
	if e, ok := c.known.recall(ctx, in); ok && e.counts(in.Settings.Nonce) {
		return c.tellKnown(e.answer)
	}
	if e, ok := c.known.current(in.self); ok {
		return c.tellKnown(e.answer)
	}
	if in.err == nil && len(in.urls) == 0 {
		return Answer{Status: NoURL}
	}
	return Answer{Status: NotAsked, Detail: "nobody was asked, and nothing is known of it"}
}

func (c *Client) tellKnown(a Answer) Answer {
	c.tell(Event{Kind: EventKnown, Status: a.Status, Fault: a.Fault, Source: a.Source})
	return a
}
