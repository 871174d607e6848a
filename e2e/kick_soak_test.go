//go:build soak

package e2e_test

import (
	"net/url"
	"slices"
	"testing"
	"time"
)

// TestKickSoak has 2,000 devices connected, revokes half of them one by one and
// the others at once, and fails if one of a hundred that were revoked one by one
// is open still 50 ms after the API has answered.
func TestKickSoak(t *testing.T) {
	const devices, bound = 2000, 50 * time.Millisecond
	s, factory, sessions := kickable(t, devices)
	var took []time.Duration
	for _, k := range sessions[:devices/2] {
		s.call(t, "PUT", "/certificates/"+k.device.id, url.Values{"newStatus": {"REVOKED"}}, nil)
		took = append(took, k.closed(t, time.Now()))
	}
	slices.Sort(took)
	t.Logf("one by one: %s", quantiles(took))
	if p99 := took[len(took)*99/100]; p99 > bound {
		t.Errorf("p99 is %v, want at most %v", p99, bound)
	}
	start := time.Now()
	took = s.revokeAll(t, factory, sessions[devices/2:])
	t.Logf("in bulk: %s; all within %v of the command's start", quantiles(took), time.Since(start).Round(time.Millisecond))
	t.Logf("muster_revocation_kick_seconds: %v kicks, %.3f ms on average",
		s.metric(t, "muster_revocation_kick_seconds_count"),
		1000*s.metric(t, "muster_revocation_kick_seconds_sum")/s.metric(t, "muster_revocation_kick_seconds_count"))
}
