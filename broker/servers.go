package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/rs/zerolog"
)

// listenerID names our listener to mochi, which never sees it.
const listenerID = "muster"

// Queues of one client. mochi drops what does not fit into a full queue: package
// hooks then disconnects the subscriber. The inflight window at half the queue leaves QoS 0 room beside
// it. A place in the queue costs 8 bytes of an idle client: at mochi's own
// 8,192 that is 64 KB.
const (
	maxQueued     = 1024 // packets
	maxInflight   = 512  // messages of QoS 1 and 2, sent or waiting
	ioBufferSize  = 1024
	sysInterval   = 60 // seconds; each one stops the world for its figures
	maxTopicAlias = 32
	maxAway       = 7 * 24 * 60 * 60 // seconds that a session outlives its connection
)

// servers holds one mochi server for each account, so that topics, client IDs,
// sessions and retained messages of two accounts cannot meet.
type servers struct {
	newHooks      func(account string, s *mqtt.Server) ([]mqtt.Hook, error)
	maxPacketSize uint32
	log           zerolog.Logger

	mu     sync.Mutex
	byName map[string]*mqtt.Server
	closed bool
}

func newServers(newHooks func(string, *mqtt.Server) ([]mqtt.Hook, error), maxPacketSize uint32, log zerolog.Logger) *servers {
	return &servers{newHooks: newHooks, maxPacketSize: maxPacketSize, log: log, byName: map[string]*mqtt.Server{}}
}

// of returns the server of an account, started if need be.
func (s *servers) of(account string) (*mqtt.Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("stopping")
	}
	if srv, ok := s.byName[account]; ok {
		return srv, nil
	}
	srv, err := s.make(account)
	if err == nil {
		err = srv.Serve() // without listeners it starts housekeeping only
	}
	if err != nil {
		delete(s.byName, account)
		return nil, fmt.Errorf("account %q: %w", account, err)
	}
	return srv, nil
}

// Server returns the MQTT server of an account; nil as long as it has none, for no
// device of it came and no session of it was stored.
func (b *Broker) Server(account string) *mqtt.Server {
	b.servers.mu.Lock()
	defer b.servers.mu.Unlock()
	return b.servers.byName[account]
}

// start starts the servers that were made before.
func (s *servers) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for account, srv := range s.byName {
		if err := srv.Serve(); err != nil {
			return fmt.Errorf("account %q: %w", account, err)
		}
	}
	return nil
}

// make makes the server of an account, and starts nothing. It is called with mu
// held, or by the constructor.
func (s *servers) make(account string) (*mqtt.Server, error) {
	srv := mqtt.New(s.options())
	hooks, err := s.newHooks(account, srv)
	for _, h := range hooks {
		if err == nil {
			err = srv.AddHook(h, nil)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("account %q: %w", account, err)
	}
	s.byName[account] = srv
	return srv, nil
}

func (s *servers) options() *mqtt.Options {
	c := mqtt.NewDefaultServerCapabilities()
	c.MaximumPacketSize = s.maxPacketSize
	c.MaximumClientWritesPending = maxQueued
	c.MaximumInflight = maxInflight
	c.ReceiveMaximum = maxInflight
	c.TopicAliasMaximum = maxTopicAlias
	c.MaximumSessionExpiryInterval = maxAway
	// mochi's day would also be the end of retained messages, which MQTT keeps
	// until another takes their place, and a term that no publisher gave.
	c.MaximumMessageExpiryInterval = 0
	c.Compatibilities.NoInheritedPropertiesOnAck = true
	return &mqtt.Options{
		Capabilities:             c,
		ClientNetReadBufferSize:  ioBufferSize,
		ClientNetWriteBufferSize: ioBufferSize,
		SysTopicResendInterval:   sysInterval,
		InlineClient:             true,
		// mochi logs whole packets, payloads included, and one line for each
		// that a client gets wrong: what matters is logged by hooks and by us.
		Logger: slog.New(slog.DiscardHandler),
	}
}

func (s *servers) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, srv := range s.byName {
		errs = append(errs, srv.Close())
	}
	return errors.Join(errs...)
}
