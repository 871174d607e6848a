package broker

import (
	"context"
	"sync"
	"time"
)

// task is a key to be looked at, and since when that is known.
type task struct {
	key
	told time.Time
}

// queue holds keys to be looked at, in the order of their first telling, each
// once: as many at most as connections are watched for.
type queue struct {
	mu    sync.Mutex
	tasks []task
	held  map[key]struct{}
	ready chan struct{} // holds a token while tasks wait
}

func newQueue() *queue {
	return &queue{held: map[key]struct{}{}, ready: make(chan struct{}, 1)}
}

// put adds a key that concerns somebody.
func (q *queue) put(k key, l *live) {
	if !l.concerns(k) {
		return
	}
	q.mu.Lock()
	if _, ok := q.held[k]; !ok {
		q.held[k] = struct{}{}
		q.tasks = append(q.tasks, task{k, time.Now()})
	}
	q.mu.Unlock()
	q.wake()
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take returns the first task, and wakes another worker where there are more. A
// key that is put from then on is a task of its own, for it may have changed
// after it was looked at.
func (q *queue) take() (t task, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.tasks) == 0 {
		return t, false
	}
	t, q.tasks = q.tasks[0], q.tasks[1:]
	delete(q.held, t.key)
	if len(q.tasks) == 0 {
		q.tasks = nil // the room of a storm is not kept
		return t, true
	}
	q.wake()
	return t, true
}

// run looks at what waits, one after another, until ctx ends. Several may run.
func (q *queue) run(ctx context.Context, fn func(task)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.ready:
		}
		for ctx.Err() == nil {
			t, ok := q.take()
			if !ok {
				break
			}
			fn(t)
		}
	}
}
