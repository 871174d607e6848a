//go:build soak

package e2e_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster/internal/mint"
)

// What make soak sets.
const (
	soakTime    = "SOAK"         // how long; default 5 minutes
	soakDevices = "SOAK_DEVICES" // connected at once; default 2000
)

// fleet is a load like that of a plant, and worse: devices that report and come
// and go, others that are refused or revoked, and addresses that only begin a
// handshake.
type fleet struct {
	t       *testing.T
	server  *server
	roots   *x509.CertPool
	factory *mint.Authority
	ready   sync.WaitGroup // the devices' first connects

	connects, published, received, refused, busy, halfOpen, failures atomic.Int64

	mu    sync.Mutex
	kicks []time.Duration // from the API's answer to the end of the connection
}

// TestSoakFleet fails on any error, on goroutines that stay, and on memory that
// does not return.
func TestSoakFleet(t *testing.T) {
	lasting, err := time.ParseDuration(cmp.Or(os.Getenv(soakTime), "5m"))
	if err != nil {
		t.Fatal(err)
	}
	count, err := strconv.Atoi(cmp.Or(os.Getenv(soakDevices), "2000"))
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t)
	s.start(t, "env", "MUSTER_LIMITS_CONNECTS_PER_ADDRESS=100000", "MUSTER_LIMITS_CONNECTS=100000")
	s.prepare(t)
	factory, workshop := newAuthority(t, "Factory CA"), newAuthority(t, "Workshop CA")
	s.register(t, factory, provisioned())
	s.register(t, workshop, object{})
	f := &fleet{t: t, server: s, roots: s.trusted(t), factory: massProduction(t, factory)}
	idle := s.figures(t)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	application, err := f.listen(ctx, loadKey(t, s.application(t)))
	if err != nil {
		t.Fatal(err)
	}
	f.ready.Add(count)
	slots := make(chan struct{}, 64) // of first connects at once
	for i := range count {
		d := newDevice(t, f.factory, fmt.Sprintf("sensor-%d", i))
		running.Go(func() { f.live(ctx, d, slots) })
	}
	f.ready.Wait()
	start := s.figures(t)
	good := s.neighbours(t, 2)
	for _, n := range good {
		running.Go(func() { f.check("a neighbour noticed", n.live(ctx, 50*time.Millisecond)) })
	}
	running.Go(func() { f.every(ctx, time.Second, f.revoke) })
	strangers := massProduction(t, newAuthority(t, "Garage CA"))
	pending := massProduction(t, workshop)
	running.Go(func() {
		f.every(ctx, 200*time.Millisecond, func(i int) error { return f.refuse(ctx, newDevice(t, strangers, "stranger")) })
	})
	running.Go(func() {
		f.every(ctx, time.Second, func(i int) error { return f.refuse(ctx, newDevice(t, pending, fmt.Sprintf("pending-%d", i))) })
	})
	for range 200 {
		running.Go(func() { f.begin(ctx) })
	}
	pause(ctx, lasting)
	end := s.figures(t)
	stop()
	running.Wait()
	eventually(t, stopTimeout, "all that was acknowledged has arrived", func() bool { return f.received.Load() == f.published.Load() })
	f.check("the application", application.Disconnect(&paho.Disconnect{}))
	// What is in use without any connection is less than what was with all.
	after := s.settled(t, figures{idle.goroutines, idle.connections, start.heap - heapAside, 0})

	messages, slowest := tally(good)
	slices.Sort(f.kicks)
	t.Logf("%v with %d devices: %d connects, %d half-open, %d refused, %d told to come later, %d revoked; %d messages of devices, %d of neighbours, the slowest %v; %d errors",
		lasting, count, f.connects.Load(), f.halfOpen.Load(), f.refused.Load(), f.busy.Load(), len(f.kicks), f.published.Load(), messages, slowest, f.failures.Load())
	t.Logf("idle %v\nstart %v\nend %v\nafter %v", idle, start, end, after)
	if n := len(f.kicks); n > 0 {
		t.Logf("revoked to closed: median %v, p99 %v", f.kicks[n/2], f.kicks[n*99/100])
	}
	if f.busy.Load() > f.connects.Load()/50 {
		t.Errorf("%d of %d connects were told to come later", f.busy.Load(), f.connects.Load())
	}
	if end.goroutines > start.goroutines+1000 { // 200 half-open, and what comes and goes
		t.Errorf("%.0f goroutines became %.0f", start.goroutines, end.goroutines)
	}
	if end.resident > 2*start.resident+128e6 {
		t.Errorf("%.0f MB became %.0f", start.resident/1e6, end.resident/1e6)
	}
}

// errBusy is a CONNACK that has a device come again later.
var errBusy = errors.New("the server is busy")

func (f *fleet) check(what string, err error) {
	if errors.Is(err, errBusy) {
		f.busy.Add(1)
		return
	}
	if err != nil && f.failures.Add(1) <= 20 {
		f.t.Errorf("%s: %v", what, err)
	}
}

// every does something again and again.
func (f *fleet) every(ctx context.Context, d time.Duration, do func(i int) error) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.check("load", do(i))
		}
	}
}

