package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
)

// publications are the events that a registryEvents published.
type publications struct {
	registryEvents *registryEvents
	published      chan muster.RegistryEvent
	held           chan struct{} // while open, the account "slow" gets no further

	mu      sync.Mutex
	dropped int
}

func publishing(t *testing.T) *publications {
	t.Helper()
	p := &publications{published: make(chan muster.RegistryEvent, 2*maxRegistryEvents), held: make(chan struct{})}
	p.registryEvents = newRegistryEvents(func(n int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.dropped += n
	}, zerolog.Nop())
	p.registryEvents.publish = func(e muster.RegistryEvent) error {
		switch e.Account {
		case "slow":
			<-p.held
		case "broken":
			panic("it cannot be published")
		}
		p.published <- e
		return nil
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		p.registryEvents.run(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return p
}

func (p *publications) next(t *testing.T) muster.RegistryEvent {
	t.Helper()
	select {
	case e := <-p.published:
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was published")
		return muster.RegistryEvent{}
	}
}

func registryEvent(account string, n int) muster.RegistryEvent {
	return muster.RegistryEvent{Kind: muster.EventThing, Operation: muster.Updated, Account: account, Thing: muster.Thing{Revision: n}}
}

// TestRegistryEventsHoldUpNobody holds that who tells of an event waits for no
// subscriber, and that an account waits for those of none but itself.
func TestRegistryEventsHoldUpNobody(t *testing.T) {
	p := publishing(t)
	const told = maxRegistryEvents + 50
	for i := range told {
		p.registryEvents.tell(registryEvent("slow", i))
	}
	for i := range 100 {
		p.registryEvents.tell(registryEvent("broken", i))
		p.registryEvents.tell(registryEvent("fast", i))
	}
	for i := range 100 {
		if e := p.next(t); e.Account != "fast" || e.Thing.Revision != i {
			t.Fatalf("published %d of %q, want %d of \"fast\"", e.Thing.Revision, e.Account, i)
		}
	}
	close(p.held)
	last := -1
	for n := 0; last < told-1; n++ {
		e := p.next(t)
		if e.Account != "slow" || e.Thing.Revision <= last {
			t.Fatalf("published %d of %q after %d of \"slow\"", e.Thing.Revision, e.Account, last)
		}
		last = e.Thing.Revision
		if n > maxRegistryEvents {
			t.Fatalf("published more than %d, want the others dropped", maxRegistryEvents)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dropped < 49 || p.dropped > 50 { // one may have left the queue before it was full
		t.Errorf("%d dropped, want 49 or 50", p.dropped)
	}
}

// TestRegistryEventsAreBoundedByTheirSize holds that things with much to tell do
// not fill the memory.
func TestRegistryEventsAreBoundedByTheirSize(t *testing.T) {
	p := publishing(t)
	attributes := map[string]string{}
	for i := range 50 {
		attributes[fmt.Sprint(i)] = string(make([]byte, 800))
	}
	e := registryEvent("slow", 0)
	e.Thing.Attributes = attributes
	for range 1_000 {
		p.registryEvents.tell(e)
	}
	q := p.registryEvents.queues["slow"]
	p.registryEvents.mu.Lock()
	if n := len(q.events); q.size > maxRegistryEventSize || n < 300 || n > 420 {
		t.Errorf("%d events of %d bytes wait", n, q.size)
	}
	p.registryEvents.mu.Unlock()
	close(p.held)
}
