package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

// consoleOf is a console that an HTTP handler answers.
func consoleOf(t *testing.T, h http.HandlerFunc) *console {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	dial := func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.Listener.Addr().String())
	}
	return &console{client: newClient(dial), close: func() error { return nil }}
}

// TestBrokenStream demands that no file stands for a backup that was not whole,
// and an error that tells what is known.
func TestBrokenStream(t *testing.T) {
	var whole bytes.Buffer
	if _, err := registry.Backup(t.Context(), memory.New(), &whole, ""); err != nil {
		t.Fatal(err)
	}
	half := whole.Bytes()[:whole.Len()/2]
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"the server dies": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(half)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "no whole backup"},
		"the server says why": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", admin.BackupFailure)
			_, _ = w.Write(half)
			w.Header().Set(admin.BackupFailure, "the disk is gone")
		}, "the disk is gone"},
		"the server stops early": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(half) }, "cut off"},
		"another server":         {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }, "no whole backup"},
		"no such request":        {http.NotFound, "the same version"},
	} {
		dir := t.TempDir()
		b := backup{progress: &meter{}}
		err := writeWhole(filepath.Join(dir, "muster.gz"), false, func(w io.Writer) error {
			return b.stream(t.Context(), consoleOf(t, test.answer), w)
		})
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: it leaves %v, %v", name, left, err)
		}
	}
}

// TestBackupToAFullDisk names the disk, not the line that it was at.
func TestBackupToAFullDisk(t *testing.T) {
	o := consoleOf(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = registry.Backup(r.Context(), memory.New(), w, "")
	})
	b := backup{progress: &meter{}}
	err := b.stream(t.Context(), o, fullDisk{})
	if err == nil || err.Error() != "writing the backup: no space left" {
		t.Errorf("%v", err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "1.0 KB", 1_234_567: "1.2 MB", 5e12: "5.0 TB", 5e15: "5000.0 TB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

// TestBackupOverWhatIsNoFile: as root, a rename would put a file in the place of
// a device.
func TestBackupOverWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	device := filepath.Join(dir, "device")
	if err := os.Symlink(os.DevNull, device); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, device} {
		err := writeWhole(path, true, func(io.Writer) error { t.Error("it is written"); return nil })
		if err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestBackupIsPrintedAsText: a file that somebody else made does not talk to the
// terminal of who checks it.
func TestBackupIsPrintedAsText(t *testing.T) {
	var file, out bytes.Buffer
	if _, err := registry.Backup(t.Context(), memory.New(), &file, "v1\x1b]0;title\x07"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "muster.gz")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), []string{"restore", path, "--check"}, &out, &out); code != exitOK {
		t.Fatalf("exit %d: %s", code, &out)
	}
	if got := out.String(); strings.ContainsAny(got, "\x1b\x07") || !strings.Contains(got, "by Muster v1") {
		t.Errorf("printed %q", got)
	}
}
