package broker

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
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
	ended atomic.Bool
}

// past is a deadline at which whoever waits in a connection leaves it.
var past = time.Unix(1, 0)

// Close ends the connection for both sides. It waits for nobody.
func (c *parted) Close() error {
	if c.ended.Swap(true) {
		return net.ErrClosed
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return c.Conn.Close()
	}
	return c.Conn.SetDeadline(past)
}

func (c *parted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.known(err)
}

func (c *parted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.known(err)
}

// known is net.ErrClosed for what was ended here.
func (c *parted) known(err error) error {
	if err != nil && c.ended.Load() {
		return net.ErrClosed
	}
	return err
}

// SetDeadline and its kind do nothing after the end, or whoever leaves could wait
// again. Who is late puts back what the end had set.
func (c *parted) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *parted) SetReadDeadline(t time.Time) error {
	err := c.Conn.SetReadDeadline(t)
	if c.ended.Load() {
		_ = c.Conn.SetReadDeadline(past)
		return net.ErrClosed
	}
	return err
}

func (c *parted) SetWriteDeadline(t time.Time) error {
	err := c.Conn.SetWriteDeadline(t)
	if c.ended.Load() {
		_ = c.Conn.SetWriteDeadline(past)
		return net.ErrClosed
	}
	return err
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
