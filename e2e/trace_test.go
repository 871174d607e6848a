package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// straceFlags make strace write what checkOrder reads: every thread, whole
// buffers in hex, descriptors with their addresses. The tracer is not our
// child, the server is.
func straceFlags(output string) []string {
	return []string{"strace", "-D", "-f", "-yy", "-xx", "-s", "1048576",
		"-e", "trace=read,write,msync,fsync,fdatasync", "-o", output}
}

// checkOrder reads the trace of a server that one device connected to by TLS
// 1.2, at the address given. It returns nil if, between the arrival of CONNECT
// and the first byte of CONNACK, something was synced to disk, from the call's
// begin to its success.
//
// TLS 1.2 shows the difference between its handshake and what follows in the
// clear: the first record of application data that the server reads is
// CONNECT, the first that it writes CONNACK. strace stops a thread at the
// begin and at the end of each call, so that what one of them caused stands
// below it.
func checkOrder(trace io.Reader, address string) error {
	o := order{connection: "<TCP:[" + address + "->", pending: map[string]pendingCall{}}
	in := bufio.NewScanner(trace)
	in.Buffer(nil, 8<<20)
	for n := 1; in.Scan() && !o.acknowledged; n++ {
		if err := o.read(in.Text()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	switch {
	case in.Err() != nil:
		return in.Err()
	case !o.asked:
		return errors.New("no CONNECT was read")
	case !o.acknowledged:
		return errors.New("no CONNACK was written")
	case !o.synced:
		return errors.New("CONNACK was written, and nothing synced to disk since CONNECT was read")
	}
	return nil
}

// order is how far a connection has come.
type order struct {
	connection string
	pending    map[string]pendingCall // by thread
	in, out    records

	asked        bool // CONNECT was read
	synced       bool // since then a sync began and succeeded
	acknowledged bool // CONNACK is being written
}

// pendingCall is a system call that has begun.
type pendingCall struct {
	ours  bool // it is about the connection
	asked bool // it began after CONNECT was read
}

// The forms of a line: a whole call; its begin and its end, where those of
// other threads stand between. Only calls can be told from the rest (signals,
// exits) by their parenthesis.
var (
	beginning = regexp.MustCompile(`^(\d+) +(\w+)\((.*)$`)
	end       = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)$`)
	succeeded = regexp.MustCompile(`\) += (\d+)$`)
	buffer    = regexp.MustCompile(`"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?`)
)

func (o *order) read(text string) error {
	if m := end.FindStringSubmatch(text); m != nil {
		return o.end(m[1], m[2], m[3])
	}
	m := beginning.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	thread, call, rest := m[1], m[2], m[3]
	o.pending[thread] = pendingCall{ours: strings.Contains(rest, o.connection), asked: o.asked}
	if call == "write" && o.pending[thread].ours {
		data, err := bytesOf(rest)
		if err != nil {
			return err
		}
		if o.out.add(data) {
			o.acknowledged = true
			return nil
		}
	}
	if strings.HasSuffix(rest, "<unfinished ...>") {
		return nil
	}
	return o.end(thread, call, rest)
}

func (o *order) end(thread, call, rest string) error {
	p := o.pending[thread]
	delete(o.pending, thread)
	result := succeeded.FindStringSubmatch(rest)
	if result == nil {
		return nil // it failed, as a read that has to wait does
	}
	switch call {
	case "msync", "fsync", "fdatasync":
		o.synced = o.synced || p.asked && result[1] == "0"
	case "read":
		if !p.ours {
			return nil
		}
		data, err := bytesOf(rest)
		if err != nil {
			return err
		}
		o.asked = o.in.add(data) || o.asked
	}
	return nil
}

// bytesOf returns the buffer among the arguments of a call.
func bytesOf(arguments string) ([]byte, error) {
	m := buffer.FindStringSubmatch(arguments)
	if m == nil || m[2] != "" {
		return nil, errors.New("strace cut the buffer off")
	}
	return hex.DecodeString(strings.ReplaceAll(m[1], `\x`, ""))
}

// records finds the records of a TLS stream (RFC 5246 §6.2.1).
type records struct{ rest []byte }

const applicationData = 23

// add reports whether the bytes complete a record of application data.
func (r *records) add(data []byte) (found bool) {
	const header = 5
	r.rest = append(r.rest, data...)
	for len(r.rest) >= header {
		length := header + int(r.rest[3])<<8 + int(r.rest[4])
		if len(r.rest) < length {
			break
		}
		found = found || r.rest[0] == applicationData
		r.rest = r.rest[length:]
	}
	return found
}

// TestCheckOrder holds the check against traces that are made up. The first line
// of each is what it must say, "ok" if nothing.
func TestCheckOrder(t *testing.T) {
	files, err := filepath.Glob("testdata/trace/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, trace, _ := bytes.Cut(text, []byte("\n"))
			got := "ok"
			if err := checkOrder(bytes.NewReader(trace), "127.0.0.1:8883"); err != nil {
				got = err.Error()
			}
			if got != string(want) {
				t.Errorf("says %q, want %q", got, want)
			}
		})
	}
}
