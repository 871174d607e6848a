package unfinished_test

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/muster-mqtt/muster/internal/unfinished"
)

// TestRemove removes empty logs and nothing else, and nothing from a folder that
// another process has open.
func TestRemove(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"00001.mem": "", "00002.mem": "x", "000001.vlog": "", "000002.vlog": "x", "000001.sst": "", "LOCK": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := unfinished.Remove(dir); err != nil || len(left(t, dir)) != 6 {
		t.Errorf("in use by another: %v, %v is left", err, left(t, dir))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unfinished.Remove(dir); err != nil {
		t.Error(err)
	}
	if got, want := left(t, dir), []string{"000001.sst", "000002.vlog", "00002.mem", "LOCK"}; !slices.Equal(got, want) {
		t.Errorf("%v is left, want %v", got, want)
	}
	if err := unfinished.Remove(filepath.Join(dir, "none")); err != nil {
		t.Errorf("a folder that is missing: %v", err)
	}
}

func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
