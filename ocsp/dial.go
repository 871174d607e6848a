package ocsp

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// guard decides which addresses may be dialled. The URL comes from a
// certificate, so without it whoever has certificates signed could make us
// talk to services inside the network.
type guard struct {
	allowed []netip.Prefix
}

// errForbidden follows the address.
var errForbidden = errors.New("is a private or reserved address, and no allowed range holds it")

// special are the ranges beyond private, loopback, link-local, multicast and
// unspecified ones that lead to no public host, or that hide an IPv4 address
// which may be private (IANA special-purpose registries, RFC 6890).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // carrier-grade NAT
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("::/96"),           // IPv4-compatible
	netip.MustParsePrefix("64:ff9b::/96"),    // NAT64
	netip.MustParsePrefix("64:ff9b:1::/48"),  // NAT64, local use
	netip.MustParsePrefix("100::/64"),        // discard
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4
	netip.MustParsePrefix("3fff::/20"),       // documentation
	netip.MustParsePrefix("5f00::/16"),       // segment routing
	netip.MustParsePrefix("fec0::/10"),       // site-local
}

func newGuard(allowed []netip.Prefix) (guard, error) {
	for _, p := range allowed {
		if !p.IsValid() {
			return guard{}, fmt.Errorf("allowed range %s: not an address range", p)
		}
		if p.Addr().Is4In6() {
			return guard{}, fmt.Errorf("allowed range %s: write it as IPv4", p)
		}
	}
	return guard{allowed}, nil
}

// control is a net.Dialer's: it sees each address after names were resolved
// and just before the connect, so that no later DNS answer can slip past it.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	if !g.permits(ap.Addr()) {
		return fmt.Errorf("%s %w", ap.Addr(), errForbidden)
	}
	return nil
}

func (g guard) permits(a netip.Addr) bool {
	a = a.Unmap().WithZone("") // a Prefix contains no mapped and no zoned address
	for _, p := range g.allowed {
		if p.Contains(a) {
			return true
		}
	}
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
