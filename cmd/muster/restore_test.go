package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// musterIn runs a command, which has to work, with the configuration in a directory.
func musterIn(t *testing.T, dir string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	args = append(args, "--config", filepath.Join(dir, configFile))
	if code := run(t.Context(), args, &out, &out); code != exitOK {
		t.Fatalf("muster %s: exit %d: %s", strings.Join(args, " "), code, &out)
	}
}

// TestRestoreWithPipedKey takes the master key from a pipe, as a shell's
// <(vault …) is one, which can be read once. The directory is written as a shell
// completes it.
func TestRestoreWithPipedKey(t *testing.T) {
	dir := t.TempDir()
	first, second, file := filepath.Join(dir, "first"), filepath.Join(dir, "second"), filepath.Join(dir, "muster.gz")
	musterIn(t, first, "init", "--dir", first+"/")
	musterIn(t, first, "backup", file)
	want, err := os.ReadFile(filepath.Join(first, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.Write(want); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	musterIn(t, second, "restore", file, "--dir", second+"/", "--master-key", fmt.Sprintf("/dev/fd/%d", r.Fd()))
	if got, err := os.ReadFile(filepath.Join(second, "master.key")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the restored server's master key has %d bytes, want %d: %v", len(got), len(want), err)
	}
	musterIn(t, second, "key", "create") // by the key in force
}
