package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestListenSocket replaces a socket that nobody listens on, and no other: the
// operator's commands would reach another registry than before.
func TestListenSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), socketFile)
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	first, err := listenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := listenSocket(path); err == nil || !strings.Contains(err.Error(), "another server runs here") {
		t.Errorf("%v, %v", second, err)
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the first is gone: %v", err)
	} else if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	second, err := listenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = first.Close() // again: it must leave the other's alone
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}
