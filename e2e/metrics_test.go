package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
)

// get asks the plain HTTP listener.
func (s *server) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.vars["MUSTER_HTTP"]+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: commandTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	w, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.StatusCode, string(text)
}

// metric returns the value of one series, as a scrape shows it.
func (s *server) metric(t *testing.T, series string) float64 {
	t.Helper()
	_, body := s.get(t, "/metrics")
	for text := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(text, series+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("/metrics has no %s", series)
	return 0
}

// TestMetrics looks at the counters before and after devices of every kind.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, path := range []string{"/livez", "/readyz"} {
		if status, body := s.get(t, path); status != http.StatusOK || body != "ok\n" {
			t.Errorf("%s answers %d %q", path, status, body)
		}
	}
	if status, _ := s.get(t, "/other"); status != http.StatusNotFound {
		t.Errorf("/other answers %d", status)
	}
	s.prepare(t)
	factory, workshop, garage := newAuthority(t, "Factory CA"), newAuthority(t, "Workshop CA"), newAuthority(t, "Garage CA")
	s.register(t, factory, supervised("hard"))
	s.register(t, workshop, object{})
	r := startResponder(t, factory)

	series := map[string]float64{ // how much each grows
		`muster_registrations_total{outcome="active"}`:                          1,
		`muster_registrations_total{outcome="pending"}`:                         1,
		`muster_registrations_total{outcome="failed"}`:                          0,
		`muster_admissions_total{outcome="registered"}`:                         1,
		`muster_admissions_total{outcome="admitted"}`:                           1,
		`muster_admissions_total{outcome="refused"}`:                            5,
		`muster_refusals_total{reason="pending_activation"}`:                    2,
		`muster_refusals_total{reason="revoked"}`:                               2,
		`muster_refusals_total{reason="untrusted_issuer"}`:                      1,
		`muster_handshakes_total{result="untrusted_issuer"}`:                    1,
		`muster_ocsp_answers_total{result="good",source="responder"}`:           1,
		`muster_ocsp_answers_total{result="revoked",source="responder"}`:        1,
		`muster_handshakes_total{result="ok"}`:                                  6,
		`muster_api_requests_total{code="200",operation="DescribeCertificate"}`: 1,
	}
	before := map[string]float64{}
	for name := range series {
		if !strings.Contains(name, "api_requests") { // made by the first request
			before[name] = s.metric(t, name)
		}
	}
	good := factory.supervised(t, "good", goodSerial, r.url)
	s.admit(t, v3, good)
	s.admit(t, v5, good)
	s.refuse(t, factory.supervised(t, "stolen", revokedSerial, r.url), muster.ReasonRevoked)
	s.refuse(t, workshop.device(t, "pending"), muster.ReasonPendingActivation)
	if out := s.publish(t, v5, garage.device(t, "stranger"), "let me in"); out.code == 0 {
		t.Errorf("a stranger was let in: %+v", out)
	}
	s.wantStatus(t, good, "ACTIVE")
	for name, grows := range series {
		// The stranger may be gone before its refusal is counted.
		eventually(t, stopTimeout, fmt.Sprintf("%s grew by %v", name, grows), func() bool {
			return s.metric(t, name)-before[name] == grows
		})
	}
	eventually(t, stopTimeout, "no connection is counted any more", func() bool { return s.metric(t, "muster_connections") == 0 })
}
