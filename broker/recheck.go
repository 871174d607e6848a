package broker

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// recheckers is how many live connections OCSP is asked about at once: about
// what one responder is asked, so that devices that connect find their turn.
const recheckers = 16

// coarse is the shortest pause of a round. Of 100,000 connections in a minute
// sixteen are due in it.
const coarse = 10 * time.Millisecond

// Recheck has OCSP asked again about each live connection once in every
// interval, until ctx ends. A round is spread over the interval, in the order in
// which the connections came; a responder that answers slowly makes it longer.
// Most questions are answered from memory, where a fresh answer is held.
func (b *Broker) Recheck(ctx context.Context, every time.Duration) {
	var asked sync.WaitGroup
	defer asked.Wait()
	for ctx.Err() == nil {
		// Servers that were started together shall not ask together.
		round := time.Duration((0.9 + 0.2*rand.Float64()) * float64(every))
		start := time.Now()
		conns := b.live.inOrder()
		for i, c := range conns {
			if !sleepUntil(ctx, start.Add(round/time.Duration(len(conns))*time.Duration(i))) {
				return
			}
			b.recheck(ctx, &asked, c)
		}
		sleepUntil(ctx, start.Add(max(round, coarse)))
	}
}

// sleepUntil waits for a moment, unless it is near, and reports false when ctx
// ended.
func sleepUntil(ctx context.Context, t time.Time) bool {
	wait := time.Until(t)
	if wait < coarse {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// recheckAll has OCSP asked about connections as fast as it answers.
func (b *Broker) recheckAll(ctx context.Context, conns []*conn) {
	var asked sync.WaitGroup
	defer asked.Wait()
	for _, c := range conns {
		b.recheck(ctx, &asked, c)
	}
}

// recheck asks about one connection on a goroutine of its own, once there is
// room for it. One whose CONNECT has not been judged yet was asked about just
// now.
func (b *Broker) recheck(ctx context.Context, asked *sync.WaitGroup, c *conn) {
	session := c.attached()
	if session == nil {
		return
	}
	select {
	case b.recheckers <- struct{}{}:
	case <-ctx.Done():
		return
	}
	asked.Go(func() {
		defer b.recovered(c.NetConn())
		defer func() { <-b.recheckers }()
		start := time.Now()
		if d, judged := session.Recheck(ctx); judged {
			b.observer.Rechecked(d.Reason, time.Since(start))
		}
	})
}

// inOrder returns the connections, those that came first first.
func (l *live) inOrder() []*conn {
	conns := l.all()
	slices.SortFunc(conns, func(a, b *conn) int { return cmp.Compare(a.number, b.number) })
	return conns
}
