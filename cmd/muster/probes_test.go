package main

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/internal/metrics"
)

func finds(text string) func(context.Context) error {
	return func(context.Context) error {
		if text == "" {
			return nil
		}
		return errors.New(text)
	}
}

func TestAnswerChecks(t *testing.T) {
	well := check{name: "registry", find: finds("")}
	broken := check{name: "disk", find: finds("no space\nleft")}
	slow := check{name: "ocsp", find: finds("one responder fails"), degraded: true}
	for _, c := range []struct {
		name   string
		checks []check
		query  string
		code   int
		want   string
	}{
		{"well", []check{well}, "", 200, "ok\n"},
		{"well, verbose", []check{well}, "?verbose", 200, "[+]registry ok\nreadyz check passed\n"},
		{"degraded", []check{well, slow}, "", 200, "ok\n"},
		{"degraded, verbose", []check{well, slow}, "?verbose=1", 200,
			"[+]registry ok\n[!]ocsp degraded: one responder fails\nreadyz check passed\n"},
		{"broken", []check{well, broken, slow}, "", 503, "[-]disk failed: no space; left\nreadyz check failed\n"},
		{"broken, verbose", []check{slow, broken, well}, "?verbose", 503,
			"[!]ocsp degraded: one responder fails\n[-]disk failed: no space; left\n[+]registry ok\nreadyz check failed\n"},
		{"no checks", nil, "", 200, "ok\n"},
	} {
		w := httptest.NewRecorder()
		answerChecks("readyz", c.checks)(w, httptest.NewRequest(http.MethodGet, "/readyz"+c.query, nil))
		if w.Code != c.code || w.Body.String() != c.want {
			t.Errorf("%s: %d %q, want %d %q", c.name, w.Code, w.Body, c.code, c.want)
		}
	}
}

// A check that waits for what does not come is ended, and said to have failed.
func TestCheckTakesTooLong(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	found, passed := examine(ctx, []check{{name: "sessions", find: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}}})
	if passed || found[0].String() != "[-]sessions failed: context canceled" {
		t.Errorf("%v %v", found, passed)
	}
}

func TestOnLoopback(t *testing.T) {
	for _, c := range []struct {
		name, local, remote, host string
		header                    string
		want                      int
	}{
		{"both ends here", "127.0.0.1:8080", "127.0.0.1:50000", "127.0.0.1:8080", "", 200},
		{"by name", "127.0.0.1:8080", "127.0.0.1:50000", "localhost:8080", "", 200},
		{"IPv6", "[::1]:8080", "[::1]:50000", "[::1]", "", 200},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:8080", "[::ffff:127.0.0.1]:50000", "localhost", "", 200},
		{"from elsewhere", "10.0.0.1:8080", "10.0.0.2:50000", "localhost", "", 404},
		{"from here by another address", "10.0.0.1:8080", "10.0.0.1:50000", "localhost", "", 404},
		{"from elsewhere to a forwarded port", "127.0.0.1:8080", "10.0.0.2:50000", "localhost", "", 404},
		{"to an address of the network", "10.0.0.1:8080", "127.0.0.1:50000", "localhost", "", 404},
		{"a name that was made to point here", "127.0.0.1:8080", "127.0.0.1:50000", "evil.test:8080", "", 404},
		{"a proxy, RFC 7239", "127.0.0.1:8080", "127.0.0.1:50000", "localhost", "Forwarded", 404},
		{"a proxy", "127.0.0.1:8080", "127.0.0.1:50000", "localhost", "X-Forwarded-For", 404},
		{"a proxy that tells the scheme", "127.0.0.1:8080", "127.0.0.1:50000", "localhost", "X-Forwarded-Proto", 404},
		{"a proxy that tells one address", "127.0.0.1:8080", "127.0.0.1:50000", "localhost", "X-Real-IP", 404},
		{"a proxy that tells itself", "127.0.0.1:8080", "127.0.0.1:50000", "localhost", "Via", 404},
		{"another header", "127.0.0.1:8080", "127.0.0.1:50000", "localhost", "User-Agent", 200},
		{"no address at all", "", "127.0.0.1:50000", "localhost", "", 404},
	} {
		r := httptest.NewRequest(http.MethodGet, "/debug/pprof/", nil)
		r.RemoteAddr, r.Host = c.remote, c.host
		if local, err := net.ResolveTCPAddr("tcp", c.local); err == nil && c.local != "" {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local)))
		}
		if c.header != "" {
			r.Header.Set(c.header, "1.2.3.4")
		}
		w := httptest.NewRecorder()
		onLoopback(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })(w, r)
		if w.Code != c.want {
			t.Errorf("%s: %d, want %d", c.name, w.Code, c.want)
		}
	}
}

// TestBrowsersOnLoopback: a page of somebody else's may name this machine.
func TestBrowsersOnLoopback(t *testing.T) {
	for site, want := range map[string]bool{"": false, "none": false, "same-origin": false, "same-site": true, "cross-site": true} {
		h := http.Header{}
		if site != "" {
			h.Set("Sec-Fetch-Site", site)
		}
		if got := forwarded(h); got != want {
			t.Errorf("Sec-Fetch-Site %q: %v", site, got)
		}
	}
}

func TestExpiring(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		mqtt, api int // days left
		want      string
	}{
		{15, 400, ""},
		{13, 15, "that of the mqtt listener ends at 2026-11-14T00:00:00Z"},
		{-1, 1, "that of the mqtt listener ends at 2026-10-31T00:00:00Z, that of the api listener ends at 2026-11-02T00:00:00Z"},
	} {
		err := expiring(map[metrics.Listener]time.Time{
			metrics.ListenerMQTT: now.AddDate(0, 0, c.mqtt), metrics.ListenerAPI: now.AddDate(0, 0, c.api),
		}, now)
		if got := text(err); got != c.want {
			t.Errorf("%d and %d days: %q, want %q", c.mqtt, c.api, got, c.want)
		}
	}
	if err := expiring(nil, now); err != nil {
		t.Errorf("no certificates: %v", err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDisk(t *testing.T) {
	folder := t.TempDir()
	if err := enough(folder, 1); err != nil {
		t.Errorf("one byte: %v", err)
	}
	err := enough(folder, math.MaxUint64)
	if err == nil || !strings.Contains(err.Error(), "MiB are free where "+folder+" lies") {
		t.Errorf("all bytes there are: %v", err)
	}
	if err := enough(folder+"/none", 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

func TestFailure(t *testing.T) {
	for text, want := range map[string]string{
		"[+]registry ok\n[-]disk failed: full\nreadyz check failed\n": "[-]disk failed: full",
		"404 page not found\n": "404 page not found",
		"":                     "",
	} {
		if got := failure(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
