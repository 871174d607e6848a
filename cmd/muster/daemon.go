package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/muster-mqtt/muster/api"
	"github.com/muster-mqtt/muster/api/awsiot"
	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/config"
	"github.com/muster-mqtt/muster/fleet"
	"github.com/muster-mqtt/muster/hooks"
	"github.com/muster-mqtt/muster/internal/metrics"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/sessions"
)

// daemon is a whole server without its sockets.
type daemon struct {
	*state
	metrics *metrics.Metrics
	broker  *broker.Broker
	iot     *awsiot.Dialect
	api     http.Handler

	sessions *sessions.Store
	fleet    *fleet.Service // of devices that provision themselves

	devices, operators serverCertificate // of the listeners for them

	supervisor supervisor
	reloader   *reloader // nil: what the configuration says stays

	checks   []check // of readiness
	draining atomic.Bool
	writer   pulse // of the registry
	loops    loops
}

// newLog returns the log of a server. Its level is that of the process, so that
// it can change while all the parts of the server hold loggers of their own.
func newLog(c *config.Config, w io.Writer) zerolog.Logger {
	if c.Log.Format == config.FormatConsole {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: true}
	}
	setLevel(c.Log.Level)
	return zerolog.New(w).With().Timestamp().Logger()
}

func newDaemon(ctx context.Context, c *config.Config, log zerolog.Logger) (_ *daemon, err error) {
	d := &daemon{metrics: metrics.New(), supervisor: supervisor{log}}
	d.devices.listener, d.operators.listener = metrics.ListenerMQTT, metrics.ListenerAPI
	devices, err := loadPair("mqtt", c.MQTT.Certificate, c.MQTT.Key)
	if err != nil {
		return nil, err
	}
	operators, err := loadPair("api", c.API.Certificate, c.API.Key)
	if err != nil {
		return nil, err
	}
	d.devices.show(devices, d.metrics)
	d.operators.show(operators, d.metrics)
	d.state, err = openState(ctx, c, log, d.metrics)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if err = d.openSessions(); err != nil {
		return nil, err
	}
	if d.fleet, err = d.newFleet(); err != nil {
		return nil, err
	}
	if d.broker, err = d.newBroker(); err != nil {
		return nil, err
	}
	d.mqtt.publishOn(d.broker, c.Region)
	d.iot, err = awsiot.New(awsiot.Config{Store: d.store, Region: c.Region, RequestsPerKey: c.API.RequestsPerKey, Publishable: fleet.Serves})
	if err != nil {
		return nil, err
	}
	d.api, err = api.New(api.Config{Dialects: []api.Dialect{d.iot}, Log: log, Observe: d.metrics.APIRequest})
	if err != nil {
		return nil, err
	}
	d.checks = d.readiness()
	d.observe()
	return d, nil
}

func (d *daemon) newBroker() (*broker.Broker, error) {
	c := d.config
	policies := hooks.NewPolicies()
	newHooks := func(account string, s *mqtt.Server) ([]mqtt.Hook, error) {
		return d.withSessions(account, hooks.Config{
			Server: s, Gate: d.gate, Principals: d.store, Policies: policies, Region: c.Region,
			Refusals:      hooks.Refusals(c.MQTT.Refusals),
			CloseFirst:    c.MQTT.FirstConnection == config.FirstConnectionClose,
			OneConnection: hooks.OneConnection(c.MQTT.OneConnection),
			KeepAliveMax:  c.MQTT.KeepAliveMax, Requests: fleetRequests{d.fleet},
			Observer: hookObserver{d.metrics}, Log: d.log,
		})
	}
	stored, err := d.sessions.Accounts()
	if err != nil {
		return nil, err
	}
	return broker.New(broker.Config{
		Gate: d.gate, TLS: d.devices.tls(), NewHooks: newHooks, Accounts: stored,
		HandshakeTimeout: c.MQTT.HandshakeTimeout, ConnectTimeout: c.MQTT.ConnectTimeout,
		MaxPacketSize: uint32(c.MQTT.MaxPacketSize),
		Limits:        brokerLimits(c),
		Drain:         c.MQTT.Drain,
		Observer:      brokerObserver{d.metrics}, Log: d.log,
	})
}

// layer is parts of a server that run together. It ends when one of them fails,
// or the layer under it ends.
type layer struct {
	*errgroup.Group
	ctx context.Context
	end context.CancelFunc
}

func newLayer(under context.Context) layer {
	ctx, end := context.WithCancel(under)
	parts, ctx := errgroup.WithContext(ctx)
	return layer{parts, ctx, end}
}

// finish ends the layer and returns what failed in it.
func (l layer) finish() error {
	l.end()
	return l.Wait()
}

