package broker_test

import (
	"context"
	"maps"
	"net"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/hooks"
)

// exploding is an observer of which one method panics, once.
type exploding struct {
	*observer
	method string
	armed  atomic.Bool
	burst  chan struct{} // closed when it has panicked
}

func (e *exploding) in(method string) {
	if method == e.method && e.armed.CompareAndSwap(true, false) {
		close(e.burst)
		panic("observer: " + method)
	}
}

func (e *exploding) Handshake(r muster.Reason, d time.Duration) {
	e.in("Handshake")
	e.observer.Handshake(r, d)
}
func (e *exploding) Inspected(d time.Duration) { e.in("Inspected"); e.observer.Inspected(d) }
func (e *exploding) Rejected(limit string)     { e.in("Rejected"); e.observer.Rejected(limit) }
func (e *exploding) Open(n int)                { e.observer.Open(n); e.in("Open") }
func (e *exploding) Rechecked(r muster.Reason, d time.Duration) {
	e.in("Rechecked")
	e.observer.Rechecked(r, d)
}
func (e *exploding) Judged(o admission.Outcome, d time.Duration) {
	e.in("Judged")
	e.observer.Judged(o, d)
}
func (e *exploding) Connected(o admission.Outcome)           { e.in("Connected"); e.observer.Connected(o) }
func (e *exploding) Refused(r muster.Reason)                 { e.in("Refused"); e.observer.Refused(r) }
func (e *exploding) Kicked(r muster.Reason, d time.Duration) { e.in("Kicked"); e.observer.Kicked(r, d) }
func (e *exploding) Dropped(n int)                           { e.in("Dropped"); e.observer.Dropped(n) }
func (e *exploding) ProtocolError()                          { e.in("ProtocolError"); e.observer.ProtocolError() }

// provocations have each method of the observers called.
func provocations() map[string]func(*testing.T, *fixture) {
	connect := func(t *testing.T, f *fixture) { // and whether it succeeds does not matter
		if conn, err := f.dial(f.registered("victim", "all")); err == nil {
			defer conn.Close()
			_, _ = newRaw(t, conn, 5).connect("victim", nil)
		}
	}
	return map[string]func(*testing.T, *fixture){
		"Handshake": connect, "Inspected": connect, "Open": connect, "Judged": connect, "Connected": connect,
		"Refused": func(_ *testing.T, f *fixture) { f.raw(f.registered("victim", "all"), 5).bytes(0xC0, 0x00) },
		"Rejected": func(t *testing.T, f *fixture) {
			for range 2000 { // more than one address may in a second
				conn, err := net.Dial("tcp", f.address)
				must(t, err)
				_ = conn.Close()
				if f.seen.count("rejected connects_per_address") > 0 {
					return
				}
			}
		},
		"Rechecked": func(_ *testing.T, f *fixture) {
			l := f.leaf(f.authority("factory", template, muster.Tag{Key: "muster:ocsp", Value: "hard"}), "victim")
			f.raw(l, 5).admitted("victim", nil)
			f.recheck(100 * time.Millisecond)
		},
		"Kicked": func(t *testing.T, f *fixture) {
			l := f.registered("victim", "all")
			f.raw(l, 5).admitted("victim", nil)
			_, err := f.store.UpdateCertificateStatus(t.Context(), account, id(l), muster.Revoked)
			must(t, err)
		},
		"ProtocolError": func(_ *testing.T, f *fixture) {
			r := f.raw(f.registered("victim", "all"), 5)
			r.admitted("victim", nil)
			r.bytes(0xF0, 0x00) // AUTH, where nothing was agreed on
		},
		"Dropped": func(t *testing.T, f *fixture) {
			lazy := f.raw(f.registered("lazy", "all"), 5)
			lazy.admitted("lazy", nil)
			if got := lazy.replies(lazy.subscribePacket("flood")); got != suback(1) {
				t.Fatal(got)
			}
			writer := f.admitted(f.registered("writer", "all"), "writer")
			for range 600 { // more than its window holds
				_, err := writer.publish(t, &paho.Publish{Topic: "flood", QoS: 1})
				must(t, err)
			}
		},
	}
}

// TestPanicsOfObservers has each method of both observers panic, on whatever
// goroutine it is called: the process lives, and the next client is served.
func TestPanicsOfObservers(t *testing.T) {
	provoke := provocations()
	for _, of := range []reflect.Type{reflect.TypeFor[broker.Observer](), reflect.TypeFor[hooks.Observer]()} {
		for i := range of.NumMethod() {
			if provoke[of.Method(i).Name] == nil {
				t.Errorf("%s.%s has no provocation here", of, of.Method(i).Name)
			}
		}
	}
	for _, method := range slices.Sorted(maps.Keys(provoke)) {
		t.Run(method, func(t *testing.T) {
			e := &exploding{method: method, burst: make(chan struct{})}
			f := newFixture(t, options{
				broker: func(c *broker.Config) {
					e.observer = c.Observer.(*observer)
					c.Observer = e
					if method == "Rejected" {
						c.Limits.ConnectsPerAddress = 5
					}
				},
				hook: func(c *hooks.Config) { c.Observer = e },
			})
			f.policy("all", allowAll)
			other := f.admitted(f.registered("other", "all"), "other")
			e.armed.Store(true)
			provoke[method](t, f)
			select {
			case <-e.burst:
			case <-time.After(patience):
				t.Fatal("it was not called")
			}
			if code, err := other.publish(t, &paho.Publish{Topic: "a", QoS: 1}); err != nil || code >= 0x80 {
				t.Errorf("the others: publish 0x%02X %v", code, err)
			}
			if method != "Rejected" { // there, this address has to wait
				f.admitted(f.registered("next", "all"), "next")
			}
		})
	}
}

// TestPanicOfTheAsker: OCSP is asked before mochi meets the connection, and about
// live ones on goroutines of their own.
func TestPanicOfTheAsker(t *testing.T) {
	var armed atomic.Bool
	f := newFixture(t, options{gate: func(c *admission.Config) {
		ask := c.Ask
		c.Ask = func(ctx context.Context, q admission.Question) admission.Answer {
			if armed.Load() {
				panic("ask")
			}
			return ask(ctx, q)
		}
	}})
	f.policy("all", allowAll)
	a := f.authority("factory", template, muster.Tag{Key: "muster:ocsp", Value: "hard"})
	live := f.raw(f.leaf(a, "live"), 5)
	live.admitted("live", nil)
	other := f.admitted(f.registered("other", "all"), "other")

	armed.Store(true)
	f.raw(f.leaf(a, "victim"), 5).end()
	f.recheck(100 * time.Millisecond)
	live.end() // what cannot be asked about is not served
	armed.Store(false)
	if code, err := other.publish(t, &paho.Publish{Topic: "a", QoS: 1}); err != nil || code >= 0x80 {
		t.Errorf("the others: publish 0x%02X %v", code, err)
	}
}