// client connects a device; gone gets what ends the connection.
func (f *fleet) client(d *device, cache tls.ClientSessionCache, edit func(*paho.ClientConfig)) (c *paho.Client, conn net.Conn, gone chan error, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), deviceTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: f.roots, ServerName: "localhost", Certificates: []tls.Certificate{d.key}, ClientSessionCache: cache}}
	conn, err = dialer.DialContext(ctx, "tcp", f.server.vars["MUSTER_MQTT"])
	if err != nil {
		return nil, nil, nil, err
	}
	gone = make(chan error, 4)
	config := paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn), PacketTimeout: deviceTimeout,
		OnServerDisconnect: func(d *paho.Disconnect) { gone <- fmt.Errorf("DISCONNECT 0x%02X", d.ReasonCode) },
		OnClientError:      func(err error) { gone <- err },
	}
	if edit != nil {
		edit(&config)
	}
	c = paho.NewClient(config)
	ack, err := c.Connect(ctx, &paho.Connect{ClientID: d.name, KeepAlive: 60, CleanStart: true})
	if err != nil {
		if ack != nil && ack.ReasonCode == 0x89 {
			err = errBusy
		}
		_ = conn.Close()
		return nil, nil, nil, err
	}
	f.connects.Add(1)
	return c, conn, gone, nil
}

// listen connects the application, which hears all devices.
func (f *fleet) listen(ctx context.Context, key tls.Certificate) (*paho.Client, error) {
	c, _, gone, err := f.client(&device{name: "application", key: key}, nil, func(c *paho.ClientConfig) {
		c.OnPublishReceived = []func(paho.PublishReceived) (bool, error){func(paho.PublishReceived) (bool, error) {
			f.received.Add(1)
			return true, nil
		}}
	})
	if err != nil {
		return nil, err
	}
	go func() {
		select {
		case err := <-gone:
			f.check("the application", err)
		case <-ctx.Done():
		}
	}()
	_, err = c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "telemetry/+", QoS: 1}}})
	return c, err
}

// live is the life of a device: it reports every few seconds; now and then it
// says goodbye, or its connection breaks, and it comes again.
func (f *fleet) live(ctx context.Context, d *device, slots chan struct{}) {
	first := sync.OnceFunc(f.ready.Done)
	defer first()
	cache := tls.NewLRUClientSessionCache(1)
	for ctx.Err() == nil {
		slots <- struct{}{}
		c, conn, gone, err := f.client(d, cache, nil)
		<-slots
		first()
		if err != nil {
			f.check(d.name, err)
			pause(ctx, time.Second+rand.N(time.Second))
			continue
		}
		f.check(d.name, f.report(ctx, d, c, gone))
		if rand.IntN(2) == 0 {
			_ = c.Disconnect(&paho.Disconnect{})
		}
		_ = conn.Close()
	}
}

func (f *fleet) report(ctx context.Context, d *device, c *paho.Client, gone <-chan error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-gone:
			return err
		case <-time.After(5*time.Second + rand.N(10*time.Second)):
		}
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), deviceTimeout)
		_, err := c.Publish(within, &paho.Publish{Topic: "telemetry/" + d.name, QoS: 1, Payload: make([]byte, 100)})
		cancel()
		if err != nil {
			return err
		}
		f.published.Add(1)
		if rand.IntN(10) == 0 {
			return nil
		}
	}
}

// revoke registers a device, revokes it, and demands its end.
func (f *fleet) revoke(i int) error {
	d := newDevice(f.t, f.factory, fmt.Sprintf("thief-%d", i))
	_, conn, gone, err := f.client(d, nil, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := f.server.api(context.WithoutCancel(f.t.Context()), "PUT", "/certificates/"+d.id, url.Values{"newStatus": {"REVOKED"}}, nil); err != nil {
		return err
	}
	answered := time.Now()
	select {
	case <-gone:
	case <-time.After(neighbourPatience):
		return errors.New("a revoked device is still connected")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kicks = append(f.kicks, time.Since(answered))
	return nil
}

// refuse demands that a device is not let in.
func (f *fleet) refuse(ctx context.Context, d *device) error {
	closeDevice, err := d.connect(ctx, f.server.vars["MUSTER_MQTT"], f.roots)
	if err == nil {
		closeDevice()
		return errors.New(d.name + " was let in")
	}
	f.refused.Add(1)
	return nil
}

// begin keeps one handshake half-open, again and again.
func (f *fleet) begin(ctx context.Context) {
	for ctx.Err() == nil {
		dialer := net.Dialer{Timeout: deviceTimeout}
		conn, err := dialer.DialContext(ctx, "tcp", f.server.vars["MUSTER_MQTT"])
		if err != nil {
			if ctx.Err() == nil {
				f.check("half-open", err)
			}
			return
		}
		f.halfOpen.Add(1)
		_, _ = conn.Write([]byte{0x16, 0x03, 0x01}[:rand.IntN(4)])
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		_, _ = conn.Read(make([]byte, 64)) // until the server has waited long enough
		stop()
		_ = conn.Close()
	}
}
