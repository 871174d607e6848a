package broker

import (
	"context"
	"net"
	"time"
)

// turnConn is the connection under a TLS handshake. The handshake has a turn
// while it computes and none while it waits for the network: one that its peer
// lets wait holds nobody up. Afterwards it is the connection and nothing more.
type turnConn struct {
	net.Conn
	turns *turnstile
	ctx   context.Context // ends with the time that the handshake has
	known bool            // a known device came from this address lately

	// The goroutine of the handshake owns these; when it is over nobody changes
	// them any more.
	begun  bool          // the server has answered
	held   bool          // it has a turn
	over   bool          // the handshake
	missed bool          // its time ended before its turn came
	waited time.Duration // for turns
}

// Read waits for the peer without a turn, and for a turn once there is something
// to compute with.
func (c *turnConn) Read(b []byte) (int, error) {
	if c.over {
		return c.Conn.Read(b)
	}
	c.yield()
	n, err := c.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	if err := c.take(); err != nil {
		return 0, err
	}
	return n, err
}

// Write gives the turn back, for crypto/tls writes when it has computed what it
// says, and then waits for what the peer says.
func (c *turnConn) Write(b []byte) (int, error) {
	if !c.over {
		c.yield()
		c.begun = true
	}
	return c.Conn.Write(b)
}

func (c *turnConn) take() error {
	start := time.Now()
	err := c.turns.take(c.ctx, c.class())
	c.waited += time.Since(start)
	c.held, c.missed = err == nil, err != nil
	return err
}

func (c *turnConn) yield() {
	if c.held {
		c.held = false
		c.turns.give()
	}
}

// end is called when the handshake is over, however it ended.
func (c *turnConn) end() {
	c.yield()
	c.over = true
}

func (c *turnConn) class() class {
	switch {
	case c.begun && c.known:
		return begunKnown
	case c.begun:
		return begun
	case c.known:
		return newKnown
	}
	return newcomer
}
