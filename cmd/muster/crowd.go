package main

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// crowd bounds the open connections of an HTTP server, which anybody may open:
// too many of them must not take the descriptors that the registry needs, nor the
// memory of as many bodies. Where there are more, the one that has been idle for
// longest is closed, or the new one if all are in use.
type crowd struct {
	most int

	mu   sync.Mutex
	open map[net.Conn]*list.Element // in idle; nil while in use
	idle list.List                  // of net.Conn, the longest idle first
}

func newCrowd(most int) *crowd {
	return &crowd{most: most, open: map[net.Conn]*list.Element{}}
}

// note is a http.Server's ConnState.
func (c *crowd) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.open[conn]; e != nil {
		c.idle.Remove(e)
	}
	switch state {
	case http.StateNew:
		c.open[conn] = nil
		if len(c.open) > c.most {
			c.closeOne(conn)
		}
	case http.StateActive:
		c.open[conn] = nil
	case http.StateIdle:
		c.open[conn] = c.idle.PushBack(conn)
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
	}
}

// closeOne makes room for a new connection, or closes it. It is called with mu
// held.
func (c *crowd) closeOne(fresh net.Conn) {
	victim := fresh
	if e := c.idle.Front(); e != nil {
		victim = e.Value.(net.Conn)
		c.idle.Remove(e)
	}
	delete(c.open, victim) // the server comes to know of it soon
	if over, ok := victim.(interface{ NetConn() net.Conn }); ok {
		victim = over.NetConn() // TLS would first send its farewell, and may wait for that
	}
	_ = victim.Close() // all that it could tell is that it is closed
}
