package broker

import (
	"crypto/tls"
	"sync"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
)

// conn is a connection whose TLS handshake is done. It implements what package
// hooks asks of a transport.
type conn struct {
	*tls.Conn
	live *live
	id   string // fingerprint of the certificate

	// The connection's goroutine owns these.
	candidate  *admission.Candidate // set by inspected
	understood bool                 // a CONNECT came, for hooks to judge

	mu       sync.Mutex
	admitted bool // Inspect would let it in
	session  admission.Session
	watched  []key  // owned by live
	number   uint64 // the same: in the order of coming

	last byte // that was read for MQTT; the reader's own
}

// Read is mochi's.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.last = p[n-1]
	}
	return n, err
}

// LastByte returns the last byte that was read, to who reads: package hooks asks
// for it where it is the code of a DISCONNECT.
func (c *conn) LastByte() byte { return c.last }

func newConn(tc *tls.Conn, l *live) *conn {
	return &conn{Conn: tc, live: l, id: muster.Fingerprint(tc.ConnectionState().PeerCertificates[0].Raw)}
}

func (c *conn) inspected(candidate *admission.Candidate) {
	c.candidate = candidate
	c.mu.Lock()
	defer c.mu.Unlock()
	c.admitted = candidate.Decision.Verdict == admission.Admit
}

// Candidate returns what Inspect found, to judge a CONNECT by.
func (c *conn) Candidate() *admission.Candidate {
	c.understood = true
	return c.candidate
}

// Attach hands over the session of the client.
func (c *conn) Attach(s admission.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
}

func (c *conn) attached() admission.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// Watch replaces the resources whose change concerns the session.
func (c *conn) Watch(keys []muster.ResourceKey) { c.live.watch(c, c.candidate.Account, keys) }

// closeTimeout bounds the alert that ends TLS; crypto/tls waits five seconds for
// a peer that does not read.
const closeTimeout = 250 * time.Millisecond

// Close ends the connection at once, whatever the peer does: what was written, the
// reason of an MQTT 5 DISCONNECT above all, has still to reach it, and handle
// gives it the time.
func (c *conn) Close() error {
	cut := time.AfterFunc(closeTimeout, func() { _ = c.NetConn().Close() })
	defer cut.Stop()
	return c.Conn.Close()
}

func (c *conn) leave() { c.live.leave(c) }

func (c *conn) shutdown() {
	if s := c.attached(); s != nil {
		s.Kick(muster.ReasonShutdown, "the server is stopping")
		return
	}
	_ = c.NetConn().Close() // Close would wait to write an alert
}
