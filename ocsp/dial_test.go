package ocsp

import (
	"net/netip"
	"testing"
)

func TestGuardPermits(t *testing.T) {
	cases := []struct {
		address string
		want    bool
	}{
		{"93.184.216.34", true},
		{"2606:2800:220:1::1", true},
		{"::ffff:93.184.216.34", true}, // mapped, but public
		{"100.128.0.1", true},          // just above carrier-grade NAT
		{"0.0.0.0", false},
		{"0.1.2.3", false},
		{"10.1.2.3", false},
		{"100.64.0.1", false},
		{"100.127.255.255", false},
		{"127.0.0.1", false},
		{"127.255.0.1", false},
		{"169.254.169.254", false}, // the metadata service of clouds
		{"172.16.0.1", false},
		{"172.31.255.255", false},
		{"192.0.0.8", false},
		{"192.168.1.1", false},
		{"198.19.0.1", false},
		{"224.0.0.1", false},
		{"240.0.0.1", false},
		{"255.255.255.255", false},
		{"::", false},
		{"::1", false},
		{"::ffff:10.0.0.1", false},
		{"::ffff:127.0.0.1", false},
		{"::10.0.0.1", false},         // IPv4-compatible
		{"64:ff9b::a00:1", false},     // NAT64 of 10.0.0.1
		{"2002:a00:1::1", false},      // 6to4 of 10.0.0.1
		{"2001:0:1:2:3:4:5:6", false}, // Teredo
		{"fc00::1", false},
		{"fd12:3456::1", false},
		{"fe80::1", false},
		{"fe80::1%eth0", false},
		{"fec0::1%eth0", false},
		{"ff02::1", false},
	}
	none, err := newGuard(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if got := none.permits(netip.MustParseAddr(c.address)); got != c.want {
			t.Errorf("%s: permitted %v, want %v", c.address, got, c.want)
		}
	}
}

func TestGuardAllows(t *testing.T) {
	g, err := newGuard([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fe80::/10")})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "fe80::1%eth0": true, "127.0.0.1": false,
	} {
		if got := g.permits(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: permitted %v, want %v", address, got, want)
		}
	}
	if err := g.control("tcp", "no address", nil); err == nil {
		t.Error("control lets pass what is no address")
	}
}
