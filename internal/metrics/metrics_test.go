package metrics

import (
	"context"
	"errors"
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
	m.FleetRequest("create", "accepted", 4*time.Millisecond)
	m.FleetRequest("provision", "AccessDenied", time.Millisecond)
	m.FleetRequest("shadow", "Gone", time.Millisecond)
	m.WebhookEvents(WebhookDelivered, 3)
	m.WebhookEvents(WebhookDropped, 2)
	m.WebhookQueued(7)
	m.WebhookQueued(-2)
	m.WebhookRequest(4 * time.Millisecond)
	m.ConnectionOpened()
	m.ConnectionOpened()
	m.ConnectionClosed()
	m.AcceptRejected(LimitConnectsPerAddress)
	m.APIRequest("DescribeThing", 404, time.Millisecond)
	m.MessagesDropped(1)
	m.RegistryEventsDropped(3)
	m.ProtocolError()
	m.ProtocolError()
	m.Kicked(muster.ReasonInactive)
	m.RevocationKick(2 * time.Millisecond)
	m.Reloaded(ReloadDone, time.Unix(1_700_000_000, 0))
	m.Reloaded(ReloadFailed, time.Unix(1_700_000_001, 0))
	m.CertificateExpires(ListenerMQTT, time.Unix(1_800_000_000, 0))
	m.CertificateExpires(ListenerAPI, time.Unix(1_900_000_000, 0))
	exerciseReadings(m)
	return m
}

// figures is a registry that holds certificates of each status.
type figures struct{ uncounted bool }

func (f figures) CertificateFigures() (map[muster.Status]int, bool) {
	return map[muster.Status]int{
		muster.Active: 1_000_000, muster.Inactive: 2, muster.Revoked: 3, muster.PendingTransfer: 4, muster.PendingActivation: 5,
	}, !f.uncounted
}

func (f figures) AuthorityFigures(context.Context) (map[muster.Status]int, error) {
	if f.uncounted {
		return nil, errors.New("closed")
	}
	return map[muster.Status]int{muster.Active: 6, muster.Inactive: 7}, nil
}

func (figures) PendingHighest() int { return 8 }
func (figures) Err() error          { return nil }

