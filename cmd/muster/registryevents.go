package main

import (
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/hooks"
)

// registryEvents publishes what happens to things, their types and groups to the
// MQTT clients of their account. The registry opens before the broker is made;
// until then nobody listens.
type registryEvents struct {
	region string
	broker atomic.Pointer[broker.Broker]
	log    zerolog.Logger
}

func (p *registryEvents) tell(e muster.RegistryEvent) {
	b := p.broker.Load()
	if b == nil {
		return
	}
	s := b.Server(e.Account)
	if s == nil {
		return
	}
	if err := hooks.PublishRegistryEvent(s, p.region, e); err != nil {
		p.log.Error().Err(err).Str("kind", string(e.Kind)).Str("account", e.Account).Msg("a registry event was not published")
	}
}
