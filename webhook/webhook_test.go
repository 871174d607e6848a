package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
)

// far is a receiver that answers at once, as its script says: a status a
// request, 0 for none at all; the last goes on.
type far struct {
	mu     sync.Mutex
	script []int
	after  string // Retry-After of what is no success
	start  time.Time
	took   []string // "seconds after the start: status, events"
	keys   map[string]int
	ids    []string // of the events that it took
}

func (f *far) RoundTrip(q *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	var sent struct{ Events []message }
	if err := json.Unmarshal(body, &sent); err != nil {
		return nil, err
	}
	status := f.script[0]
	if len(f.script) > 1 {
		f.script = f.script[1:]
	}
	f.took = append(f.took, fmt.Sprintf("%.0f:%d:%d", time.Since(f.start).Seconds(), status, len(sent.Events)))
	if f.keys == nil {
		f.keys = map[string]int{}
	}
	f.keys[q.Header.Get("Idempotency-Key")]++
	if status == 0 {
		return nil, errors.New("no route")
	}
	h := http.Header{}
	if status/100 == 2 {
		for _, e := range sent.Events {
			f.ids = append(f.ids, e.ID)
		}
	} else if f.after != "" {
		h.Set("Retry-After", f.after)
	}
	return &http.Response{StatusCode: status, Header: h, Body: http.NoBody, Request: q}, nil
}

// counts is an observer.
type counts struct {
	mu                                 sync.Mutex
	delivered, failed, dropped, queued int
}

func (c *counts) add(n *int, by int) { c.mu.Lock(); defer c.mu.Unlock(); *n += by }

func (c *counts) Delivered(n int)         { c.add(&c.delivered, n) }
func (c *counts) Failed(n int)            { c.add(&c.failed, n) }
func (c *counts) Dropped(n int)           { c.add(&c.dropped, n) }
func (c *counts) Queued(n int)            { c.add(&c.queued, n) }
func (c *counts) Requested(time.Duration) {}

func (c *counts) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("delivered %d failed %d dropped %d queued %d", c.delivered, c.failed, c.dropped, c.queued)
}

// logged is a log that is read while it is written.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// sending is a sender to one far receiver within a synctest bubble.
func sending(t *testing.T, f *far) (s *Sender, c *counts, log *logged, stop func()) {
	t.Helper()
	c, log = &counts{}, &logged{}
	s, err := New(Config{URLs: []string{"https://far.example.test/token"}, Observer: c, Log: zerolog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	f.start = time.Now()
	s.client.Transport = f
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx, context.Background())
	}()
	return s, c, log, func() { cancel(); <-ended }
}

func event(n int) muster.Event {
	return muster.Event{Type: muster.EventRegistered, CertificateID: fmt.Sprint(n), Status: muster.Active}
}

// TestTries: which answers are taken for a no, and which call for another try.
func TestTries(t *testing.T) {
	for _, test := range []struct {
		script []int
		tries  int // in the first minute
		want   string
	}{
		{[]int{200}, 1, "delivered 1 failed 0 dropped 0 queued 0"},
		{[]int{204}, 1, "delivered 1 failed 0 dropped 0 queued 0"},
		{[]int{500, 503, 429, 408, 0, 200}, 6, "delivered 1 failed 0 dropped 0 queued 0"},
		{[]int{0, 200}, 2, "delivered 1 failed 0 dropped 0 queued 0"},
		{[]int{400}, 1, "delivered 0 failed 1 dropped 0 queued 0"},
		{[]int{404}, 1, "delivered 0 failed 1 dropped 0 queued 0"},
		{[]int{410}, 1, "delivered 0 failed 1 dropped 0 queued 0"},
		{[]int{301}, 1, "delivered 0 failed 1 dropped 0 queued 0"},
		{[]int{307}, 1, "delivered 0 failed 1 dropped 0 queued 0"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &far{script: test.script}
			s, c, log, stop := sending(t, f)
			s.Tell(event(1))
			time.Sleep(time.Minute)
			stop()
			if got := c.text(); got != test.want || len(f.took) != test.tries || len(f.keys) != 1 {
				t.Errorf("%v: %s, want %s; tries %v with %d keys", test.script, got, test.want, f.took, len(f.keys))
			}
			if strings.Contains(log.String(), "token") {
				t.Errorf("the log shows the path of a URL: %s", log)
			}
		})
	}
}

// TestPauses: they grow to half a minute, and after ten a request is given up.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{script: []int{503}}
		s, c, log, stop := sending(t, f)
		s.Tell(event(1))
		time.Sleep(giveUp - longestPause - time.Second)
		synctest.Wait()
		f.mu.Lock()
		tries := len(f.took)
		f.mu.Unlock()
		if got := c.text(); got != "delivered 0 failed 0 dropped 0 queued 1" || tries < 20 || tries > 50 {
			t.Errorf("before the end: %s after %d tries", got, tries)
		}
		if lines := strings.Count(log.String(), "webhook_failing"); lines < 8 || lines > 10 {
			t.Errorf("%d lines in ten minutes:\n%s", lines, log)
		}
		time.Sleep(longestPause + 2*time.Second)
		synctest.Wait()
		if got := c.text(); got != "delivered 0 failed 1 dropped 0 queued 0" {
			t.Errorf("after the end: %s", got)
		}
		f.mu.Lock()
		f.script = []int{200}
		f.mu.Unlock()
		s.Tell(event(2))
		synctest.Wait()
		if got := c.text(); got != "delivered 1 failed 1 dropped 0 queued 0" {
			t.Errorf("the next: %s", got)
		}
		if !strings.Contains(log.String(), `"event":"webhook_works"`) {
			t.Errorf("the log does not tell that it works again:\n%s", log)
		}
		stop()
	})
}

