package broker

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/internal/pace"
)

// Limits bound what strangers may cost. They are applied before TLS. Zero fields
// take their defaults.
type Limits struct {
	Connections        int // open at once; default 100,000
	Handshakes         int // in the TLS handshake at once; default 4,096
	Connects           int // a second in all, bursts of twice that; default 10,000
	ConnectsPerAddress int // a second from one address, bursts of twice that; default 500
}

func (l Limits) orDefaults() Limits {
	return Limits{
		Connections:        cmp.Or(l.Connections, 100_000),
		Handshakes:         cmp.Or(l.Handshakes, 4096),
		Connects:           cmp.Or(l.Connects, 10_000),
		ConnectsPerAddress: cmp.Or(l.ConnectsPerAddress, 500),
	}
}

// SetLimits changes the limits, for connections that come from now on. It may be
// called at any time.
func (b *Broker) SetLimits(l Limits) { b.limits.set(l) }

// maxAddresses is how many addresses have a rate of their own; about as many are
// remembered besides. It is more than come in the two seconds in which a rate
// recovers, as long as limits.connects is at its default.
const maxAddresses = 32_768

type limiter struct {
	limits      atomic.Pointer[Limits]
	connections atomic.Int64
	handshakes  atomic.Int64
	addresses   *pace.Rates[netip.Addr]
	all         *pace.Rates[struct{}]
}

func newLimiter(limits Limits) *limiter {
	limits = limits.orDefaults()
	l := &limiter{
		addresses: pace.New[netip.Addr](limits.ConnectsPerAddress, maxAddresses),
		all:       pace.New[struct{}](limits.Connects, 1),
	}
	l.limits.Store(&limits)
	return l
}

func (l *limiter) set(limits Limits) {
	limits = limits.orDefaults()
	l.limits.Store(&limits)
	l.addresses.Set(limits.ConnectsPerAddress)
	l.all.Set(limits.Connects)
}

// slot is a connection's share of the limits.
type slot struct {
	handshakeDone func()
	all           func()
}

// admit takes a connection's share, or names the limit that is reached. The rate
// of the address comes first: one address must not use up that of all.
func (l *limiter) admit(remote net.Addr) (*slot, admission.Cause) {
	limits := l.limits.Load()
	if from, ok := network(remote); ok && !l.addresses.Allow(from) {
		return nil, admission.CauseAddress
	}
	if !l.all.Allow(struct{}{}) {
		return nil, admission.CauseConnects
	}
	if l.connections.Add(1) > int64(limits.Connections) {
		l.connections.Add(-1)
		return nil, admission.CauseConnections
	}
	if l.handshakes.Add(1) > int64(limits.Handshakes) {
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
	limits := l.limits.Load()
	switch limit {
	case admission.CauseAddress:
		return fmt.Sprintf("more than %d connects a second from one address (limits.connects_per_address)", limits.ConnectsPerAddress)
	case admission.CauseConnects:
		return fmt.Sprintf("more than %d connects a second in all (limits.connects)", limits.Connects)
	case admission.CauseHandshakes:
		return fmt.Sprintf("%d connections are in the TLS handshake (limits.handshakes)", limits.Handshakes)
	}
	return fmt.Sprintf("%d connections are open (limits.connections)", limits.Connections)
}

// ipv6Network is how many bits of an IPv6 address tell who comes: a subscriber
// has a network of 64 bits at least, and all the addresses in it (RFC 6177).
const ipv6Network = 64

// network returns what connects are counted by: an IPv4 address, or an IPv6
// network. What has no IP address has none.
func network(remote net.Addr) (netip.Addr, bool) {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	ip := tcp.AddrPort().Addr().Unmap()
	if ip.Is6() {
		p, err := ip.Prefix(ipv6Network) // drops the zone as well
		return p.Addr(), err == nil
	}
	return ip, ip.IsValid()
}
