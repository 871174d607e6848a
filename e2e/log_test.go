package e2e_test

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// line is a line of the server's log, with the fields that tests look at.
type line struct {
	Event, Reason, Certificate, Client string
	text                               string
}

// logbook collects the log of a server.
type logbook struct {
	mu    sync.Mutex
	lines []line
}

// fill reads until the writers of r have ended.
func (b *logbook) fill(r io.Reader) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		l := line{text: in.Text()}
		_ = json.Unmarshal(in.Bytes(), &l) // the error that ends the program is plain text
		b.mu.Lock()
		b.lines = append(b.lines, l)
		b.mu.Unlock()
	}
}

// len returns how many lines there are, the number of the next one.
func (b *logbook) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.lines)
}

func (b *logbook) find(from int, is func(line) bool) (line, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lines[min(from, len(b.lines)):] {
		if is(l) {
			return l, true
		}
	}
	return line{}, false
}

// text returns the last lines.
func (b *logbook) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out strings.Builder
	for _, l := range b.lines[max(0, len(b.lines)-40):] {
		out.WriteString(l.text + "\n")
	}
	return out.String()
}

// eventually asks again and again until ok, or fails the test.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
