package webhook

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestCall: an answer of success is returned as it is, and everything else is an
// error that does not show the URL.
func TestCall(t *testing.T) {
	const secret = "an example key of some characters"
	signed := ""
	mux := http.NewServeMux()
	mux.HandleFunc("POST /good", func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		signed = q.Header.Get("Muster-Signature")
		fmt.Fprintf(w, "%s of %s by %s", body, q.Header.Get("Content-Type"), q.Header.Get("User-Agent"))
	})
	mux.HandleFunc("POST /moved", func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, "/good", http.StatusPermanentRedirect)
	})
	mux.HandleFunc("POST /whole", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", maxReply)) })
	mux.HandleFunc("POST /long", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", maxReply+1)) })
	mux.HandleFunc("POST /cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "x")
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	c, err := NewCaller(CallerConfig{Secret: []byte(secret)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for path, want := range map[string]string{
		"/good": "{} of application/json by muster", "/whole": strings.Repeat("x", maxReply),
		"/moved": "", "/long": "", "/cut": "", "/none": "",
	} {
		reply, err := c.Call(t.Context(), s.URL+path+"?token=secret", []byte("{}"))
		if string(reply) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %.100q %v", path, reply, err)
		}
		if err != nil && strings.Contains(err.Error(), "token") {
			t.Errorf("%s shows the URL: %v", path, err)
		}
	}
	var at int64
	if _, err := fmt.Sscanf(signed, "t=%d,", &at); err != nil || signed != Sign([]byte(secret), time.Unix(at, 0), []byte("{}")) {
		t.Errorf("signed %q, %v", signed, err)
	}
	if _, err := c.Call(t.Context(), "http://127.0.0.1:1/?token=secret", nil); err == nil || strings.Contains(err.Error(), "token") {
		t.Errorf("nobody there: %v", err)
	}
}

// silent never answers.
type silent struct{}

func (silent) RoundTrip(q *http.Request) (*http.Response, error) {
	<-q.Context().Done()
	return nil, q.Context().Err()
}

// TestCallTakesSoLong: its own time and that of its context bound it.
func TestCallTakesSoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewCaller(CallerConfig{Timeout: 3 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		c.client.Transport = silent{}
		for limit, want := range map[time.Duration]time.Duration{time.Second: time.Second, time.Minute: 3 * time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			start := time.Now()
			if _, err := c.Call(ctx, "https://far.example.test/", nil); err == nil || time.Since(start) != want {
				t.Errorf("within %v: %v after %v", limit, err, time.Since(start))
			}
			cancel()
		}
	})
}

func TestNewCallerDemands(t *testing.T) {
	for _, c := range []CallerConfig{{Timeout: -1}, {Idle: -1}} {
		if _, err := NewCaller(c); err == nil {
			t.Errorf("%+v: made", c)
		}
	}
}
