package registry

import "github.com/muster-mqtt/muster"

// tell notes what putting a certificate means to those outside. They are told
// once it is on disk.
func (t *tx) tell(c *certificateTx) {
	registered := c.version == 0
	if registered {
		t.note(c, muster.Event{Type: muster.EventRegistered, Status: c.Status})
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
		t.note(c, muster.Event{Type: muster.EventStatusChanged, PreviousStatus: c.was, Status: c.Status})
	}
}

func (t *tx) note(c *certificateTx, e muster.Event) {
	e.Account, e.CertificateID, e.AuthorityID = c.Account, c.ID, c.AuthorityID
	t.events = append(t.events, e)
}

// tellOf hands on what a transaction did.
func (s *Store) tellOf(events []muster.Event) {
	if s.tell == nil || len(events) == 0 {
		return
	}
	now := s.now()
	for _, e := range events {
		e.Time = now
		s.tell(e)
	}
}