func exerciseReadings(m *Metrics) {
	m.Registry(figures{}, 100_000)
	m.Committed(3, 2*time.Millisecond)
	m.Traffic(func() Traffic {
		return Traffic{
			PacketsReceived: 1, PacketsSent: 2, BytesReceived: 3, BytesSent: 4, MessagesReceived: 5, MessagesSent: 6,
			Connected: 7, Away: 8, Subscriptions: 9, Retained: 10, Inflight: 11, InflightDropped: 12,
		}
	})
	m.Build("v1.2.3", "go1.26.0")
	m.Readiness(func() (bool, []Check) { return true, []Check{{"registry", true}, {"ocsp", false}} })
	m.DiskFree(FolderRegistry, func() (uint64, error) { return 1 << 30, nil })
	m.DiskFree(FolderSessions, func() (uint64, error) { return 0, errors.New("no such folder") })
	m.Sessions(func() Kept { return Kept{Sessions: 21, Retained: 22, Waiting: 23} })
	m.SessionCommit(3 * time.Millisecond)
	m.SessionMessageDropped(SessionLimitWaiting)
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
		`muster_sessions_kept`:                                                   "21",
		`muster_sessions_retained`:                                               "22",
		`muster_sessions_waiting_bytes`:                                          "23",
		`muster_sessions_commit_seconds_sum`:                                     "0.003",
		`muster_sessions_commit_seconds_count`:                                   "1",
		`muster_sessions_dropped_total{limit="waiting"}`:                         "1",
		`muster_handshakes_total{result="ok"}`:                                   "1",
		`muster_handshakes_total{result="untrusted_issuer"}`:                     "1",
		`muster_handshake_seconds_sum`:                                           "0.005",
		`muster_handshake_seconds_count`:                                         "2",
		`muster_admissions_total{outcome="admitted"}`:                            "2",
		`muster_admissions_total{outcome="registered"}`:                          "1",
		`muster_admissions_total{outcome="refused"}`:                             "1",
		`muster_refusals_total{reason="revoked"}`:                                "1",
		`muster_registrations_total{outcome="pending"}`:                          "1",
		`muster_admission_seconds_sum{stage="handshake"}`:                        "0.004",
		`muster_admission_seconds_count{stage="handshake"}`:                      "1",
		`muster_admission_seconds_sum{stage="inspect"}`:                          "1",
		`muster_admission_seconds_count{stage="inspect"}`:                        "1",
		`muster_ocsp_requests_total{method="POST",result="revoked"}`:             "1",
		`muster_ocsp_requests_total{method="GET",result="good"}`:                 "1",
		`muster_ocsp_refreshes_total{result="good"}`:                             "1",
		`muster_ocsp_request_seconds_sum`:                                        "0.003",
		`muster_ocsp_request_seconds_count`:                                      "2",
		`muster_ocsp_failures_total{fault="timeout"}`:                            "1",
		`muster_ocsp_answers_total{result="good",source="brought"}`:              "1",
		`muster_ocsp_answers_total{result="no_url",source="none"}`:               "1",
		`muster_ocsp_brought_total{result="unavailable"}`:                        "1",
		`muster_ocsp_not_asked_total{cause="breaker_open"}`:                      "1",
		`muster_ocsp_breaker_trips_total`:                                        "1",
		`muster_ocsp_breakers_open`:                                              "3",
		`muster_ocsp_waiting`:                                                    "1",
		`muster_ocsp_rechecks_total{outcome="kept"}`:                             "1",
		`muster_ocsp_rechecks_total{outcome="revoked"}`:                          "1",
		`muster_fleet_requests_total{request="create",result="accepted"}`:        "1",
		`muster_fleet_requests_total{request="provision",result="AccessDenied"}`: "1",
		`muster_fleet_requests_total{request="other",result="other"}`:            "1",
		`muster_fleet_request_seconds_count`:                                     "3",
		`muster_fleet_request_seconds_sum`:                                       "0.006",
		`muster_webhook_events_total{outcome="delivered"}`:                       "3",
		`muster_webhook_events_total{outcome="dropped"}`:                         "2",
		`muster_registry_events_dropped_total`:                                   "3",
		`muster_webhook_queued`:                                                  "5",
		`muster_webhook_request_seconds_sum`:                                     "0.004",
		`muster_webhook_request_seconds_count`:                                   "1",
		`muster_connections`:                                                     "1",
		`muster_accept_rejected_total{limit="connects_per_address"}`:             "1",
		`muster_api_requests_total{code="404",operation="DescribeThing"}`:        "1",
		`muster_api_seconds_sum`:                                                 "0.001",
		`muster_api_seconds_count`:                                               "1",
		`muster_messages_dropped_total`:                                          "1",
		`muster_protocol_errors_total`:                                           "2",
		`muster_kicked_total{reason="inactive"}`:                                 "1",
		`muster_revocation_kick_seconds_sum`:                                     "0.002",
		`muster_revocation_kick_seconds_count`:                                   "1",
		`muster_cert_expiry_timestamp_seconds{listener="mqtt"}`:                  "1.8e+09",
		`muster_cert_expiry_timestamp_seconds{listener="api"}`:                   "1.9e+09",
		`muster_certificates{status="ACTIVE"}`:                                   "1e+06",
		`muster_certificates{status="INACTIVE"}`:                                 "2",
		`muster_certificates{status="REVOKED"}`:                                  "3",
		`muster_certificates{status="PENDING_TRANSFER"}`:                         "4",
		`muster_certificates{status="PENDING_ACTIVATION"}`:                       "5",
		`muster_authorities{status="ACTIVE"}`:                                    "6",
		`muster_authorities{status="INACTIVE"}`:                                  "7",
		`muster_pending_highest`:                                                 "8",
		`muster_pending_cap`:                                                     "100000",
		`muster_registry_writable`:                                               "1",
		`muster_registry_commit_seconds_sum`:                                     "0.002",
		`muster_registry_commit_seconds_count`:                                   "1",
		`muster_registry_commit_updates_sum`:                                     "3",
		`muster_registry_commit_updates_count`:                                   "1",
		`muster_mqtt_packets_received_total`:                                     "1",
		`muster_mqtt_packets_sent_total`:                                         "2",
		`muster_mqtt_received_bytes_total`:                                       "3",
		`muster_mqtt_sent_bytes_total`:                                           "4",
		`muster_mqtt_messages_received_total`:                                    "5",
		`muster_mqtt_messages_sent_total`:                                        "6",
		`muster_mqtt_sessions{state="connected"}`:                                "7",
		`muster_mqtt_sessions{state="away"}`:                                     "8",
		`muster_mqtt_subscriptions`:                                              "9",
		`muster_mqtt_retained_messages`:                                          "10",
		`muster_mqtt_inflight_messages`:                                          "11",
		`muster_mqtt_inflight_dropped_total`:                                     "12",
		`muster_build_info{goversion="go1.26.0",version="v1.2.3"}`:               "1",
		`muster_ready`: "1",
		`muster_reloads_total{outcome="reloaded"}`:            "1",
		`muster_reloads_total{outcome="failed"}`:              "1",
		`muster_config_last_reload_success_timestamp_seconds`: "1.7e+09",
		`muster_check_ok{check="registry"}`:                   "1",
		`muster_disk_free_bytes{folder="registry"}`:           "1.073741824e+09",
		`muster_disk_free_bytes{folder="sessions"}`:           "NaN",
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
	case label == "check":
		return "`check`: a check of `/readyz?verbose`"
	case label == "version":
		return "`version`: of the program"
	case label == "goversion":
		return "`goversion`: of Go"
	}
	values = slices.DeleteFunc(values, func(v string) bool { return v == other })
	return "`" + label + "`: " + strings.Join(values, ", ")
}

// What the registry cannot tell is missing, for 0 would be a lie.
func TestUncounted(t *testing.T) {
	m := New()
	m.Registry(figures{uncounted: true}, 1)
	n, err := testutil.GatherAndCount(m.registry, "muster_certificates", "muster_authorities")
	if err != nil || n != 0 {
		t.Errorf("%d series of what is not counted, %v", n, err)
	}
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
