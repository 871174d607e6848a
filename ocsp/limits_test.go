package ocsp

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Who waits for a slow host holds nobody else up, leaves when its context
// ends, and nothing is left behind.
func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(2, 1)
		release, err := l.acquire(t.Context(), "slow")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		left := make(chan error, 1)
		go func() {
			_, err := l.acquire(ctx, "slow")
			left <- err
		}()
		synctest.Wait()
		other, err := l.acquire(t.Context(), "other")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.acquire(ctx, "third"); err == nil {
			t.Error("a third request of two")
		}
		if err := <-left; err == nil {
			t.Error("two requests to a host that takes one")
		}
		other()
		release()
		if len(l.hosts) != 0 {
			t.Errorf("hosts left behind: %v", l.hosts)
		}
	})
}

// Memory never exceeds its bound, and gives up failures before answers and
// answers before revocations.
func TestMemoryBound(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	later := now.Add(time.Hour)
	m := newMemory(8)
	name := func(parts ...any) id { return digest([]byte(fmt.Sprint(parts...))) }
	m.put(name("revoked"), entry{answer: Answer{Status: Revoked}}, now)
	for i := range 7 {
		m.put(name("good", i), entry{answer: Answer{Status: Good}, until: later}, now)
	}
	for i := range 100 {
		m.put(name("failure", i), entry{answer: Answer{Status: Unavailable}, until: later}, now)
	}
	if len(m.entries) != 8 {
		t.Errorf("%d entries, want 8", len(m.entries))
	}
	good := 0
	for _, e := range m.entries {
		if e.answer.Status == Good {
			good++
		}
	}
	if good != 6 {
		t.Errorf("%d of 7 good answers left, want all but the one that made room", good)
	}
	for i := range 100 {
		m.put(name("more", i), entry{answer: Answer{Status: Good}, until: later}, now)
	}
	if !m.entries[name("revoked")].current(now.AddDate(1, 0, 0)) {
		t.Error("the revocation was forgotten")
	}
	if m.entries[name("more", 99)].current(later) {
		t.Error("an answer is given at the time it lapses")
	}
}