// TestRetryAfter is heeded, but not for ever.
func TestRetryAfter(t *testing.T) {
	for after, want := range map[string]string{
		"7": "7:200:1", "100000": "300:200:1", "Sat, 01 Jan 2000 00:00:20 GMT": "20:200:1",
	} {
		synctest.Test(t, func(t *testing.T) { // the time in it begins with the year 2000
			f := &far{script: []int{429, 200}, after: after}
			s, _, _, stop := sending(t, f)
			s.Tell(event(1))
			time.Sleep(10 * time.Minute)
			stop()
			if len(f.took) != 2 || f.took[1] != want {
				t.Errorf("Retry-After %s: %v, want %s", after, f.took, want)
			}
		})
	}
}

// TestOrderAndBatches: what waits goes out together, in the order in which it was
// told, each event once.
func TestOrderAndBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{script: []int{503, 200}}
		s, c, _, stop := sending(t, f)
		s.Tell(event(0))
		synctest.Wait()
		for i := 1; i <= 250; i++ {
			s.Tell(event(i))
		}
		time.Sleep(time.Minute)
		stop()
		if got := c.text(); got != "delivered 251 failed 0 dropped 0 queued 0" {
			t.Error(got)
		}
		seen := map[string]bool{}
		for _, id := range f.ids {
			seen[id] = true
		}
		if len(seen) != 251 || len(f.took) != 5 || !strings.HasSuffix(f.took[2], ":100") || !strings.HasSuffix(f.took[4], ":50") {
			t.Errorf("%d IDs in the requests %v", len(seen), f.took)
		}
	})
}

// TestFullQueueLosesTheOldest, and tells so.
func TestFullQueueLosesTheOldest(t *testing.T) {
	c := &counts{}
	q := newQueue(c)
	for i := range maxQueued + 5 {
		q.put(fmt.Append(nil, i))
	}
	body, events, lost := q.take()
	if events != maxBatch || lost != 5 || !bytes.HasPrefix(body, []byte(`{"events":[5,6,`)) {
		t.Errorf("%d events, %d lost: %.20s", events, lost, body)
	}
	if got, want := c.text(), fmt.Sprintf("delivered 0 failed 0 dropped 5 queued %d", maxQueued); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	q.clear()
	large := bytes.Repeat([]byte("x"), maxBatchSize)
	for range maxQueuedSize/len(large) + 3 {
		q.put(large)
	}
	if q.size > maxQueuedSize {
		t.Errorf("%d bytes wait", q.size)
	}
	if _, events, lost := q.take(); events != 1 || lost != 3 {
		t.Errorf("%d large events in a request, %d lost", events, lost)
	}
}

// TestStop: what waits is sent, if the receiver takes it in time.
func TestStop(t *testing.T) {
	for name, test := range map[string]struct {
		script []int
		want   string
		within time.Duration
	}{
		"it works again": {[]int{503, 200}, "delivered 150 failed 0 dropped 0 queued 0", time.Second},
		"it fails":       {[]int{503}, "delivered 0 failed 1 dropped 149 queued 0", flushTime + time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, c, log, stop := sending(t, &far{script: test.script})
			s.Tell(event(0))
			synctest.Wait()
			for i := 1; i < 150; i++ {
				s.Tell(event(i))
			}
			start := time.Now()
			stop()
			if took := time.Since(start); c.text() != test.want || took > test.within {
				t.Errorf("%s: %s after %v, want %s", name, c.text(), took, test.want)
			}
			if lost := strings.Contains(log.String(), `"lost":149`); lost != (test.script[len(test.script)-1] == 503) {
				t.Errorf("%s: the log says\n%s", name, log)
			}
		})
	}
}

// TestHurriedStop: who has lost patience waits for no receiver.
func TestHurriedStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counts{}
		s, err := New(Config{URLs: []string{"https://far.example.test/"}, Observer: c})
		if err != nil {
			t.Fatal(err)
		}
		s.client.Transport = &far{script: []int{503}}
		ctx, end := context.WithCancel(t.Context())
		patient, lose := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.Run(ctx, patient)
		}()
		s.Tell(event(0))
		synctest.Wait()
		start := time.Now()
		end()
		synctest.Wait()
		lose()
		<-ended
		if took, want := time.Since(start), "delivered 0 failed 1 dropped 0 queued 0"; took > 0 || c.text() != want {
			t.Errorf("%s after %v, want %s at once", c.text(), took, want)
		}
	})
}

// TestNew refuses what cannot be a receiver, and does not show it.
func TestNew(t *testing.T) {
	for _, url := range []string{"", "ftp://example.test/token", "https:///token", "http://%zz/token", "example.test"} {
		_, err := New(Config{URLs: []string{url}})
		if err == nil || strings.Contains(err.Error(), "token") {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := New(Config{Timeout: -1}); err == nil {
		t.Error("a negative timeout is taken")
	}
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.Tell(event(1)) // to nobody
}
