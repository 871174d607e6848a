package ocsp

import "fmt"

// load is what concerns one responder at a time. None may have all the places:
// one that answers, but slowly, would keep the devices of all others waiting, and
// no breaker opens for it.
type load struct {
	flights int // certificates that it is asked about
	ahead   int // of these, to refresh an answer
	waiters int // Checks that wait for what it says; while a second responder is asked, still for the first
}

// half is what one responder may have of a number of places.
func half(places int) int { return max(1, places/2) }

// load returns what n flights like this one are.
func (f *flight) load(n int) load {
	if f.ahead {
		return load{flights: n, ahead: n}
	}
	return load{flights: n}
}

// of returns the load of a responder. The caller holds the lock.
func (c *Client) of(name string) load {
	if l := c.towards[name]; l != nil {
		return *l
	}
	return load{}
}

// change adds to the load of a responder. The caller holds the lock.
func (c *Client) change(name string, by load) {
	l := c.towards[name]
	if l == nil {
		l = new(load)
		c.towards[name] = l
	}
	l.flights += by.flights
	l.ahead += by.ahead
	l.waiters += by.waiters
	if *l == (load{}) {
		delete(c.towards, name)
	}
}

// crowded says why a responder can be asked about no more certificates. The
// caller holds the lock.
func (c *Client) crowded(name string) error {
	if n := c.of(name).flights; n >= c.cfg.WaitingPerResponder {
		return fmt.Errorf("%d other certificates are being asked about at %s already", n, name)
	}
	return nil
}

// turnTo makes a flight one to another responder of its certificate, if there is
// room: one that fails at once must not hide that a slow one is asked.
func (c *Client) turnTo(in *inquiry, f *flight, name string) error {
	if name == in.name {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.crowded(name); err != nil {
		return noResponse(FaultCrowded, "%w", err)
	}
	c.change(in.name, f.load(-1))
	in.name = name
	c.change(name, f.load(+1))
	return nil
}
