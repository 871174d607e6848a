package hooks

import (
	"fmt"
	"testing"
	"time"
)

// TestEventsRepeatOnceAMinute, for each certificate by itself.
func TestEventsRepeatOnceAMinute(t *testing.T) {
	var l eventLimiter
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		after time.Duration
		id    string
		want  bool
	}{
		{0, "a", true},
		{0, "a", false},
		{0, "b", true},
		{time.Minute - 1, "a", false},
		{time.Minute, "a", true},
		{2*time.Minute - 1, "a", false},
		{2 * time.Minute, "a", true},
	} {
		if got := l.allow(tc.id, now.Add(tc.after)); got != tc.want {
			t.Errorf("%s after %v: %v, want %v", tc.id, tc.after, got, tc.want)
		}
	}
}

func TestEventTimesAreBounded(t *testing.T) {
	var l eventLimiter
	for i := range 3 * maxEventTimes {
		l.allow(fmt.Sprint(i), time.Time{})
		if len(l.last) > maxEventTimes {
			t.Fatalf("%d times are kept", len(l.last))
		}
	}
}
