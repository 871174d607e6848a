package broker

import (
	"io"
	"net"
	"sync"
	"time"
)

// parted is a connection whose Close parts from the peer and leaves the socket
// open: what was written goes out, then the end, and nobody here reads or writes
// any more. Whoever accepted the connection gives the peer time to take note, and
// then closes the socket (linger). Closed with unread bytes a socket is reset,
// and the reset destroys what the peer has not read yet: a device that sends all
// the time would never learn why it had to go.
type parted struct {
	net.Conn

	mu    sync.Mutex
	ended bool
}

// Close ends the connection for both sides. It waits for nobody.
func (c *parted) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return net.ErrClosed
	}
	c.ended = true
	if half, ok := c.Conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return c.Conn.Close()
	}
	return c.Conn.SetDeadline(time.Unix(1, 0)) // who waits in it leaves
}

func (c *parted) isEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

func (c *parted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && c.isEnded() {
		err = net.ErrClosed
	}
	return n, err
}

func (c *parted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil && c.isEnded() {
		err = net.ErrClosed
	}
	return n, err
}

// SetDeadline and its kind do nothing after the end: a deadline that lies ahead
// would let whoever leaves wait again.
func (c *parted) SetDeadline(t time.Time) error { return c.set(c.Conn.SetDeadline, t) }

func (c *parted) SetReadDeadline(t time.Time) error { return c.set(c.Conn.SetReadDeadline, t) }

func (c *parted) SetWriteDeadline(t time.Time) error { return c.set(c.Conn.SetWriteDeadline, t) }

func (c *parted) set(deadline func(time.Time) error, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return net.ErrClosed
	}
	return deadline(t)
}

// farewell bounds the wait for a peer to take note of the end.
const farewell = 250 * time.Millisecond

// linger closes a connection that nobody reads or writes any more, once the peer
// has taken note of its end or has had the time to. What it sends meanwhile is
// dropped, so many bytes of it at most.
func linger(nc net.Conn, most int64) {
	defer func() { _ = nc.Close() }()
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil { // the peer has gone, as a rule
		return
	}
	if nc.SetReadDeadline(time.Now().Add(farewell)) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(nc, most))
	}
}
