package broker

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/muster-mqtt/muster/admission"
)

// Limits bound what strangers may cost. They are applied before TLS.
type Limits struct {
	Connections       int // open at once; default 100,000
	Handshakes        int // in the TLS handshake at once; default 4,096
	ConnectsPerSecond int // from one address, bursts of twice that; default 500
}

// maxAddresses bounds the memory of the rates: when it is reached, all
// addresses begin anew.
const maxAddresses = 16_384

type limiter struct {
	limits      Limits
	connections atomic.Int64
	handshakes  atomic.Int64

	mu        sync.Mutex
	addresses map[netip.Addr]*rate.Limiter
}

func newLimiter(l Limits) *limiter {
	if l.Connections == 0 {
		l.Connections = 100_000
	}
	if l.Handshakes == 0 {
		l.Handshakes = 4096
	}
	if l.ConnectsPerSecond == 0 {
		l.ConnectsPerSecond = 500
	}
	return &limiter{limits: l, addresses: map[netip.Addr]*rate.Limiter{}}
}

// slot is a connection's share of the limits.
type slot struct {
	handshakeDone func()
	all           func()
}

// admit takes a connection's share, or names the limit that is reached.
func (l *limiter) admit(remote net.Addr) (*slot, admission.Cause) {
	if !l.allow(remote) {
		return nil, admission.CauseAddress
	}
	if l.connections.Add(1) > int64(l.limits.Connections) {
		l.connections.Add(-1)
		return nil, admission.CauseConnections
	}
	if l.handshakes.Add(1) > int64(l.limits.Handshakes) {
		l.handshakes.Add(-1)
		l.connections.Add(-1)
		return nil, admission.CauseHandshakes
	}
	handshakeDone := sync.OnceFunc(func() { l.handshakes.Add(-1) })
	return &slot{
		handshakeDone: handshakeDone,
		all:           func() { handshakeDone(); l.connections.Add(-1) },
	}, ""
}

// detail says in one phrase which limit was reached.
func (l *limiter) detail(limit admission.Cause) string {
	switch limit {
	case admission.CauseAddress:
		return fmt.Sprintf("more than %d connects a second from one address (limits.connects_per_address)", l.limits.ConnectsPerSecond)
	case admission.CauseHandshakes:
		return fmt.Sprintf("%d connections are in the TLS handshake (limits.handshakes)", l.limits.Handshakes)
	}
	return fmt.Sprintf("%d connections are open (limits.connections)", l.limits.Connections)
}

// allow takes one connect from the rate of an address. What has no IP address
// has no rate.
func (l *limiter) allow(remote net.Addr) bool {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return true
	}
	ip := tcp.AddrPort().Addr().Unmap()
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.addresses[ip]
	if !ok {
		if len(l.addresses) >= maxAddresses {
			clear(l.addresses)
		}
		r = rate.NewLimiter(rate.Limit(l.limits.ConnectsPerSecond), 2*l.limits.ConnectsPerSecond)
		l.addresses[ip] = r
	}
	return r.Allow()
}
