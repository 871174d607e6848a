package sessions_test

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster/sessions"
)

const (
	account  = "123456789012"
	patience = 10 * time.Second
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// allow is a hook that lets everyone in.
type allow struct{ mqtt.HookBase }

func (allow) Provides(b byte) bool { return b == mqtt.OnConnectAuthenticate || b == mqtt.OnACLCheck }

func (allow) OnConnectAuthenticate(*mqtt.Client, mqttPacket) bool { return true }
func (allow) OnACLCheck(*mqtt.Client, string, bool) bool          { return true }

// fixture is a mochi server over a store of sessions.
type fixture struct {
	t      testing.TB
	server *mqtt.Server
	store  *sessions.Store
	hook   *sessions.Hook
	conns  sync.WaitGroup
	seen   sync.Map // payloads that came to any client
	stop   func()
	crash  func() // the store ends before the connections
}

// open starts a server on the store of a folder, "" for in memory, with more hooks
// before that of the store.
func open(t testing.TB, c sessions.Config, more ...mqtt.Hook) *fixture {
	t.Helper()
	c.Log = zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)
	store, err := sessions.Open(c)
	must(t, err)
	capabilities := mqtt.NewDefaultServerCapabilities()
	capabilities.MaximumClientWritesPending, capabilities.MaximumInflight, capabilities.ReceiveMaximum = 1024, 512, 512
	capabilities.MaximumSessionExpiryInterval, capabilities.MaximumMessageExpiryInterval = 3600, 0
	f := &fixture{t: t, store: store, server: mqtt.New(&mqtt.Options{
		Capabilities: capabilities, InlineClient: true, Logger: slog.New(slog.DiscardHandler),
	})}
	f.hook = store.Hook(account, f.server)
	must(t, f.server.AddHook(&allow{}, nil))
	for _, h := range more {
		must(t, f.server.AddHook(h, nil))
	}
	must(t, f.server.AddHook(f.hook, nil))
	must(t, f.server.Serve())
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { defer close(ran); store.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		for _, cl := range f.server.Clients.GetAll() {
			if cl.Net.Conn != nil {
				_ = cl.Net.Conn.Close()
			}
		}
		f.conns.Wait()
		must(t, f.server.Close())
		cancel()
		<-ran
		must(t, store.Close())
	})
	f.crash = func() { cancel(); <-ran; f.stop() }
	t.Cleanup(f.stop)
	return f
}

// dial returns a connection that the server takes for a client's.
func (f *fixture) dial() net.Conn {
	f.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(f.t, err)
	defer func() { _ = l.Close() }()
	ours, err := net.Dial("tcp", l.Addr().String())
	must(f.t, err)
	theirs, err := l.Accept()
	must(f.t, err)
	f.conns.Go(func() { _ = f.server.EstablishConnection("test", theirs) })
	return ours
}

// client is an MQTT 5 client.
type client struct {
	*paho.Client
	t        testing.TB
	ack      *paho.Connack
	messages chan *paho.Publish
	gone     chan byte // the reason of a DISCONNECT, 0 for none
}

// connect resumes a session that lasts an hour, unless edit says otherwise.
func (f *fixture) connect(id string, edit func(*paho.Connect)) *client {
	f.t.Helper()
	ours := f.dial()
	c := &client{t: f.t, messages: make(chan *paho.Publish, 1000), gone: make(chan byte, 4)}
	c.Client = paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(ours), PacketTimeout: patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			f.seen.Store(string(p.Packet.Payload), true)
			c.messages <- p.Packet
			return true, nil
		}},
		OnServerDisconnect: func(d *paho.Disconnect) { c.gone <- d.ReasonCode },
		OnClientError:      func(error) { c.gone <- 0 },
	})
	lasts := uint32(3600)
	cp := &paho.Connect{ClientID: id, KeepAlive: 60, Properties: &paho.ConnectProperties{SessionExpiryInterval: &lasts}}
	if edit != nil {
		edit(cp)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	c.ack, err = c.Connect(ctx, cp)
	must(f.t, err)
	return c
}

func (c *client) subscribe(o ...paho.SubscribeOptions) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := c.Subscribe(ctx, &paho.Subscribe{Subscriptions: o})
	must(c.t, err)
}

func (c *client) publish(p *paho.Publish) byte {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := c.Publish(ctx, p)
	if r == nil {
		must(c.t, err)
		return 0
	}
	return r.ReasonCode
}

func (c *client) next() *paho.Publish {
	c.t.Helper()
	select {
	case p := <-c.messages:
		return p
	case <-time.After(patience):
		c.t.Fatal("no message")
		return nil
	}
}

// leave keeps the session.
func (c *client) leave() { _ = c.Disconnect(&paho.Disconnect{}) }
