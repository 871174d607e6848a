package main

import (
	"context"
	"crypto/tls"
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
	"github.com/muster-mqtt/muster/hooks"
	"github.com/muster-mqtt/muster/internal/metrics"
	"github.com/muster-mqtt/muster/registry"
)

// daemon is a whole server without its sockets.
type daemon struct {
	*state
	metrics *metrics.Metrics
	broker  *broker.Broker
	api     http.Handler
	tls     *tls.Config // of the API

	checks   []check // of readiness
	draining atomic.Bool
	writer   pulse // of the registry
	loops    loops
}

func newLog(c *config.Config, w io.Writer) zerolog.Logger {
	if c.Log.Format == config.FormatConsole {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: true}
	}
	level, err := zerolog.ParseLevel(string(c.Log.Level))
	if err != nil {
		level = zerolog.InfoLevel
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

func newDaemon(ctx context.Context, c *config.Config, log zerolog.Logger) (d *daemon, err error) {
	d = &daemon{metrics: metrics.New()}
	mqttTLS, err := d.loadCertificate(metrics.ListenerMQTT, "mqtt", c.MQTT.Certificate, c.MQTT.Key)
	if err != nil {
		return nil, err
	}
	d.tls, err = d.loadCertificate(metrics.ListenerAPI, "api", c.API.Certificate, c.API.Key)
	if err != nil {
		return nil, err
	}
	d.state, err = openState(ctx, c, log, d.metrics)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if d.broker, err = d.newBroker(mqttTLS); err != nil {
		return nil, err
	}
	iot, err := awsiot.New(awsiot.Config{Store: d.store, Region: c.Region})
	if err != nil {
		return nil, err
	}
	d.api, err = api.New(api.Config{Dialects: []api.Dialect{iot}, Log: log, Observe: d.metrics.APIRequest})
	if err != nil {
		return nil, err
	}
	d.checks = d.readiness()
	d.observe()
	return d, nil
}

func (d *daemon) loadCertificate(l metrics.Listener, section, certificate, key string) (*tls.Config, error) {
	pair, err := loadPair(section, certificate, key)
	if err != nil {
		return nil, err
	}
	d.metrics.CertificateExpires(l, pair.Leaf.NotAfter)
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func (d *daemon) newBroker(serverTLS *tls.Config) (*broker.Broker, error) {
	c := d.config
	policies := hooks.NewPolicies()
	newHooks := func(_ string, s *mqtt.Server) ([]mqtt.Hook, error) {
		h, err := hooks.New(hooks.Config{
			Server: s, Gate: d.gate, Principals: d.store, Policies: policies, Region: c.Region,
			Refusals:      hooks.Refusals(c.MQTT.Refusals),
			CloseFirst:    c.MQTT.FirstConnection == config.FirstConnectionClose,
			OneConnection: hooks.OneConnection(c.MQTT.OneConnection),
			KeepAliveMax:  c.MQTT.KeepAliveMax, Observer: hookObserver{d.metrics}, Log: d.log,
		})
		return []mqtt.Hook{h}, err
	}
	return broker.New(broker.Config{
		Gate: d.gate, TLS: serverTLS, NewHooks: newHooks,
		HandshakeTimeout: c.MQTT.HandshakeTimeout, ConnectTimeout: c.MQTT.ConnectTimeout,
		MaxPacketSize: uint32(c.MQTT.MaxPacketSize),
		Limits: broker.Limits{
			Connections: c.Limits.Connections, Handshakes: c.Limits.Handshakes,
			Connects: c.Limits.Connects, ConnectsPerAddress: c.Limits.ConnectsPerAddress,
		},
		Observer: brokerObserver{d.metrics}, Log: d.log,
	})
}

// run serves until ctx ends or a part fails; then it ends them all. What the
// others stand on, the registry's own work and the memory of refusals, ends
// last, after those who still use it.
func (d *daemon) run(ctx context.Context, l *listeners) error {
	foundation, endFoundation := context.WithCancel(context.WithoutCancel(ctx))
	base, foundation := errgroup.WithContext(foundation)
	base.Go(func() error { return d.engine.Run(foundation) })
	base.Go(func() error { return d.store.Run(foundation) })
	base.Go(func() error { d.memory.Run(foundation); return nil })
	base.Go(func() error { d.events.Run(foundation); return nil })

	front, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(foundation, func() { l.close() }) // a failed foundation ends the front
	defer stop()
	defer context.AfterFunc(ctx, func() { d.draining.Store(true) })()
	devices, operators := d.loops.watch("mqtt", l.mqtt...), d.loops.watch("api", l.api)[0]
	devices = append(devices, overWebSocket(d.loops.watch("websocket", l.websocket...))...)
	seq, err := d.store.Seq(ctx)
	if err == nil {
		front.Go(func() error { d.writer.feel(ctx, d.store.Beat); return nil })
		front.Go(func() error { return d.follow(ctx, seq) })
		front.Go(func() error { return d.broker.Serve(ctx, devices...) })
		front.Go(func() error { d.broker.Recheck(ctx, d.config.OCSP.Recheck); return nil })
		front.Go(func() error { return d.serveHTTP(ctx, d.api, operators) })
		front.Go(func() error { return d.serveHTTP(ctx, d.probes(), l.http) })
		front.Go(func() error { return d.serveHTTP(ctx, d.admin.Handler(), l.admin) })
		err = front.Wait()
	}
	endFoundation()
	return errors.Join(err, base.Wait())
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

// serveHTTP serves l until ctx ends, and lets requests under way finish for
// stopTimeout.
func (d *daemon) serveHTTP(ctx context.Context, h http.Handler, l net.Listener) error {
	requests, breakOff := context.WithCancel(context.WithoutCancel(ctx))
	defer breakOff()
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: 2 * bodyTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10,
		// What strangers get wrong is no news: TLS handshakes of port scanners.
		ErrorLog:    stdlog.New(debugWriter{d.log}, "", 0),
		BaseContext: func(net.Listener) context.Context { return requests },
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { stopped <- shutDown(s, breakOff) })
	err := s.Serve(l)
	if stop() {
		return err // ended by itself
	}
	return <-stopped
}

// shutDown ends a server in bounded time: a backup may take minutes, and the
// registry cannot close before it. Who is still at it after stopTimeout is told,
// and then cut off.
func shutDown(s *http.Server, breakOff func()) error {
	wait := func(d time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		return s.Shutdown(ctx)
	}
	err := wait(stopTimeout)
	if errors.Is(err, context.DeadlineExceeded) {
		breakOff()
		err = wait(breakTimeout)
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
