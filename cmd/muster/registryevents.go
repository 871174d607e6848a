package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/hooks"
)

// Bounds of the registry events that wait for the MQTT clients of one account.
const (
	maxRegistryEvents    = 10_000
	maxRegistryEventSize = 16 << 20 // bytes, about
)

// registryEvents publishes what happens to things, their types and groups to the
// MQTT clients of their account. The registry tells of it while others wait for
// their turn to change it, and to publish takes as long as there are subscribers:
// so the events of each account wait in a queue of their own.
type registryEvents struct {
	publish func(muster.RegistryEvent) error // set before run
	dropped func(n int)                      // counts events that did not fit
	log     zerolog.Logger
	ready   chan struct{} // holds a token after a tell

	mu     sync.Mutex
	queues map[string]*registryQueue // by account
}

// registryQueue holds the events that wait in one account.
type registryQueue struct {
	events []muster.RegistryEvent // the oldest first
	size   int                    // their bytes, about
	busy   bool                   // somebody publishes them
	lost   int                    // dropped since that was logged
	logged time.Time
}

func newRegistryEvents(dropped func(int), log zerolog.Logger) *registryEvents {
	return &registryEvents{dropped: dropped, log: log, ready: make(chan struct{}, 1), queues: map[string]*registryQueue{}}
}

// publishOn publishes on the servers of b. An account that no device of has been
// seen has none, and nobody who listens.
func (p *registryEvents) publishOn(b *broker.Broker, region string) {
	p.publish = func(e muster.RegistryEvent) error {
		s := b.Server(e.Account)
		if s == nil {
			return nil
		}
		return hooks.PublishRegistryEvent(s, region, e)
	}
}

// tell does not block. The oldest events make room: what happened last tells best
// how things stand.
func (p *registryEvents) tell(e muster.RegistryEvent) {
	p.mu.Lock()
	q, ok := p.queues[e.Account]
	if !ok {
		q = &registryQueue{}
		p.queues[e.Account] = q
	}
	size, dropped := registryEventSize(&e), 0
	for len(q.events) > 0 && (len(q.events) >= maxRegistryEvents || q.size+size > maxRegistryEventSize) {
		q.take()
		dropped++
	}
	q.lost += dropped
	q.events = append(q.events, e)
	q.size += size
	p.mu.Unlock()

	if dropped > 0 {
		p.dropped(dropped)
	}
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

// run publishes until ctx ends, the events of each account in their order and
// those of different accounts beside each other.
func (p *registryEvents) run(ctx context.Context) {
	var publishing sync.WaitGroup
	defer publishing.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.ready:
		}
		for account, q := range p.idle() {
			publishing.Go(func() { p.work(ctx, account, q) })
		}
	}
}

// idle returns the queues that hold events and nobody works on, for whoever works
// on them now.
func (p *registryEvents) idle() map[string]*registryQueue {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := map[string]*registryQueue{}
	for account, q := range p.queues {
		if len(q.events) > 0 && !q.busy {
			q.busy = true
			found[account] = q
		}
	}
	return found
}

// work publishes the events of an account until none waits.
func (p *registryEvents) work(ctx context.Context, account string, q *registryQueue) {
	for ctx.Err() == nil {
		e, lost, ok := p.next(q)
		if lost > 0 {
			p.log.Warn().Str("event", "registry_events_dropped").Str("account", account).Int("dropped", lost).
				Msg("registry events came faster than they could be published")
		}
		if !ok {
			return
		}
		if err := p.guarded(e); err != nil {
			p.log.Error().Err(err).Str("kind", string(e.Kind)).Str("account", account).Msg("a registry event was not published")
		}
	}
}

// guarded has one event that cannot be published cost no more than itself.
func (p *registryEvents) guarded(e muster.RegistryEvent) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	return p.publish(e)
}

// next takes an event of a queue that is worked on; if there is none, it is not
// any more. lost is how many to log as dropped, once a minute.
func (p *registryEvents) next(q *registryQueue) (e muster.RegistryEvent, lost int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); q.lost > 0 && now.Sub(q.logged) >= time.Minute {
		lost, q.lost, q.logged = q.lost, 0, now
	}
	if len(q.events) == 0 {
		q.busy = false
		return e, lost, false
	}
	return q.take(), lost, true
}

// take removes the oldest event. It is called with the mutex held.
func (q *registryQueue) take() muster.RegistryEvent {
	e := q.events[0]
	q.events[0] = muster.RegistryEvent{} // which others hold no longer
	q.events = q.events[1:]
	q.size -= registryEventSize(&e)
	return e
}

// registryEventSize is about what an event takes of memory.
func registryEventSize(e *muster.RegistryEvent) int {
	const fixed = 1 << 10
	size := fixed + attributesSize(e.Thing.Attributes) + attributesSize(e.Group.Attributes) + len(e.Group.Description) + len(e.Type.Description)
	for i := range e.Parents {
		size += fixed/2 + attributesSize(e.Parents[i].Attributes) + len(e.Parents[i].Description)
	}
	return size
}

func attributesSize(attributes map[string]string) int {
	size := 0
	for name, value := range attributes {
		const word = 16
		size += 2*word + len(name) + len(value)
	}
	return size
}
