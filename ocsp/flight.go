package ocsp

import (
	"context"
	"fmt"
	"time"
)

// flight is one question under way, which all who ask it meanwhile share.
type flight struct {
	done    chan struct{}
	answer  Answer // set before done is closed
	ahead   bool   // a refresh, for which nobody waits; whoever needs it may join
	waiters int    // guarded by Client.mu
}

// waitersOfOne returns how many may wait for one certificate: whoever connects
// with it over and over must not use up the places of others.
func (c *Client) waitersOfOne() int { return max(16, c.cfg.Waiters/16) }

// wait joins a flight and waits for it.
func (c *Client) wait(ctx context.Context, in *inquiry) Answer {
	f, a := c.join(in)
	if f == nil {
		switch {
		case a.Source == SourceMemory:
			c.tellKnown(a)
		case a.Fault == FaultCrowded:
			c.tell(Event{Kind: EventCrowded})
		}
		return a
	}
	defer c.leave(f, in.name)
	select {
	case <-f.done:
		if f.answer.Source == SourceCache {
			c.tellKnown(f.answer)
		}
		return f.answer
	case <-ctx.Done():
		return unavailable(FaultEnded, "stopped waiting for an answer: "+ctx.Err().Error())
	}
}

// join returns the flight that will answer, or nil and the answer at hand.
func (c *Client) join(in *inquiry) (*flight, Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.known.current(in.cert); ok && e.counts(in.Settings.Nonce) { // it has just landed
		return nil, e.answer
	}
	if e, ok := c.known.current(in.self); ok {
		return nil, e.answer
	}
	f := c.flying[in.self]
	if c.waiters >= c.cfg.Waiters || c.of(in.name).waiters >= half(c.cfg.Waiters) || f != nil && f.waiters >= c.waitersOfOne() {
		return nil, unavailable(FaultCrowded, "too many others wait for answers already")
	}
	if f == nil {
		if c.closed {
			return nil, unavailable(FaultEnded, "the client is closed")
		}
		if err := c.full(in); err != nil {
			return nil, unavailable(FaultCrowded, err.Error())
		}
		f = c.start(*in, false)
	}
	f.waiters++
	c.waiters++
	c.change(in.name, load{waiters: +1})
	return f, Answer{}
}

func (c *Client) leave(f *flight, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiters--
	c.waiters--
	c.change(name, load{waiters: -1})
}

// full says why no further flight may start. One responder must not have all
// of the flights, or its silence would silence the others. The caller holds
// the lock.
func (c *Client) full(in *inquiry) error {
	if n := len(c.flying); n >= c.cfg.Waiting {
		return fmt.Errorf("%d other certificates are being asked about already", n)
	}
	return c.crowded(in.name)
}

// start starts a flight. The caller holds the lock.
func (c *Client) start(in inquiry, ahead bool) *flight {
	in.Brought = nil // it was looked at
	f := &flight{done: make(chan struct{}), ahead: ahead}
	c.flying[in.self] = f
	if ahead {
		c.ahead++
	}
	c.change(in.name, f.load(+1))
	c.flights.Go(func() { c.fly(f, &in) })
	return f
}

// fly finds the answer, remembers it and lands, in this order: whoever comes
// later finds either the flight or what it found.
func (c *Client) fly(f *flight, in *inquiry) {
	ctx, cancel := context.WithTimeoutCause(c.ctx, c.cfg.Timeout, noResponse(FaultTimeout, "no answer within %s", c.cfg.Timeout))
	defer cancel()
	a, until := c.seek(ctx, in, f)
	if !a.proves() {
		c.known.fail(in, a, until)
		if f.ahead {
			c.known.postpone(in.cert)
		}
	}
	f.answer = a
	c.mu.Lock()
	delete(c.flying, in.self)
	c.change(in.name, f.load(-1))
	if f.ahead {
		c.ahead--
	}
	c.mu.Unlock()
	close(f.done)
}

// seek looks into the Cache, and then asks. What proves nothing is worth
// remembering until the time it returns.
func (c *Client) seek(ctx context.Context, in *inquiry, f *flight) (Answer, time.Time) {
	if !f.ahead {
		if e, ok := c.known.recall(ctx, in); ok && e.counts(in.Settings.Nonce) {
			return e.answer, time.Time{}
		}
	}
	retry := c.cfg.Now().Add(c.cfg.Retry)
	switch {
	case in.err != nil:
		return unavailable(in.err.fault, in.err.Error()), retry
	case len(in.urls) == 0:
		return Answer{Status: NoURL}, retry
	}
	return c.ask(ctx, in, f)
}