// run serves until ctx ends or a part fails; then it ends them all, from the top:
// first the devices are sent away, while revocations reach those that are left
// and operators see what happens; then requests finish; what they all stand on,
// the registry's own work and the memory of refusals, ends last. The end of
// patient does away with all waiting.
func (d *daemon) run(ctx, patient context.Context, l *listeners) error {
	foundation := newLayer(context.WithoutCancel(ctx))
	services := newLayer(foundation.ctx)
	devices := newLayer(services.ctx)
	defer context.AfterFunc(ctx, func() { d.stopping(devices.end) })()
	defer context.AfterFunc(devices.ctx, func() { d.draining.Store(true) })()
	defer context.AfterFunc(patient, d.broker.Hurry)()

	foundation.Go(func() error { return d.engine.Run(foundation.ctx) })
	foundation.Go(func() error { return d.store.Run(foundation.ctx) })
	foundation.Go(func() error { d.memory.Run(foundation.ctx); return nil })
	foundation.Go(func() error { d.events.Run(foundation.ctx, patient); return nil })
	foundation.Go(func() error { d.sessions.Run(foundation.ctx); return nil })
	foundation.Go(func() error { d.writer.feel(foundation.ctx, d.store.Beat); return nil })
	foundation.Go(func() error { d.supervisor.watch(foundation.ctx, d.alive); return nil })
	seq, err := d.store.Seq(foundation.ctx) // whether or not ctx has ended
	if err == nil {
		d.serve(services, patient, l, seq)
		listeners := append(d.loops.watch("mqtt", l.mqtt...), overWebSocket(d.loops.watch("websocket", l.websocket...))...)
		devices.Go(func() error { return d.broker.Serve(devices.ctx, listeners...) })
		if d.reloader != nil {
			devices.Go(func() error { d.reloader.run(devices.ctx); return nil })
		}
		err = devices.Wait()
	}
	err = errors.Join(err, services.finish(), foundation.finish())
	if patient.Err() != nil {
		err = errors.Join(err, errHurried)
	}
	return err
}

// serve starts what serves besides the broker, and what keeps that in step.
func (d *daemon) serve(services layer, patient context.Context, l *listeners, seq uint64) {
	ctx := services.ctx
	operators := d.loops.watch("api", l.api)[0]
	services.Go(func() error { return d.follow(ctx, seq) })
	services.Go(func() error { d.fleet.Run(ctx); return nil })
	services.Go(func() error { d.mqtt.run(ctx); return nil })
	services.Go(func() error { d.broker.Recheck(ctx, d.config.OCSP.Recheck); return nil })
	services.Go(func() error { return d.serveHTTP(ctx, patient, d.api, operators, callers(descriptors())) })
	services.Go(func() error { return d.serveHTTP(ctx, patient, d.probes(), l.http, watchers) })
	services.Go(func() error { return d.serveHTTP(ctx, patient, d.admin.Handler(), l.admin, watchers) })
}

// stopping begins the end: whoever asks hears of it before the first connection
// is refused.
func (d *daemon) stopping(end func()) {
	d.draining.Store(true)
	d.supervisor.stopping(d.broker.Drain())
	end()
}

// follow keeps live connections in step with the registry. When it cannot keep
// pace it judges all of them and begins anew.
func (d *daemon) follow(ctx context.Context, after uint64) error {
	for {
		err := d.broker.Follow(ctx, d.store.Changes, after)
		if err == nil {
			return nil
		}
		if !errors.Is(err, registry.ErrTooOld) {
			return fmt.Errorf("following the registry's changes: %w", err)
		}
		if after, err = d.store.Seq(ctx); err != nil {
			return err
		}
		d.log.Warn().Msg("too many changes at once: all connections are judged again")
		d.broker.RejudgeAll(ctx)
	}
}

// HTTP timeouts: a request is small and its answer ready at once.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 5 * time.Second
	breakTimeout  = time.Second
)

// serveHTTP serves l, with so many connections at most, until ctx ends, and lets
// requests under way finish for stopTimeout, unless patient ends.
func (d *daemon) serveHTTP(ctx, patient context.Context, h http.Handler, l net.Listener, most int) error {
	requests, breakOff := context.WithCancel(context.WithoutCancel(ctx))
	defer breakOff()
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: 2 * bodyTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10,
		// What strangers get wrong is no news: TLS handshakes of port scanners.
		ErrorLog:    stdlog.New(debugWriter{d.log}, "", 0),
		BaseContext: func(net.Listener) context.Context { return requests },
		ConnState:   newCrowd(most).note,
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { stopped <- shutDown(patient, s, breakOff) })
	err := s.Serve(l)
	if stop() {
		return err // ended by itself
	}
	return <-stopped
}

// shutDown ends a server in bounded time: a backup may take minutes, and the
// registry cannot close before it. Who is still at it after stopTimeout is told,
// and then cut off.
func shutDown(patient context.Context, s *http.Server, breakOff func()) error {
	wait := func(under context.Context, d time.Duration) error {
		ctx, cancel := context.WithTimeout(under, d)
		defer cancel()
		return s.Shutdown(ctx)
	}
	err := wait(patient, stopTimeout)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		breakOff()
		err = wait(context.Background(), breakTimeout)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.Close()
	}
	return err
}

// debugWriter logs what net/http has to say.
type debugWriter struct{ log zerolog.Logger }

func (w debugWriter) Write(p []byte) (int, error) {
	w.log.Debug().Msg(strings.TrimSpace(string(p)))
	return len(p), nil
}
