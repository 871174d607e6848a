package broker

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
)

// TestQueueWakesAnother: what waits behind a task that takes long is for another
// worker, also where all was there before either began.
func TestQueueWakesAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5
		q, l := newQueue(), newLive()
		for i := range n {
			k := key{id: strconv.Itoa(i)}
			l.watchers[k] = map[*conn]struct{}{{}: {}}
			q.put(k, l)
		}
		q.put(key{id: "of nobody"}, l)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		done := make(chan string, n+1)
		for range 2 {
			go q.run(ctx, func(k task) {
				if k.id == "0" {
					<-ctx.Done()
				}
				done <- k.id
			})
		}
		synctest.Wait()
		if len(done) != n-1 {
			t.Errorf("%d of %d were looked at", len(done), n-1)
		}
	})
}
