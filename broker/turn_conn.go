package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// turnConn is the connection under a TLS handshake. The handshake has a turn
// while it computes and none while it waits for the network: one that its peer
// lets wait holds nobody up. Afterwards it is the connection and nothing more,
// until it is closed.
type turnConn struct {
	parted
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
	buffer []byte        // to read into, as long as the handshake lasts
	rest   []byte        // read, and not asked for yet; the end of it comes after the handshake
}

// flight is how much is read at once: all that a device says in one turn of the
// handshake, as a rule. crypto/tls asks for 517 bytes first, which are less than a
// ClientHello has: to wait for two turns would be one too many.
const flight = 4 << 10

// Read waits for the peer without a turn, and for a turn once there is something
// to compute with.
func (c *turnConn) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		if c.over {
			return c.parted.Read(b)
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	if c.over && len(c.rest) == 0 {
		c.rest = nil // and what it was a part of
	}
	return n, nil
}

func (c *turnConn) fill() error {
	c.yield()
	if c.buffer == nil {
		c.buffer = make([]byte, flight)
	}
	n, err := c.parted.Read(c.buffer)
	if n == 0 {
		return err
	}
	c.rest = c.buffer[:n]
	return c.take()
}

// Write gives the turn back, for crypto/tls writes when it has computed what it
// says, and then waits for what the peer says.
func (c *turnConn) Write(b []byte) (int, error) {
	if !c.over {
		c.yield()
		c.begun = true
	}
	return c.parted.Write(b)
}

func (c *turnConn) take() error {
	waited, err := c.turns.take(c.ctx, c.class())
	c.waited += waited
	c.held, c.missed = err == nil, err != nil
	if waited > 0 && err == nil && gone(c.Conn) {
		return io.EOF
	}
	return err
}

// gone reports whether the peer of a TCP connection has closed it, as devices do
// that have waited too long. To compute for those that are still there is what
// gets the server out of a storm.
func gone(nc net.Conn) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	var n int
	var b [1]byte
	if raw.Control(func(fd uintptr) {
		n, _, err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}) != nil {
		return false
	}
	return err == nil && n == 0 || errors.Is(err, syscall.ECONNRESET)
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
	c.over, c.buffer = true, nil
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
