package broker

import (
	"context"
	"sync"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
)

// key is what a connection may be watched for. A certificate's account is "":
// who holds the certificate may be what changes.
type key struct {
	kind    muster.ResourceKind
	account string
	id      string
}

// live is the index of connections by what concerns them. A connection is in
// it, by its certificate, from before it is inspected until it has ended, so
// that no revocation can slip through between the two.
type live struct {
	mu       sync.Mutex
	closed   bool
	entered  uint64 // connections so far
	conns    map[*conn]struct{}
	watchers map[key]map[*conn]struct{}
}

func newLive() *live {
	return &live{conns: map[*conn]struct{}{}, watchers: map[key]map[*conn]struct{}{}}
}

// enter reports false when the broker is stopping.
func (l *live) enter(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.entered++
	c.number = l.entered
	l.conns[c] = struct{}{}
	l.add(c, key{kind: muster.KindCertificate, id: c.id})
	return true
}

func (l *live) leave(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	l.forget(c)
}

func (l *live) watch(c *conn, account string, keys []muster.ResourceKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.conns[c]; !ok {
		return
	}
	l.forget(c)
	l.add(c, key{kind: muster.KindCertificate, id: c.id})
	for _, k := range keys {
		if k.Kind != muster.KindCertificate { // in it already, whatever the account
			l.add(c, key{kind: k.Kind, account: account, id: k.ID})
		}
	}
}

// add and forget are called with mu held.
func (l *live) add(c *conn, k key) {
	set, ok := l.watchers[k]
	if !ok {
		set = map[*conn]struct{}{}
		l.watchers[k] = set
	}
	if _, ok := set[c]; !ok {
		set[c] = struct{}{}
		c.watched = append(c.watched, k)
	}
}

func (l *live) forget(c *conn) {
	for _, k := range c.watched {
		delete(l.watchers[k], c)
		if len(l.watchers[k]) == 0 {
			delete(l.watchers, k)
		}
	}
	c.watched = nil
}

func (l *live) watching(k key) []*conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	conns := make([]*conn, 0, len(l.watchers[k]))
	for c := range l.watchers[k] {
		conns = append(conns, c)
	}
	return conns
}

// concerns reports whether a connection is watched for it.
func (l *live) concerns(k key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.watchers[k]) > 0
}

func (l *live) all() []*conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	conns := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	return conns
}

func (l *live) close() []*conn {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	return l.all()
}

// Changes reports changes of the registry in their order, beginning after a
// sequence, until ctx ends or fn fails.
type Changes func(ctx context.Context, after uint64, fn func(muster.Change) error) error

// followers is how many goroutines act on changes of certificates, so that one
// that waits for the registry's disk holds up few others.
const followers = 4

// Follow re-judges the connections that a change concerns, until ctx ends. It
// begins after the sequence given and returns nil when ctx ended; any other
// return means that changes were missed: call RejudgeAll and follow anew.
//
// A change is noted at once, with the time, and holds up no other. Those of
// certificates have goroutines of their own. One of a policy may concern every
// device of a fleet and has another, so that a revocation never waits for it.
// Where the OCSP settings of an issuer change, its devices are asked about by the
// new ones before they are judged, on yet another: that takes as long as the
// network does.
func (b *Broker) Follow(ctx context.Context, changes Changes, after uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	certificates, shared, issuers := newQueue(), newQueue(), newQueue()
	rejudge := func(t task) { b.rejudge(ctx, b.live.watching(t.key), t.told) }
	var workers sync.WaitGroup
	for range followers {
		workers.Go(func() { certificates.run(ctx, rejudge) })
	}
	workers.Go(func() { shared.run(ctx, rejudge) })
	workers.Go(func() { issuers.run(ctx, func(t task) { b.recheckAll(ctx, b.live.watching(t.key)) }) })
	defer workers.Wait()
	defer cancel()
	err := changes(ctx, after, func(c muster.Change) error {
		k := key{kind: c.Kind, account: c.Account, id: c.ID}
		switch c.Kind {
		case muster.KindCertificate:
			k.account = ""
			certificates.put(k, b.live)
		case muster.KindIssuer:
			issuers.put(k, b.live)
		default:
			shared.put(k, b.live)
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// RejudgeAll judges every connection again.
func (b *Broker) RejudgeAll(ctx context.Context) { b.rejudge(ctx, b.live.all(), time.Now()) }

func (b *Broker) rejudge(ctx context.Context, conns []*conn, told time.Time) {
	for _, c := range conns {
		b.judge(ctx, c, told)
	}
}

// judge acts on a change that was told at the time given.
func (b *Broker) judge(ctx context.Context, c *conn, told time.Time) {
	defer b.recovered(c.NetConn())
	c.mu.Lock()
	session, admitted := c.session, c.admitted
	c.mu.Unlock()
	switch {
	case session != nil:
		session.Rejudge(ctx, told)
	case admitted && b.recordRefuses(ctx, c):
		_ = c.NetConn().Close()
	}
}

// recordRefuses reports whether the record of a connection that has not sent
// CONNECT yet would refuse it by itself. All else is judged at CONNECT, where
// the device can be told.
func (b *Broker) recordRefuses(ctx context.Context, c *conn) bool {
	cs := c.ConnectionState()
	d := b.gate.Standing(ctx, &admission.Candidate{
		Leaf: cs.PeerCertificates[0], ID: c.id, SNI: cs.ServerName, Remote: c.RemoteAddr().String(),
	})
	switch d.Reason {
	case muster.ReasonDeleted, muster.ReasonTransferred, muster.ReasonInactive,
		muster.ReasonRevoked, muster.ReasonPendingTransfer, muster.ReasonUntrustedIssuer:
		return true
	}
	return false
}
