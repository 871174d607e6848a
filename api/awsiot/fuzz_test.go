package awsiot_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/api/awsiot"
)

// request is a request of the golden files.
type request struct{ method, target, headers, body string }

// goldenRequests returns what the golden files send.
func goldenRequests(tb testing.TB) (all []request) {
	tb.Helper()
	files, err := filepath.Glob("../../testdata/awsiot/*.golden")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		fresh := true
		for line := range strings.Lines(string(content)) {
			by, sent, isSent := strings.Cut(strings.TrimSuffix(line, "\n"), "> ")
			if !isSent || strings.Trim(by, ">") != "" {
				fresh = true
				continue
			}
			if fresh {
				method, target, _ := strings.Cut(sent, " ")
				all, fresh = append(all, request{method: method, target: target}), false
				continue
			}
			last := &all[len(all)-1]
			if last.body == "" && strings.HasPrefix(sent, "x-amzn") {
				last.headers += sent + "\n"
			} else {
				last.body += sent + "\n"
			}
		}
	}
	return all
}

// TestGoldenRequests: the seeds of FuzzOperations have every operation.
func TestGoldenRequests(t *testing.T) {
	dialect, err := awsiot.New(awsiot.Config{Store: newServer(t, time.Now).store, Region: region})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, r := range goldenRequests(t) {
		seen[dialect.Operation(httptest.NewRequestWithContext(t.Context(), r.method, "https://localhost"+r.target, http.NoBody))] = true
	}
	for _, name := range awsiot.Implemented() {
		if !seen[name] {
			t.Errorf("no golden file sends %s", name)
		}
	}
}

// FuzzOperations: no path, query, header or body of a client who may sign brings
// an operation to panic or to fail within, and every answer is JSON of its kind.
func FuzzOperations(f *testing.F) {
	for _, r := range goldenRequests(f) {
		f.Add(r.method, r.target, r.headers, []byte(r.body))
	}
	f.Add("GET", "/certificates?marker=ARUxMjM0NTY3ODkwMTI%3D", "", []byte(nil))
	f.Add("POST", "/tags", "", []byte(`{"tags":[null]}`))
	f.Add("POST", "/policies/q", "", []byte(`{"policyDocument":{}}`))
	group := members(f, "target", "arn:aws:iot:us-east-1:123456789012:thinggroup/g")
	f.Fuzz(func(t *testing.T, method, target, headers string, body []byte) {
		if !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, method) || !sendable(target) {
			return
		}
		s := newServer(t, time.Now)
		s.call(t, "POST", "/policies/p", members(t, "policyDocument", allowConnect), nil)
		s.call(t, "POST", "/thing-groups/g", "", nil)
		s.call(t, "PUT", "/target-policies/p", group, nil)
		s.call(t, "POST", "/things/t", "", nil)
		var sent []string
		for header := range strings.Lines(headers) {
			name, value, _ := strings.Cut(strings.TrimSuffix(header, "\n"), ": ")
			if slices.Contains([]string{"x-amzn-principal", "x-amzn-iot-principal", "x-amzn-iot-policy"}, name) && sendable("/"+value) {
				sent = append(sent, name+": "+value)
			}
		}
		w := s.send(t, s.key, method, target, string(body), sent...)
		if w.Code >= 500 || w.Code == 403 {
			t.Errorf("%s %s: %d %s\n%s", method, target, w.Code, w.Body, s.log)
		}
		if w.Header().Get("Content-Type") != "application/json" || (w.Code == 200) != (w.Header().Get("X-Amzn-ErrorType") == "") {
			t.Errorf("%s %s: %d, headers %v", method, target, w.Code, w.Header())
		}
	})
}

// sendable reports whether an HTTP client would send this as a target, and the
// signer and the server read the same of it.
func sendable(target string) bool {
	u, err := url.ParseRequestURI(target)
	if err != nil || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
		return false
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return false
	}
	return !strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r > '~' })
}
