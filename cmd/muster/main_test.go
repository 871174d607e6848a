package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// TestErrorsAreText: what an error quotes does not talk to a terminal.
func TestErrorsAreText(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "server")
	musterIn(t, dir, "init", "--dir", dir)
	var out, stderr bytes.Buffer
	args := []string{"key", "disable", "A\x1b]0;title\x07\u009b31m\u202e", "--config", filepath.Join(dir, configFile)}
	if code := run(t.Context(), args, &out, &stderr); code != exitError {
		t.Fatalf("exit %d", code)
	}
	if got := stderr.String(); strings.ContainsAny(got, "\x1b\x07\u009b\u202e") || !strings.HasSuffix(got, ": not found\n") {
		t.Errorf("standard error %q", got)
	}
}
