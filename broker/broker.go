package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
)

// Observer counts what happens to connections. Its methods must not block.
type Observer interface {
	// Handshake tells why a handshake failed; "" when it did not.
	Handshake(reason muster.Reason, took time.Duration)
	Inspected(took time.Duration)
	Rejected(limit string) // closed before the handshake, by this limit
	// Refused tells of a connection whose CONNECT never came or was none; all
	// others are hooks' to tell of.
	Refused(reason muster.Reason)
	Open(change int) // connections: +1 or -1
	// Rechecked tells that OCSP was asked about a live connection, and for what
	// that was closed; "" when it stays.
	Rechecked(reason muster.Reason, took time.Duration)
}

// Config is what a Broker is made of.
type Config struct {
	Gate *admission.Gate
	TLS  *tls.Config // server certificates; Gate.TLSConfig adds the rest
	// NewHooks makes the hooks of the mochi server of an account, exactly one of
	// which authenticates; "" is the account of connections that belong to none.
	NewHooks func(account string, s *mqtt.Server) ([]mqtt.Hook, error)
	// Accounts have sessions in a store: New makes their servers, so that what
	// their hooks bring back is there before the first connection. Others get
	// theirs when their first device connects.
	Accounts []string

	HandshakeTimeout time.Duration // of TLS; default 10 s
	ConnectTimeout   time.Duration // from there to CONNECT; default 10 s
	MaxPacketSize    uint32        // bytes; default 256 KiB
	Drain            time.Duration // over which goodbyes are spread when Serve stops; default 10 s
	Limits           Limits
	Observer         Observer // nil for none
	Log              zerolog.Logger
}

// Broker serves MQTT over mutual TLS. Make it with New, run it with Serve.
type Broker struct {
	gate             *admission.Gate
	plain, web       *door // of listeners without and with WebSocket
	handshakeTimeout time.Duration
	connectTimeout   time.Duration
	observer         Observer
	log              zerolog.Logger
	refusals         zerolog.Logger // bounded rate, for what strangers cause
	limits           *limiter
	turns            *turnstile
	acquainted       *acquainted
	lastKnown        atomic.Int64 // when a known device came, in nanoseconds
	live             *live
	servers          *servers
	conns            sync.WaitGroup
	recheckers       chan struct{} // holds a token for each question under way
	drainTime        atomic.Int64  // a time.Duration
	hurried          chan struct{} // closed by Hurry
	hurry            sync.Once
}

// New makes a broker. It starts nothing.
func New(c Config) (*Broker, error) {
	if c.Gate == nil || c.NewHooks == nil || c.TLS == nil {
		return nil, errors.New("broker: Gate, TLS and NewHooks are needed")
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = 10 * time.Second
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	if c.MaxPacketSize == 0 {
		c.MaxPacketSize = 256 << 10
	}
	if c.Drain == 0 {
		c.Drain = 10 * time.Second
	}
	if c.Observer == nil {
		c.Observer = unobserved{}
	}
	secure := serverTLS(c.Gate, c.TLS)
	b := &Broker{
		gate: c.Gate, plain: &door{tls: secure}, web: webDoor(secure),
		handshakeTimeout: c.HandshakeTimeout, connectTimeout: c.ConnectTimeout,
		observer: c.Observer, log: c.Log,
		refusals: c.Log.Sample(&zerolog.BurstSampler{Burst: 50, Period: time.Second}),
		limits:   newLimiter(c.Limits),
		turns:    newTurnstile(), acquainted: newAcquainted(),
		live:    newLive(),
		servers: newServers(c.NewHooks, c.MaxPacketSize, c.Log),

		recheckers: make(chan struct{}, recheckers),
		hurried:    make(chan struct{}),
	}
	for _, account := range c.Accounts {
		if _, err := b.servers.make(account); err != nil {
			return nil, err
		}
	}
	b.SetDrain(c.Drain)
	c.Gate.SetBusy(b.busy)
	return b, nil
}

// Serve accepts connections from the listeners, those of type WebSocket among
// them, until ctx ends; then it closes the listeners, ends the handshakes under
// way, and takes leave of the clients, spread over Config.Drain: until its turn
// comes, each is served as before. It returns nil when none is left. A listener
// that somebody else closes ends it, too.
func (b *Broker) Serve(ctx context.Context, listeners ...net.Listener) error {
	if err := b.servers.start(); err != nil {
		return err
	}
	accepting, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error)
	for _, l := range listeners {
		go func() { ended <- b.acceptFrom(accepting, l) }()
	}
	var errs []error
	for range listeners {
		errs = append(errs, <-ended)
		stop()
	}
	return errors.Join(append(errs, b.drain())...)
}

