package hooks

import (
	"testing"

	"github.com/muster-mqtt/muster"
)

// TestSoleIsReleased: of a certificate whose connection has ended nothing is
// kept, and an older connection that ends takes nothing from the newer.
func TestSoleIsReleased(t *testing.T) {
	h, cl := admitted(t)
	h.sole = &soles{newest: map[string]*Session{}}
	old := sessionOf(cl)
	h.sole.claim(old)
	_, next := admitted(t)
	newer := sessionOf(next)
	newer.hook, next.ID = h, "another"
	h.sole.claim(newer)
	if k := old.kicked.Load(); k == nil || k.Reason != muster.ReasonTakenOver {
		t.Errorf("the older was kicked for %+v", k)
	}
	_ = cl.Net.Conn.Close()
	if h.sole.newest[old.candidate.ID] != newer {
		t.Error("the newer is forgotten when the older ends")
	}
	_ = next.Net.Conn.Close()
	if n := len(h.sole.newest); n != 0 {
		t.Errorf("%d certificates are held after the end", n)
	}
}
