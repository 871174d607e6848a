package webhook

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// patience bounds what a test waits for, not what it measures.
const patience = 20 * time.Second

// run runs a sender until the test ends, and demands that it ends then.
func run(t *testing.T, c Config) *Sender {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx, context.Background())
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	})
	return s
}

// outcomes is an observer that lets tests wait.
type outcomes struct {
	unobserved
	delivered chan int
}

func (o outcomes) Delivered(n int) { o.delivered <- n }

func (o outcomes) wait(t *testing.T) {
	t.Helper()
	select {
	case <-o.delivered:
	case <-time.After(patience):
		t.Fatal("nothing was delivered")
	}
}

// TestFaults: a receiver that fails once in some way, and then works, gets the
// event all the same.
func TestFaults(t *testing.T) {
	for name, fault := range map[string]http.HandlerFunc{
		"slow":  func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() },
		"500":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"huge headers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Huge", strings.Repeat("x", 2*maxHeaders))
		},
		"rubbish": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "220 mail.example.test ESMTP\r\n")
				_ = conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				_, _ = io.Copy(io.Discard, q.Body)
				if n.Add(1) == 1 {
					fault(w, q)
				}
			}))
			defer far.Close()
			o := outcomes{delivered: make(chan int, 10)}
			run(t, Config{URLs: []string{far.URL}, Timeout: 2 * time.Second, Observer: o, Log: zerolog.Nop()}).Tell(event(1))
			o.wait(t)
			if got := n.Load(); got != 2 {
				t.Errorf("%d requests", got)
			}
		})
	}
}

// TestAnswersAreBounded: who answers without end is not listened to.
func TestAnswersAreBounded(t *testing.T) {
	ended := make(chan int, 1)
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n, chunk := 0, bytes.Repeat([]byte("x"), 32<<10)
		for {
			written, err := w.Write(chunk)
			n += written
			if err != nil || n > 1<<30 {
				ended <- n
				return
			}
		}
	}))
	defer far.Close()
	o := outcomes{delivered: make(chan int, 10)}
	run(t, Config{URLs: []string{far.URL}, Timeout: patience, Observer: o}).Tell(event(1))
	o.wait(t)
	select {
	case n := <-ended:
		if n > 64<<20 { // what the kernels hold, and not a gigabyte
			t.Errorf("%d bytes were taken", n)
		}
	case <-time.After(patience):
		t.Error("the answer is still read")
	}
}

// TestRedirectsAreNotFollowed, to wherever they lead.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var strayed atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Store(true) }))
	defer elsewhere.Close()
	far := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer far.Close()
	o := refused(make(chan int, 10))
	run(t, Config{URLs: []string{far.URL}, Observer: o}).Tell(event(1))
	select {
	case <-o:
	case <-time.After(patience):
		t.Fatal("it is not given up")
	}
	if strayed.Load() {
		t.Error("a redirect was followed")
	}
}

// refused is an observer of events that were given up.
type refused chan int

func (refused) Delivered(int)           {}
func (r refused) Failed(n int)          { r <- n }
func (refused) Dropped(int)             {}
func (refused) Queued(int)              {}
func (refused) Requested(time.Duration) {}

// TestRoots: an HTTPS receiver that nobody vouches for gets nothing.
func TestRoots(t *testing.T) {
	got := make(chan *http.Request, 10)
	far := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { got <- q }))
	defer far.Close()
	far.Config.ErrorLog = nil
	told := make(chan string, 100)
	run(t, Config{URLs: []string{far.URL}, Log: zerolog.New(lines(told))}).Tell(event(1))
	select {
	case line := <-told:
		if !strings.Contains(line, "x509") || !strings.Contains(line, "webhook_failing") {
			t.Errorf("the log says %s", line)
		}
	case <-time.After(patience):
		t.Fatal("the log says nothing")
	}
	roots := x509.NewCertPool()
	roots.AddCert(far.Certificate())
	run(t, Config{URLs: []string{far.URL}, Roots: roots, Secret: []byte("an-example-key-of-32-characters!"), Agent: "muster/1"}).Tell(event(1))
	select {
	case q := <-got:
		if q.Method != http.MethodPost || q.Header.Get("Content-Type") != "application/json" || q.Header.Get("User-Agent") != "muster/1" ||
			!strings.HasPrefix(q.Header.Get("Muster-Signature"), "t=") {
			t.Errorf("%s %v", q.Method, q.Header)
		}
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	if len(got) != 0 {
		t.Error("another request came, without a root")
	}
}

// lines is a writer of whole lines.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// TestTellNeverWaits: not even where a receiver takes connections and says
// nothing.
func TestTellNeverWaits(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var c counts
	s := run(t, Config{URLs: []string{"http://" + l.Addr().String()}, Timeout: time.Second, Observer: &c})
	start := time.Now()
	for i := range 3 * maxQueued {
		s.Tell(event(i))
	}
	if took := time.Since(start); took > patience {
		t.Errorf("telling took %v", took)
	}
	if c.mu.Lock(); c.queued > maxQueued+maxBatch || c.dropped < maxQueued {
		t.Errorf("%d wait and %d were dropped", c.queued, c.dropped)
	}
	c.mu.Unlock()
}

// TestSign holds the example of docs/events.md.
func TestSign(t *testing.T) {
	got := Sign([]byte("an-example-key-of-32-characters!"), time.Unix(1764000000, 0), []byte(`{"events":[{"id":"EXAMPLE"}]}`))
	const want = "t=1764000000,v1=8b29efa4f41a864fd5f5b83d36b63c1c8e48062492f46601fc8852b3e10b14ed"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseSecret(t *testing.T) {
	for text, ok := range map[string]bool{
		"0123456789abcdef": true, " 0123456789abcdef\n": true, "0123456789abcde\n": false, "": false,
		"0123456789 abcdef": false, "0123456789abcdef\nmore": false, "0123456789abcdé.": false,
		strings.Repeat("x", 1024): true, strings.Repeat("x", 1025): false,
	} {
		key, err := ParseSecret([]byte(text))
		if (err == nil) != ok || ok && string(key) != strings.TrimSpace(text) {
			t.Errorf("%q: %q, %v", text, key, err)
		}
		if err != nil && text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

// BenchmarkDelivery is how many events a receiver on the same machine gets.
func BenchmarkDelivery(b *testing.B) {
	far := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { _, _ = io.Copy(io.Discard, q.Body) }))
	defer far.Close()
	for name, size := range map[string]int{"one": 1, "batch": maxBatch} {
		b.Run(name, func(b *testing.B) {
			s, err := New(Config{URLs: []string{far.URL}, Secret: []byte("an-example-key-of-32-characters!")})
			if err != nil {
				b.Fatal(err)
			}
			r := s.receivers[0]
			for b.Loop() {
				for i := range size {
					s.Tell(event(i))
				}
				body, _, _ := r.queue.take()
				if err := r.post(b.Context(), "id", body); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
