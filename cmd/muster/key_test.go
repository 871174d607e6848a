package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeyOfNoOperations: --operations "$UNSET" makes no key that may call all.
func TestKeyOfNoOperations(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "server")
	musterIn(t, dir, "init", "--dir", dir)
	var out, stderr bytes.Buffer
	args := []string{"key", "create", "--operations", "", "--config", filepath.Join(dir, configFile)}
	if code := run(t.Context(), args, &out, &stderr); code != exitUsage {
		t.Errorf("exit %d, want %d", code, exitUsage)
	}
	if got := stderr.String(); !strings.Contains(got, "--operations is empty") {
		t.Errorf("standard error %q", got)
	}
	if strings.Contains(out.String(), "aws_secret_access_key") {
		t.Error("a key was made")
	}
}
