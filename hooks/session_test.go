package hooks

import (
	"context"
	"net"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
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
