package hooks

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestIDLocks: one at a time, and nothing stays behind.
func TestIDLocks(t *testing.T) {
	var l idLocks
	var holders, most int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			unlock, err := l.lock(context.Background(), "sensor")
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			holders++
			most = max(most, holders)
			mu.Unlock()
			mu.Lock()
			holders--
			mu.Unlock()
			unlock()
			unlock() // frees nothing that another holds by now
		})
	}
	all.Wait()
	if most != 1 {
		t.Errorf("%d held one ID at once", most)
	}
	if len(l.held) != 0 {
		t.Errorf("%d entries are left", len(l.held))
	}
}

func TestIDLocksDoNotMeet(t *testing.T) {
	var l idLocks
	for _, id := range []string{"a", "b"} {
		if _, err := l.lock(t.Context(), id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// TestIDLockGivesUp leaves the others their turn.
func TestIDLockGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l idLocks
		unlock, err := l.lock(t.Context(), "sensor")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.lock(ctx, "sensor"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("lock: %v", err)
		}
		unlock()
		second, err := l.lock(t.Context(), "sensor")
		if err != nil {
			t.Fatal(err)
		}
		second()
		if len(l.held) != 0 {
			t.Errorf("%d entries are left", len(l.held))
		}
	})
}
