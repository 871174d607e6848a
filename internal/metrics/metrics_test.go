package metrics

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/muster-mqtt/muster"
)

// exercise calls every method once or twice.
func exercise() *Metrics {
	m := New()
	m.Handshake("", 4*time.Millisecond)
	m.Handshake(muster.ReasonUntrustedIssuer, time.Millisecond)
	m.Admitted()
	m.Admitted()
	m.Registered()
	m.Refused(muster.ReasonRevoked)
	m.Registration(RegistrationPending)
	m.Stage(StageInspect, time.Second)
	exerciseOCSP(m)
	m.ConnectionOpened()
	m.ConnectionOpened()
	m.ConnectionClosed()
	m.AcceptRejected(LimitConnectsPerAddress)
	m.APIRequest("DescribeThing", 404, time.Millisecond)
	m.MessagesDropped(1)
	m.Kicked(muster.ReasonInactive)
	m.RevocationKick(2 * time.Millisecond)
	m.CertificateExpires(ListenerMQTT, time.Unix(1_800_000_000, 0))
	m.CertificateExpires(ListenerAPI, time.Unix(1_900_000_000, 0))
	return m
}

func exerciseOCSP(m *Metrics) {
	m.OCSPRequest(OCSPPost, OCSPRevoked, false, time.Millisecond)
	m.OCSPRequest(OCSPGet, OCSPGood, true, 2*time.Millisecond)
	m.OCSPFailure("timeout")
	m.OCSPAnswer(OCSPFromDevice, OCSPGood)
	m.OCSPAnswer(OCSPFromNowhere, OCSPNoURL)
	m.OCSPBrought(OCSPUnavailable)
	m.OCSPNotAsked(OCSPBreakerOpen)
	m.OCSPTrip()
	m.OCSPBreakers(func() int { return 3 })
	m.OCSPWaiting(+1)
	m.OCSPWaiting(+1)
	m.OCSPWaiting(-1)
	m.OCSPRecheck("")
	m.OCSPRecheck(muster.ReasonRevoked)
}

func TestEachMethodReachesItsSeries(t *testing.T) {
	scrape := httptest.NewRecorder()
	exercise().Handler().ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	got := make(map[string]string)
	for line := range strings.Lines(scrape.Body.String()) {
		if series, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok &&
			strings.HasPrefix(series, "muster_") && !strings.Contains(series, "_bucket{") && value != "0" {
			got[series] = value
		}
	}
	want := map[string]string{
		`muster_handshakes_total{result="ok"}`:                            "1",
		`muster_handshakes_total{result="untrusted_issuer"}`:              "1",
		`muster_handshake_seconds_sum`:                                    "0.005",
		`muster_handshake_seconds_count`:                                  "2",
		`muster_admissions_total{outcome="admitted"}`:                     "2",
		`muster_admissions_total{outcome="registered"}`:                   "1",
		`muster_admissions_total{outcome="refused"}`:                      "1",
		`muster_refusals_total{reason="revoked"}`:                         "1",
		`muster_registrations_total{outcome="pending"}`:                   "1",
		`muster_admission_seconds_sum{stage="handshake"}`:                 "0.004",
		`muster_admission_seconds_count{stage="handshake"}`:               "1",
		`muster_admission_seconds_sum{stage="inspect"}`:                   "1",
		`muster_admission_seconds_count{stage="inspect"}`:                 "1",
		`muster_ocsp_requests_total{method="POST",result="revoked"}`:      "1",
		`muster_ocsp_requests_total{method="GET",result="good"}`:          "1",
		`muster_ocsp_refreshes_total{result="good"}`:                      "1",
		`muster_ocsp_request_seconds_sum`:                                 "0.003",
		`muster_ocsp_request_seconds_count`:                               "2",
		`muster_ocsp_failures_total{fault="timeout"}`:                     "1",
		`muster_ocsp_answers_total{result="good",source="brought"}`:       "1",
		`muster_ocsp_answers_total{result="no_url",source="none"}`:        "1",
		`muster_ocsp_brought_total{result="unavailable"}`:                 "1",
		`muster_ocsp_not_asked_total{cause="breaker_open"}`:               "1",
		`muster_ocsp_breaker_trips_total`:                                 "1",
		`muster_ocsp_breakers_open`:                                       "3",
		`muster_ocsp_waiting`:                                             "1",
		`muster_ocsp_rechecks_total{outcome="kept"}`:                      "1",
		`muster_ocsp_rechecks_total{outcome="revoked"}`:                   "1",
		`muster_connections`:                                              "1",
		`muster_accept_rejected_total{limit="connects_per_address"}`:      "1",
		`muster_api_requests_total{code="404",operation="DescribeThing"}`: "1",
		`muster_api_seconds_sum`:                                          "0.001",
		`muster_api_seconds_count`:                                        "1",
		`muster_messages_dropped_total`:                                   "1",
		`muster_kicked_total{reason="inactive"}`:                          "1",
		`muster_revocation_kick_seconds_sum`:                              "0.002",
		`muster_revocation_kick_seconds_count`:                            "1",
		`muster_cert_expiry_timestamp_seconds{listener="mqtt"}`:           "1.8e+09",
		`muster_cert_expiry_timestamp_seconds{listener="api"}`:            "1.9e+09",
	}
	for series, value := range want {
		if got[series] != value {
			t.Errorf("%s is %q, want %s", series, got[series], value)
		}
		delete(got, series)
	}
	for series, value := range got {
		t.Errorf("%s is %s, want 0", series, value)
	}
	for _, name := range []string{"\ngo_goroutines ", "\nprocess_start_time_seconds "} {
		if !strings.Contains(scrape.Body.String(), name) {
			t.Errorf("no %q in the scrape", name)
		}
	}
}

