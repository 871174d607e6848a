package awsiot_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what is answered into testdata/awsiot")

// What is random in an answer.
var (
	uuid = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	code = regexp.MustCompile(`("registrationCode":")[0-9a-f]{64}`)

	// What issues a certificate answers with one that is random, key and ID.
	issues  = regexp.MustCompile(`^POST /(certificates|keys-and-certificate|provisioning-templates/[^/]+/provisioning-claim)(\?|$)`)
	madePEM = regexp.MustCompile(`-----BEGIN ([A-Z ]+)-----\\n([A-Za-z0-9+/=]{1,64}\\n)+-----END [A-Z ]+-----\\n`)
	madeID  = regexp.MustCompile(`[0-9a-f]{64}`)
)

// TestGolden sends the requests of testdata/awsiot/*.golden, each file to a
// registry of its own, and compares the answers byte for byte. A line that
// begins with > is sent: method and target, then headers that begin with x-amzn,
// then the body if there is one. With >> the second account sends it. A line that
// begins with < is answered: status and error, then the body. Other lines are
// remarks. Each request takes place a second after the one before.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("../../testdata/awsiot/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(content))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			compare(t, string(content), got)
		})
	}
}

// play returns the file as it would be with the answers of today.
func play(t *testing.T, content string) string {
	second := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s := newServer(t, func() time.Time { return second })
	var out strings.Builder
	var request []string
	key := s.key
	send := func() {
		if len(request) == 0 {
			return
		}
		second = second.Add(time.Second)
		method, target, _ := strings.Cut(request[0], " ")
		body := request[1:]
		var headers []string
		for len(body) > 0 && strings.HasPrefix(body[0], "x-amzn") {
			headers, body = append(headers, body[0]), body[1:]
		}
		w := s.send(t, key, method, target, strings.Join(body, "\n"), headers...)
		if h := w.Header(); h.Get("Content-Type") != "application/json" || h.Get("X-Amzn-RequestId") == "" {
			t.Errorf("%s: headers %v", request[0], h)
		}
		answer := uuid.ReplaceAllString(w.Body.String(), "UUID")
		answer = code.ReplaceAllString(answer, "${1}CODE")
		if issues.MatchString(request[0]) {
			answer = madeID.ReplaceAllString(madePEM.ReplaceAllString(answer, "PEM OF A $1"), "ID")
		}
		status := strings.TrimSpace(fmt.Sprintf("%d %s", w.Code, w.Header().Get("X-Amzn-ErrorType")))
		fmt.Fprintf(&out, "< %s\n< %s\n", status, answer)
		request = nil
	}
	for line := range strings.Lines(content) {
		by, sent, isSent := strings.Cut(line, "> ")
		switch {
		case isSent && by == "":
			request, key = append(request, strings.TrimSuffix(sent, "\n")), s.key
		case isSent && by == ">":
			request, key = append(request, strings.TrimSuffix(sent, "\n")), s.other
		case strings.HasPrefix(line, "< "):
			continue
		default:
			send()
		}
		out.WriteString(line)
	}
	send()
	return out.String()
}

func compare(t *testing.T, want, got string) {
	t.Helper()
	wanted, answered := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(wanted), len(answered)) {
		var w, g string
		if i < len(wanted) {
			w = wanted[i]
		}
		if i < len(answered) {
			g = answered[i]
		}
		if w != g {
			t.Fatalf("line %d:\n got %s\nwant %s", i+1, g, w)
		}
	}
}
