package webhook

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/rs/zerolog"
)

// How a request is sent again.
const (
	firstPause   = time.Second
	longestPause = 30 * time.Second
	longestAfter = 5 * time.Minute  // of what a receiver's Retry-After asks for
	giveUp       = 10 * time.Minute // after the first try
	maxAnswer    = 4 << 10          // bytes of an answer's body that are read, and not looked at
	lineInterval = time.Minute      // between two lines of the log about a receiver that fails
)

// receiver is one program that is told.
type receiver struct {
	url      string
	secret   []byte
	agent    string
	client   *http.Client
	observer Observer
	queue    *queue
	log      zerolog.Logger

	// The goroutine of run owns these.
	failing time.Time // since when it fails; zero: it does not
	told    time.Time // when the log was told last that it does
	known   bool      // the log was told that it fails, and not yet that it works
	lost    int       // events since the log was told
}

// run sends what is in the queue until ctx ends, and then what still is, until
// sending ends.
func (r *receiver) run(ctx, sending context.Context) {
	defer r.leave()
	for sending.Err() == nil {
		body, events, lost := r.queue.take()
		if lost > 0 {
			r.ill(errors.New("events come faster than they are taken"), lost)
		}
		if events > 0 {
			r.deliver(ctx, sending, body, events)
			continue
		}
		select {
		case <-r.queue.ready:
			continue
		default:
		}
		select {
		case <-r.queue.ready:
		case <-ctx.Done():
			return
		}
	}
}

// leave gives up what still waits.
func (r *receiver) leave() {
	if n := r.queue.clear(); n > 0 {
		r.log.Warn().Str("event", "webhook_failing").Int("lost", n).Msg("the server stopped before a receiver had taken all events")
	}
}

// deliver sends one request until it is taken, refused or too old.
func (r *receiver) deliver(ctx, sending context.Context, body []byte, events int) {
	defer r.observer.Queued(-events)
	id := rand.Text()
	start := time.Now()
	stopping := ctx.Done()
	for try := 0; ; try++ {
		err := r.post(sending, id, body)
		if err == nil {
			r.observer.Delivered(events)
			r.well()
			return
		}
		pause, again := pauseAfter(try, err)
		if !again || time.Since(start)+pause > giveUp || sending.Err() != nil {
			r.observer.Failed(events)
			r.ill(err, events)
			return
		}
		r.ill(err, 0)
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-stopping: // once more, at once
			stopping = nil
		case <-sending.Done():
		}
		wait.Stop()
	}
}

// statusError is an answer that is none of success.
type statusError struct {
	status int
	after  time.Duration // what Retry-After asks for; 0: nothing
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("it answered %d %s", e.status, http.StatusText(e.status))
	if e.status/100 == 3 {
		text += "; redirects are not followed, set webhook.url to where it is now"
	}
	return text
}

// pauseAfter returns how long to wait after a try, the first of which is 0, and
// whether another makes sense: what a receiver refuses it refuses again.
func pauseAfter(try int, err error) (pause time.Duration, again bool) {
	pause = min(firstPause<<min(try, 10), longestPause)
	pause = pause/2 + mathrand.N(pause/2) // many servers do not come back at once
	var answer *statusError
	if !errors.As(err, &answer) {
		return pause, true
	}
	again = answer.status >= 500 || answer.status == http.StatusRequestTimeout || answer.status == http.StatusTooManyRequests
	return max(pause, min(answer.after, longestAfter)), again
}

// post sends one request and reads its answer.
func (r *receiver) post(ctx context.Context, id string, body []byte) error {
	start := time.Now()
	defer func() { r.observer.Requested(time.Since(start)) }()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return unnamed(err)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("User-Agent", r.agent)
	// The same at each try. It also lets net/http try again by itself where a
	// connection that was kept turns out to be closed.
	q.Header.Set("Idempotency-Key", id)
	if r.secret != nil {
		q.Header.Set("Muster-Signature", Sign(r.secret, start, body))
	}
	w, err := r.client.Do(q)
	if err != nil {
		return unnamed(err)
	}
	defer w.Body.Close() // nothing was written to it
	if w.StatusCode/100 != 2 {
		return &statusError{w.StatusCode, retryAfter(w.Header.Get("Retry-After"), start)}
	}
	_, _ = io.CopyN(io.Discard, w.Body, maxAnswer) // a connection is kept only if all was read
	return nil
}

// unnamed drops the URL from an error of net/http: a token may be in it.
func unnamed(err error) error {
	var named *url.Error
	if errors.As(err, &named) {
		return named.Err
	}
	return err
}

// retryAfter reads seconds or a date (RFC 9110 §10.2.3); 0 if it is neither.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// ill notes that the receiver fails, and tells the log of it once a minute.
func (r *receiver) ill(err error, lost int) {
	now := time.Now()
	if r.failing.IsZero() {
		r.failing = now
	}
	r.lost += lost
	if now.Sub(r.told) < lineInterval && !r.told.IsZero() {
		return
	}
	r.log.Warn().Err(err).Str("event", "webhook_failing").Time("since", r.failing).Int("lost", r.lost).
		Msg("a receiver of events fails")
	r.told, r.known, r.lost = now, true, 0
}

// well notes that the receiver works, and tells the log if that is news to it.
func (r *receiver) well() {
	since := r.failing
	r.failing = time.Time{}
	if !r.known {
		return
	}
	r.log.Info().Str("event", "webhook_works").Time("since", since).Int("lost", r.lost).
		Msg("a receiver of events works again")
	r.known, r.lost = false, 0
}
