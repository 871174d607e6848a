package hooks

import (
	"context"
	"sync"
)

// idLocks lets one connection at a time take over a client ID. mochi's own
// look-up, disconnect and add are not one step: of eight connections with one
// ID, several would stay. [MQTT-3.1.4-3]
//
// The zero value is ready. It holds as many entries as there are connections
// between their CONNECT and their CONNACK.
type idLocks struct {
	mu   sync.Mutex
	held map[string]*idLock
}

type idLock struct {
	turn    chan struct{} // holds one token while free
	waiters int
}

// lock waits until the ID is free or ctx ends, and returns what frees it. That
// may be called more than once.
func (l *idLocks) lock(ctx context.Context, id string) (unlock func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*idLock{}
	}
	e, ok := l.held[id]
	if !ok {
		e = &idLock{turn: make(chan struct{}, 1)}
		e.turn <- struct{}{}
		l.held[id] = e
	}
	e.waiters++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if e.waiters--; e.waiters == 0 {
			delete(l.held, id)
		}
	}
	select {
	case <-e.turn:
		return sync.OnceFunc(func() { e.turn <- struct{}{}; leave() }), nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
