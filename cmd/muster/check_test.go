package main

import (
	"io/fs"
	"testing"
)

func TestClash(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:8883", "127.0.0.1:8883", true},
		{"127.0.0.1:8883", "127.0.0.1:08883", true},
		{"127.0.0.1:8883", "127.0.0.1:8443", false},
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{"127.0.0.1:8883", "127.0.0.2:8883", false},
		{":8883", "127.0.0.1:8883", true},
		{":8883", "[::1]:8883", true},
		{":8883", "[::]:8883", true},
		{"[::]:8883", "10.0.0.1:8883", true},
		{"0.0.0.0:8883", "10.0.0.1:8883", true},
		{"0.0.0.0:8883", "[::1]:8883", false},
		{"[::1]:8883", "[0:0::1]:8883", true},
		{"[::1]:8883", "127.0.0.1:8883", false},
		{"[::ffff:127.0.0.1]:8883", "127.0.0.1:8883", true},
		{"[fe80::1%eth0]:8883", "[fe80::1%eth1]:8883", false},
		{"[0::0]:8883", "[2001:db8::1]:8883", true},
		{"0.0.0.0:8883", "broker.example.com:8883", true},
		{"localhost:8883", "127.0.0.1:8883", true},
		{"localhost:8883", "broker.example.com:8883", false},
		{"broker.example.com:8883", "broker.example.com:8883", true},
	} {
		if got := clash(c.a, c.b); got != c.want {
			t.Errorf("clash(%q, %q) = %v", c.a, c.b, got)
		}
		if got := clash(c.b, c.a); got != c.want {
			t.Errorf("clash(%q, %q) = %v", c.b, c.a, got)
		}
	}
}

func TestCouldClose(t *testing.T) {
	for _, c := range []struct {
		mode        fs.FileMode
		owner, user int64
		want        bool
	}{
		{0o600, 1000, 1000, false},
		{0o640, 1000, 1000, false},
		{0o644, 1000, 1000, true},
		{0o444, 1000, 1000, true},
		{0o444, 0, 1000, false}, // a mounted secret
		{0o444, 0, 0, true},
	} {
		if got := couldClose(c.mode, c.owner, c.user); got != c.want {
			t.Errorf("%v of %d, for %d: %v", c.mode, c.owner, c.user, got)
		}
	}
}
