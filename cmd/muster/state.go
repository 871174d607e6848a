package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/api/awsiot"
	"github.com/muster-mqtt/muster/config"
	"github.com/muster-mqtt/muster/fleet"
	"github.com/muster-mqtt/muster/internal/metrics"
	"github.com/muster-mqtt/muster/ocsp"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
	"github.com/muster-mqtt/muster/webhook"
)

// state is what a server knows and decides by, without its listeners: enough
// for a command to answer while no server runs.
type state struct {
	config *config.Config
	log    zerolog.Logger
	engine *badgerdb.Engine
	store  *registry.Store
	ocsp   *ocsp.Client
	memory *admission.Memory
	gate   *admission.Gate
	admin  *admin.Admin
	events *webhook.Sender // nil while no server runs: nobody is told
	mqtt   *registryEvents // the same
}

// openState opens the registry and makes what stands on it. m counts what OCSP
// does; nil is allowed.
func openState(ctx context.Context, c *config.Config, log zerolog.Logger, m *metrics.Metrics) (s *state, err error) {
	s = &state{config: c, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	var tell func(muster.Event)
	var tellRegistry func(muster.RegistryEvent)
	if m != nil {
		s.mqtt = newRegistryEvents(m.RegistryEventsDropped, log)
		tellRegistry = s.mqtt.tell
		if s.events, err = newWebhooks(c, log, m); err != nil {
			return s, err
		}
		tell = teller(log, s.events)
	}
	_, sealer, err := readMasterKey(c.Registry.MasterKey)
	if err != nil {
		return s, err
	}
	s.engine, err = badgerdb.Open(badgerdb.Config{Dir: c.Registry.Path, Committed: commits(m), Logf: func(format string, args ...any) {
		log.Warn().Msgf(format, args...)
	}})
	if err != nil {
		return s, err
	}
	if err := registry.Upgrade(ctx, s.engine); err != nil {
		return s, fmt.Errorf("the registry is of an earlier program and could not be brought up to date: %w", err)
	}
	s.store, err = registry.New(registry.Config{
		Engine: s.engine, Sealer: sealer, PendingTTL: c.Registry.PendingTTL, CacheSize: c.Registry.Cache,
		Tell: tell, TellRegistry: tellRegistry,
	})
	if err != nil {
		return s, err
	}
	s.ocsp, err = ocsp.New(ocsp.Config{
		Limits: ocsp.Limits{Skew: c.OCSP.Skew}, Cache: s.store, AllowPrivate: c.OCSP.AllowPrivate,
		Timeout: c.OCSP.Timeout, Concurrent: c.OCSP.Concurrent, Waiting: c.OCSP.Waiting,
		Observe: ocspObserver(m), Log: log,
	})
	if err != nil {
		return s, err
	}
	s.memory = admission.NewMemory(s.store, log)
	if err := s.memory.Load(ctx); err != nil {
		return s, err
	}
	s.gate, err = admission.New(admission.Config{
		Registry: s.store, Ask: asker(s.ocsp, m), Skew: c.Admission.ClockSkew, PendingCap: c.Registry.PendingCap,
		Limits: admission.Limits{
			ConnectsPerAuthority: c.Limits.ConnectsPerAuthority, Registrations: c.Limits.Registrations,
		},
		Memory: s.memory, Tell: tell, Log: log,
	})
	if err != nil {
		return s, err
	}
	s.admin = admin.New(admin.Config{
		Registry: s.store, Folder: c.Registry.Path, Gate: s.gate, Memory: s.memory, Region: c.Region, Version: version(), Log: log,
		Operations: awsiot.Operations(), Publishable: fleet.Serves,
	})
	return s, nil
}

func (s *state) close() error {
	if s.ocsp != nil {
		s.ocsp.Close()
	}
	if s.engine == nil {
		return nil
	}
	return s.engine.Close()
}
