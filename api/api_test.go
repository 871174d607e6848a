package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/api"
	"github.com/rs/zerolog"
)

// dialect is one that speaks of the paths below /<name>/, and whose operation is
// the rest of the path.
type dialect string

func (d dialect) Speaks(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/"+string(d)+"/")
}

func (d dialect) Operation(r *http.Request) string {
	_, operation, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return operation
}

func (d dialect) Serve(w http.ResponseWriter, r *http.Request, body []byte) (account, keyID string, err error) {
	switch d.Operation(r) {
	case "panic":
		panic("at once")
	case "late":
		io.WriteString(w, "half an ans")
		panic("too late")
	case "fail":
		w.WriteHeader(http.StatusInternalServerError)
		return "123456789012", "KEY", errors.New("engine stopped")
	case "refuse":
		w.WriteHeader(http.StatusForbidden)
		return "", "KEY", errors.New("not for the log")
	case "nothing":
		return "123456789012", "KEY", nil
	}
	io.WriteString(w, string(d)+":"+string(body))
	return "123456789012", "KEY", nil
}

func (d dialect) Fail(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	io.WriteString(w, string(d)+" failed: "+message)
}

type observation struct {
	operation string
	status    int
}

// send makes a request; its answer's body has to be closed.
func send(t *testing.T, url, body string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return http.DefaultClient.Do(r)
}

// serve starts the API with two dialects. The log and the observations may be
// read once stop was called.
func serve(t *testing.T) (url string, log *bytes.Buffer, seen *[]observation, stop func()) {
	t.Helper()
	log, seen = new(bytes.Buffer), new([]observation)
	h, err := api.New(api.Config{
		Dialects: []api.Dialect{dialect("one"), dialect("two")},
		Log:      zerolog.New(log),
		Observe: func(operation string, status int, d time.Duration) {
			if d < 0 {
				t.Errorf("%s took %v", operation, d)
			}
			*seen = append(*seen, observation{operation, status})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL, log, seen, server.Close
}

func TestHandler(t *testing.T) {
	for _, c := range []struct {
		name, path, body string
		status           int
		answer           string
		operation, level string
		account, cause   string
	}{
		{name: "first dialect", path: "/one/Do", body: "x", status: 200, answer: "one:x",
			operation: "Do", level: "info", account: "123456789012"},
		{name: "second dialect", path: "/two/Do", status: 200, answer: "two:",
			operation: "Do", level: "info", account: "123456789012"},
		{name: "neither", path: "/", status: 200, answer: "two:",
			operation: "unknown", level: "info", account: "123456789012"},
		{name: "longest body", path: "/one/Do", body: strings.Repeat("x", api.MaxBody), status: 200,
			answer: "one:" + strings.Repeat("x", api.MaxBody), operation: "Do", level: "info", account: "123456789012"},
		{name: "longer body", path: "/one/Do", body: strings.Repeat("x", api.MaxBody+1), status: 413,
			answer: "one failed: The request body must not be longer than 1048576 bytes.", operation: "Do", level: "info"},
		{name: "panic", path: "/one/panic", status: 500, answer: "one failed: An internal failure occurred.",
			operation: "panic", level: "error", cause: "panic: at once"},
		{name: "failure", path: "/one/fail", status: 500, operation: "fail", level: "error",
			account: "123456789012", cause: "engine stopped"},
		{name: "refusal", path: "/one/refuse", status: 403, operation: "refuse", level: "info"},
		{name: "no answer", path: "/one/nothing", status: 200, operation: "nothing", level: "info", account: "123456789012"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, log, seen, stop := serve(t)
			response, err := send(t, url+c.path, c.body)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			stop()
			if response.StatusCode != c.status || string(answer) != c.answer {
				t.Errorf("%d %.80q, want %d %.80q", response.StatusCode, answer, c.status, c.answer)
			}
			if want := (observation{c.operation, c.status}); len(*seen) != 1 || (*seen)[0] != want {
				t.Errorf("observed %v, want %v", *seen, want)
			}
			var line struct {
				Level, Request, Method, Operation, Account, Key, Error string
				Status                                                 int
				Duration                                               *float64
			}
			if err := json.Unmarshal(log.Bytes(), &line); err != nil {
				t.Fatalf("log %q: %v", log, err)
			}
			if line.Level != c.level || line.Method != "POST" || line.Operation != c.operation ||
				line.Account != c.account || line.Status != c.status || line.Duration == nil {
				t.Errorf("log %s", log)
			}
			if !strings.HasPrefix(line.Error, c.cause) || c.cause == "" && line.Error != "" {
				t.Errorf("logged error %q, want %q", line.Error, c.cause)
			}
			if got := response.Header.Get("X-Amzn-RequestId"); got != line.Request {
				t.Errorf("request id %q, logged %q", got, line.Request)
			}
		})
	}
}

// TestHandlerPanicsLate: an answer that was begun is cut off, not completed.
func TestHandlerPanicsLate(t *testing.T) {
	url, log, seen, stop := serve(t)
	if response, err := send(t, url+"/one/late", ""); err == nil {
		answer, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err == nil {
			t.Errorf("the client takes %q for whole", answer)
		}
	}
	stop()
	if !strings.Contains(log.String(), "panic: too late") || len(*seen) != 1 {
		t.Errorf("log %s, observed %v", log, *seen)
	}
}

// TestLogIsBounded: a method may be as long as all headers.
func TestLogIsBounded(t *testing.T) {
	url, log, _, stop := serve(t)
	r, err := http.NewRequestWithContext(t.Context(), strings.Repeat("X", 10_000), url+"/one/Do", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	stop()
	if n := log.Len(); n == 0 || n > 1000 {
		t.Errorf("%d bytes in the log", n)
	}
}

func TestRequestIDs(t *testing.T) {
	url, _, _, _ := serve(t)
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	ids := make(map[string]bool)
	for range 10 {
		response, err := send(t, url+"/one/Do", "")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		id := response.Header.Get(api.RequestIDHeader)
		if !form.MatchString(id) || ids[id] {
			t.Errorf("request id %q", id)
		}
		ids[id] = true
	}
}

func TestNewNeedsADialect(t *testing.T) {
	if _, err := api.New(api.Config{}); err == nil {
		t.Error("no error")
	}
}
