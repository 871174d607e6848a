package e2e_test

import (
	"testing"

	"github.com/muster-mqtt/muster"
)

// TestInactiveAuthority disables an authority: whom it let in before stays,
// nobody else comes in.
func TestInactiveAuthority(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.prepare(t)
	workshop := newAuthority(t, "Workshop CA")
	s.register(t, workshop, object{})
	active, pending, unseen := workshop.device(t, "active"), workshop.device(t, "pending"), workshop.device(t, "unseen")
	for _, c := range []*certificate{active, pending} {
		s.refuse(t, c, muster.ReasonPendingActivation)
		s.attach(t, "device", c)
	}
	s.setStatus(t, active, "ACTIVE")
	s.admit(t, v5, active)
	live := s.subscribe(t, v3, active, "commands/"+active.name)

	s.aws(t, "update-ca-certificate", "--certificate-id", workshop.id, "--new-status", "INACTIVE")
	s.aws(t, "describe-ca-certificate", "--certificate-id", workshop.id).want(t, "INACTIVE", "certificateDescription", "status")

	s.refuse(t, pending, muster.ReasonAuthorityInactive)
	s.wantStatus(t, pending, "PENDING_ACTIVATION")
	s.refuse(t, unseen, muster.ReasonAuthorityInactive)
	s.unknownToAWS(t, unseen)
	select {
	case <-live.ended:
		t.Errorf("the live connection of an active device was closed:\n%s", live.printed())
	default:
	}
	live.stop() // it would take its client ID back
	s.admit(t, v5, active)
	s.admit(t, v3, active)
}
