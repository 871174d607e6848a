package e2e_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// responder is a running openssl ocsp, which answers for one authority.
type responder struct {
	url  string
	cmd  *exec.Cmd
	done bool
}

// The serial numbers that a responder knows.
const (
	goodSerial    = 0x1000
	freshSerial   = 0x1001
	otherSerial   = 0x1002
	revokedSerial = 0x1003
)

// startResponder runs openssl with an index of the certificates above, which
// need not be made yet: they have to name its address, which it chooses. Its
// answers are good for an hour, unless further arguments say otherwise.
func startResponder(t *testing.T, a *authority, more ...string) *responder {
	t.Helper()
	r := &responder{cmd: exec.Command("openssl", append([]string{"ocsp", "-port", "0", "-nmin", "60",
		"-index", a.writeIndex(t, revokedSerial), "-CA", a.cert, "-rsigner", a.cert, "-rkey", a.key}, more...)...)}
	var complaints strings.Builder
	r.cmd.Stderr = &complaints
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("openssl ocsp: %s", &complaints)
		}
	})
	// "ACCEPT 0.0.0.0:40123 PID=77". To try whether it listens would hang it.
	first, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("openssl ocsp did not start: %v", err)
	}
	_, rest, _ := strings.Cut(first, " ")
	address, _, _ := strings.Cut(rest, " ")
	r.url = "http://127.0.0.1" + address[strings.LastIndexByte(address, ':'):]
	return r
}

func (r *responder) stop() {
	if !r.done {
		r.done = true
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	}
}

// writeIndex writes the text database by which openssl answers, with these serial
// numbers as revoked, in place of an earlier one at once, and returns its path. A
// responder that runs reads it anew.
func (a *authority) writeIndex(t *testing.T, revoked ...int) string {
	t.Helper()
	const form = "060102150405Z" // of the text database of openssl ca
	soon, before := time.Now().AddDate(0, 0, 30).UTC().Format(form), time.Now().Add(-time.Hour).UTC().Format(form)
	var index strings.Builder
	for _, serial := range []int{goodSerial, freshSerial, otherSerial, revokedSerial} {
		if slices.Contains(revoked, serial) {
			fmt.Fprintf(&index, "R\t%s\t%s,keyCompromise\t%X\tunknown\t/CN=%[3]d\n", soon, before, serial) // names are unique
		} else {
			fmt.Fprintf(&index, "V\t%s\t\t%X\tunknown\t/CN=%[2]d\n", soon, serial)
		}
	}
	path := filepath.Join(a.dir, "index.txt")
	if err := os.Rename(writeFile(t, path+".new", index.String()), path); err != nil {
		t.Fatal(err)
	}
	return path
}
