package metrics

import (
	"slices"
	"testing"

	"github.com/muster-mqtt/muster/fleet"
)

// TestFleetWords: whatever package fleet says has a series of its own.
func TestFleetWords(t *testing.T) {
	var requests []string
	for _, op := range fleet.Operations() {
		requests = append(requests, string(op))
	}
	results := []string{fleet.ResultAccepted, fleet.ResultUnanswered}
	for _, c := range fleet.Codes() {
		results = append(results, string(c))
	}
	for _, c := range []struct{ got, want []string }{{fleetRequests(), requests}, {fleetResults(), results}} {
		slices.Sort(c.got)
		slices.Sort(c.want)
		if !slices.Equal(c.got, c.want) {
			t.Errorf("got  %q\nwant %q", c.got, c.want)
		}
	}
}
