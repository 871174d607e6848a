package registry_test

import (
	"sync"
	"testing"

	"github.com/muster-mqtt/muster"
)

// TestEventsAreToldInOrder: many change one certificate at once, and who is told
// hears each status follow the one before.
func TestEventsAreToldInOrder(t *testing.T) {
	f, o, ca, _ := newToldFixture(t)
	id := f.register(ca, "device", muster.Active).ID
	o.take()
	const each = 300
	var wg sync.WaitGroup
	for _, s := range []muster.Status{muster.Active, muster.Inactive, muster.Active, muster.Inactive} {
		wg.Go(func() {
			for range each {
				if _, err := f.UpdateCertificateStatus(t.Context(), account, id, s); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.events) < each {
		t.Fatalf("%d events", len(o.events))
	}
	for i, e := range o.events[1:] {
		if before := o.events[i]; e.PreviousStatus != before.Status || e.Time.Before(before.Time) {
			t.Fatalf("event %d: from %s to %s at %v follows one to %s at %v", i+1, e.PreviousStatus, e.Status, e.Time, before.Status, before.Time)
		}
	}
}