// acceptFrom accepts connections until ctx ends, and then closes l. Errors of
// Accept do not end it: it waits and tries again, as net/http does, for a lack of
// descriptors passes.
func (b *Broker) acceptFrom(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var backoff time.Duration
	for {
		nc, err := l.Accept()
		if err == nil {
			backoff = 0
			b.accept(ctx, nc, b.doorOf(l))
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("listening on %s: %w", l.Addr(), err)
		}
		backoff = min(max(2*backoff, 5*time.Millisecond), time.Second)
		b.log.Error().Err(err).Dur("retry", backoff).Msg("accept")
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
		}
	}
}

// accept applies the limits and starts the connection's goroutine.
func (b *Broker) accept(ctx context.Context, nc net.Conn, d *door) {
	defer b.recovered(nc)
	done, limit := b.limits.admit(nc.RemoteAddr())
	if limit != "" {
		b.reject(nc, limit)
		return
	}
	b.conns.Add(1)
	go func() {
		defer b.recovered(nc)
		defer b.conns.Done()
		defer done.all()
		b.observer.Open(1)
		defer b.observer.Open(-1)
		b.handle(ctx, nc, d, done)
	}()
}

// recovered ends a connection that something panicked over. No other may pay
// for it.
func (b *Broker) recovered(nc net.Conn) {
	if r := recover(); r != nil {
		b.log.Error().Interface("panic", r).Bytes("stack", debug.Stack()).Stringer("remote", nc.RemoteAddr()).
			Msg("a connection panicked and was closed")
		_ = nc.Close()
	}
}

// handle is the life of one connection: handshake, index, inspection, MQTT. The
// end of ctx ends it before MQTT begins; later, drain takes leave of it.
func (b *Broker) handle(ctx context.Context, nc net.Conn, d *door, slot *slot) {
	tc, ok := b.handshake(ctx, nc, d)
	slot.handshakeDone()
	if !ok {
		return
	}
	c := newConn(tc, b.live)
	defer linger(nc, math.MaxInt64)
	defer c.leave()
	defer func() { _ = c.Close() }() // closed by mochi before, as a rule
	if !b.live.enter(c) {
		return // stopping
	}

	start := time.Now()
	c.inspected(b.gate.Inspect(ctx, tc.ConnectionState(), tc.RemoteAddr().String()))
	b.observer.Inspected(time.Since(start))
	b.came(c)
	defer b.left(c)
	if ctx.Err() != nil {
		return // what was found out may be half of it
	}

	living := context.WithoutCancel(ctx)
	// Who has no date (RFC 5280 §4.1.2.5) expires later than a Duration can say.
	expiry := time.AfterFunc(time.Until(b.gate.Expiry(c.candidate).Add(time.Millisecond)), func() { b.judge(living, c, time.Now()) })
	defer expiry.Stop()

	server, err := b.servers.of(c.candidate.Account)
	if err != nil {
		b.log.Error().Err(err).Str("account", c.candidate.Account).Msg("the account's server could not be started")
		return
	}
	deadline := time.Now().Add(b.connectTimeout)
	_ = tc.SetDeadline(deadline) // mochi sets its own after CONNECT
	transport, err := b.transport(d, c, deadline)
	if err == nil {
		err = b.establish(server, c, transport)
	}
	if !c.understood {
		b.unheard(c, err)
	}
	b.log.Debug().Err(err).Str("certificate", c.candidate.ID).Str("remote", c.candidate.Remote).Msg("connection ended")
}

// establish runs the MQTT connection to its end. mochi's decoders panic on
// some packets and nothing in mochi recovers: only this connection may pay.
func (b *Broker) establish(server *mqtt.Server, c *conn, transport net.Conn) (err error) {
	defer func() {
		r := recover()
		if r != nil {
			err = fmt.Errorf("panic: %v", r)
			b.log.Error().Interface("panic", r).Bytes("stack", debug.Stack()).
				Str("certificate", c.candidate.ID).Msg("a connection panicked and was closed")
		}
		if s := c.attached(); s != nil {
			s.End(r != nil)
		}
	}()
	return server.EstablishConnection(listenerID, transport)
}

type unobserved struct{}

func (unobserved) Handshake(muster.Reason, time.Duration) {}
func (unobserved) Inspected(time.Duration)                {}
func (unobserved) Rejected(string)                        {}
func (unobserved) Refused(muster.Reason)                  {}
func (unobserved) Open(int)                               {}
func (unobserved) Rechecked(muster.Reason, time.Duration) {}
