package hooks

import (
	"context"
	"net"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/policy"
)

// driven is a transport whose driver calls Session.End.
type driven struct{ net.Conn }

func (driven) Candidate() *admission.Candidate { return nil }
func (driven) Attach(admission.Session)        {}
func (driven) Watch([]muster.ResourceKey)      {}

// free reports whether the client ID could be taken now.
func free(h *Hook, id string) bool {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	// A free lock and an ended context are both ready: some of the tries take it.
	for range 100 {
		if unlock, err := h.ids.lock(now, id); err == nil {
			unlock()
			return true
		}
	}
	return false
}

// TestIDIsHeldWhileItsClientIsRemoved: between mochi's question whether a client
// was taken over and its removal nobody may take it over.
func TestIDIsHeldWhileItsClientIsRemoved(t *testing.T) {
	h, cl := admitted(t)
	s := sessionOf(cl)
	s.transport = driven{s.transport}
	h.server.Clients.Add(cl)
	if !free(h, cl.ID) {
		t.Fatal("held while the client is connected")
	}
	h.OnDisconnect(cl, nil, true)
	if free(h, cl.ID) {
		t.Error("free while mochi removes the client")
	}
	s.End(false)
	if !free(h, cl.ID) {
		t.Error("held after the end")
	}
}

// TestEndSparesTheNext: what broke off removes itself and not who took over.
func TestEndSparesTheNext(t *testing.T) {
	h, cl := admitted(t)
	next := h.server.NewClient(nil, "test", cl.ID, false)
	h.server.Clients.Add(next)
	sessionOf(cl).End(true)
	if got, ok := h.server.Clients.Get(cl.ID); !ok || got != next {
		t.Error("the next client is gone")
	}
	h.server.Clients.Add(cl)
	sessionOf(cl).End(true)
	if _, ok := h.server.Clients.Get(cl.ID); ok {
		t.Error("the client that broke off is still there")
	}
	if len(h.ids.held) != 0 {
		t.Errorf("%d client IDs are held", len(h.ids.held))
	}
}

// TestDeniedInTheMiddleOfSubscribe: what changes between the question whether a
// client may subscribe and the grant takes the subscription away again.
func TestDeniedInTheMiddleOfSubscribe(t *testing.T) {
	h, cl := admitted(t)
	s := sessionOf(cl)
	for name, tc := range map[string]struct {
		version, code byte
	}{"v3.1.1": {4, 0x80}, "v5": {5, 0x87}} {
		cl.Properties.ProtocolVersion = tc.version
		asked := packets.Packet{Filters: packets.Subscriptions{{Filter: "a/#"}, {Filter: "b"}}}
		granted := h.OnSubscribe(cl, asked)
		for _, f := range granted.Filters {
			h.server.Topics.Subscribe(cl.ID, f)
			cl.State.Subscriptions.Add(f.Filter, f)
		}
		before := s.bound.Load()
		s.bound.Store(policy.NewRealm("us-east-1", "123456789012").Bind(nil, policy.Variables{ClientID: "sensor"}))
		codes := []byte{0, 0}
		h.OnSubscribed(cl, granted, codes)
		s.bound.Store(before)
		if codes[0] != tc.code || codes[1] != tc.code {
			t.Errorf("%s: SUBACK % X", name, codes)
		}
		if n := cl.State.Subscriptions.Len() + len(h.server.Topics.Subscribers("a/1").Subscriptions); n != 0 {
			t.Errorf("%s: %d subscriptions are left", name, n)
		}
	}
}
