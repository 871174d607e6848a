package ocsp

import (
	"crypto/x509"
	"runtime"
	"time"
)

// Fault makes the Client believe that a responder failed so.
func (c *Client) Fault(responder string, f Fault) {
	c.responders.leave(responder, endingOf(f), f, "test")
}

// Responders returns of how many responders something is remembered.
func (c *Client) Responders() int {
	c.responders.mu.Lock()
	defer c.responders.mu.Unlock()
	return len(c.responders.known)
}

// Postponed waits until a refresh of the certificate has failed, and returns
// in how long the next one may start.
func (c *Client) Postponed(leaf, issuer *x509.Certificate, now time.Time) time.Duration {
	for {
		c.mu.Lock()
		ahead := c.ahead
		c.mu.Unlock()
		if ahead == 0 {
			break
		}
		runtime.Gosched()
	}
	e, _ := c.known.current(identify(leaf, issuer))
	return e.answer.Refresh.Sub(now)
}

// AwaitWaiters returns once so many Checks wait for an answer.
func (c *Client) AwaitWaiters(n int) {
	for {
		c.mu.Lock()
		waiters := c.waiters
		c.mu.Unlock()
		if waiters == n {
			return
		}
		runtime.Gosched()
	}
}

// AwaitQueue returns once so many requests to a responder are under way or
// wait for a slot.
func (c *Client) AwaitQueue(responder string, n int) {
	for {
		c.limiter.mu.Lock()
		h := c.limiter.hosts[responder]
		ready := h != nil && h.users == n
		c.limiter.mu.Unlock()
		if ready {
			return
		}
		runtime.Gosched()
	}
}

// Ahead returns how many answers are being refreshed.
func (c *Client) Ahead() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead
}
