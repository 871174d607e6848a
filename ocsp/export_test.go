package ocsp

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
