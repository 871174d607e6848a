package ocsp

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// limiter bounds the requests under way, to all responders and to each, so
// that a slow one cannot take every slot.
type limiter struct {
	all     *semaphore.Weighted
	perHost int64

	mu    sync.Mutex
	hosts map[string]*host // those with requests under way or waiting
}

type host struct {
	slots *semaphore.Weighted
	users int // under way or waiting; guarded by limiter.mu
}

func newLimiter(all, perHost int) *limiter {
	return &limiter{
		all:     semaphore.NewWeighted(int64(all)),
		perHost: int64(perHost),
		hosts:   map[string]*host{},
	}
}

// acquire waits for a slot of that host and one of all, in this order, so that
// who waits for a slow host holds nobody else up. It errs when ctx ends first.
func (l *limiter) acquire(ctx context.Context, name string) (release func(), err error) {
	h := l.enter(name)
	if err := h.slots.Acquire(ctx, 1); err != nil {
		l.leave(name, h)
		return nil, err
	}
	if err := l.all.Acquire(ctx, 1); err != nil {
		h.slots.Release(1)
		l.leave(name, h)
		return nil, err
	}
	return func() {
		l.all.Release(1)
		h.slots.Release(1)
		l.leave(name, h)
	}, nil
}

func (l *limiter) enter(name string) *host {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.hosts[name]
	if h == nil {
		h = &host{slots: semaphore.NewWeighted(l.perHost)}
		l.hosts[name] = h
	}
	h.users++
	return h
}

func (l *limiter) leave(name string, h *host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.users--; h.users == 0 {
		delete(l.hosts, name)
	}
}