// TestReadmeListsAll holds that the table of README.md is what is served: its
// names, types, labels and meanings.
func TestReadmeListsAll(t *testing.T) {
	families, err := exercise().registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "muster_") {
			continue
		}
		values := make(map[string][]string)
		var labels []string
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if values[l.GetName()] == nil {
					labels = append(labels, l.GetName())
				}
				values[l.GetName()] = append(values[l.GetName()], l.GetValue())
			}
		}
		for i, label := range labels {
			labels[i] = labelText(label, values[label])
		}
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |", f.GetName(),
			strings.ToLower(f.GetType().String()), strings.Join(labels, "; "), f.GetHelp()))
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(readme)) {
		if strings.HasPrefix(line, "| `muster_") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("README.md has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// labelText lists the values of a label, unless they are too many to read.
func labelText(label string, values []string) string {
	slices.Sort(values) // those of one label repeat where there is a second
	values = slices.Compact(values)
	switch {
	case len(values) >= len(reasons()):
		return "`" + label + "`: a reason of refusal" + map[bool]string{true: ", or ok"}[slices.Contains(values, "ok")]
	case label == "operation":
		return "`operation`: of the API, or unknown"
	case label == "fault":
		return "`fault`: a word for what was wrong, such as timeout, tls or nonce"
	case label == "code":
		return "`code`: HTTP status"
	}
	values = slices.DeleteFunc(values, func(v string) bool { return v == other })
	return "`" + label + "`: " + strings.Join(values, ", ")
}

func TestUnknownWordsAreOther(t *testing.T) {
	m := New()
	before, err := testutil.GatherAndCount(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		word := "stranger-" + strconv.Itoa(i)
		m.Refused(muster.Reason(word))
		m.Kicked(muster.Reason(word))
		m.Handshake(muster.Reason(word), 0)
		m.Registration(Registration(word))
		m.Stage(Stage(word), 0)
		m.OCSPRequest(OCSPMethod(word), OCSPResult(word), true, 0)
		m.OCSPAnswer(OCSPSource(word), OCSPResult(word))
		m.OCSPBrought(OCSPResult(word))
		m.OCSPNotAsked(OCSPHindrance(word))
		m.OCSPRecheck(muster.Reason(word))
		m.AcceptRejected(Limit(word))
	}
	after, err := testutil.GatherAndCount(m.registry)
	if err != nil || after != before {
		t.Errorf("%d series became %d, %v", before, after, err)
	}
	if n := testutil.ToFloat64(m.refusals.other); n != 100 {
		t.Errorf("%v refusals for other reasons, want 100", n)
	}
}

// TestReasonsAreComplete compares reasons with the constants in the source of
// package muster.
func TestReasonsAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for _, value := range spec.Values {
				word, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, word)
			}
		}
		return true
	})
	var got []string
	for _, r := range reasons() {
		got = append(got, string(r))
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestNamesFollowConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(exercise().registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
