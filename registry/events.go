package registry

import (
	"sync"

	"github.com/muster-mqtt/muster"
)

// tell notes what putting a certificate means to those outside. They are told
// once it is on disk.
func (t *tx) tell(c *certificateTx) {
	registered := c.version == 0
	if registered {
		t.note(c, muster.Event{Type: muster.EventRegistered, Status: c.Status, Detail: c.why})
	}
	switch {
	case c.provisioned:
		t.note(c, muster.Event{Type: muster.EventProvisioned, ThingName: c.thing, PreviousStatus: c.was, Status: c.Status})
	case c.ProvisioningFailure != "" && c.ProvisioningFailure != c.failed:
		t.note(c, muster.Event{
			Type: muster.EventProvisioningFailed, Status: c.Status,
			Reason: muster.ReasonProvisioningFailed, Detail: c.ProvisioningFailure,
		})
	case !registered && c.was != c.Status:
		t.note(c, muster.Event{Type: muster.EventStatusChanged, PreviousStatus: c.was, Status: c.Status, Detail: c.why})
	}
}

func (t *tx) note(c *certificateTx, e muster.Event) {
	if c.Claim != "" { // it is on no list either
		return
	}
	e.Time, e.Account, e.CertificateID, e.AuthorityID = t.now, c.Account, c.ID, c.AuthorityID
	t.events = append(t.events, e)
}

// told is what one transaction has to tell.
type told struct {
	events  []muster.Event
	changes []muster.RegistryEvent
}

// telling hands events on in the order of the commits. The updates of one group
// return all at once, and who hears of a certificate that was activated and then
// revoked must not hear it the other way round.
type telling struct {
	tell         func(muster.Event)         // nil: nobody listens
	tellRegistry func(muster.RegistryEvent) // the same

	mu    sync.Mutex
	next  uint64          // turn of the next run of a closure that has events
	first uint64          // turn that is handed on next
	ended map[uint64]told // later ones, whose updates have returned
}

// heard leaves away what nobody listens to.
func (t *telling) heard(o told) told {
	if t.tell == nil {
		o.events = nil
	}
	if t.tellRegistry == nil {
		o.changes = nil
	}
	return o
}

// begin takes a turn. It is called by the closure that makes the events, and so in
// the order of the commits.
func (t *telling) begin() (turn uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	return t.next - 1
}

// end hands on what is told, or leaves that to the update whose turn is earlier.
// turns are those of all runs of the closure; the last has the events.
func (t *telling) end(turns []uint64, last told) {
	if len(turns) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, turn := range turns {
		t.ended[turn] = told{}
	}
	t.ended[turns[len(turns)-1]] = last
	for {
		o, ok := t.ended[t.first]
		if !ok {
			return
		}
		delete(t.ended, t.first)
		t.first++
		for _, e := range o.events {
			t.tell(e)
		}
		for _, e := range o.changes {
			t.tellRegistry(e)
		}
	}
}
