package e2e_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/muster-mqtt/muster"
)

const (
	rulesFile     = "../deploy/prometheus/muster.rules.yaml"
	scrapeFile    = "../deploy/prometheus/scrape.yaml"
	dashboardFile = "../deploy/grafana/muster.json"
	monitoring    = "../docs/monitoring.md"
)

func TestMonitoringPage(t *testing.T) {
	t.Parallel()
	testPage(t, monitoring, "")
}

// alert is one rule of Prometheus.
type alert struct {
	Alert       string
	Expr        string
	For         string
	Labels      struct{ Severity string }
	Annotations struct {
		Summary string
		Runbook string `yaml:"runbook_url"`
	}
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	if err := yaml.Unmarshal([]byte(readFile(t, rulesFile)), &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no alert", rulesFile)
	}
	return all
}

// TestAlertsAreDocumented holds that each alert is whole, and links to a part of
// the page, which has no other.
func TestAlertsAreDocumented(t *testing.T) {
	t.Parallel()
	headings := regexp.MustCompile(`(?m)^### (Muster\w+)$`).FindAllStringSubmatch(readFile(t, monitoring), -1)
	var explained []string
	for _, h := range headings {
		explained = append(explained, h[1])
	}
	var named []string
	for _, a := range alerts(t) {
		named = append(named, a.Alert)
		if a.For == "" || a.Annotations.Summary == "" || a.Labels.Severity != "warning" && a.Labels.Severity != "critical" {
			t.Errorf("%s: %+v is not whole", a.Alert, a)
		}
		if want := "/docs/monitoring.md#" + strings.ToLower(a.Alert); !strings.HasSuffix(a.Annotations.Runbook, want) {
			t.Errorf("%s links to %s, want …%s", a.Alert, a.Annotations.Runbook, want)
		}
	}
	if !slices.Equal(named, explained) {
		t.Errorf("alerts\n%v\nand the page explains\n%v", named, explained)
	}
}

func TestScrapeExample(t *testing.T) {
	t.Parallel()
	var file struct {
		Rules   []string `yaml:"rule_files"`
		Scrapes []struct {
			Job string `yaml:"job_name"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, scrapeFile)), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Rules) != 1 || file.Rules[0] != filepath.Base(rulesFile) || len(file.Scrapes) != 1 || file.Scrapes[0].Job != "muster" {
		t.Errorf("%s: %+v", scrapeFile, file)
	}
}

// dashboardQueries returns the expressions of the dashboard by their panels.
func dashboardQueries(t *testing.T) map[string][]string {
	t.Helper()
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, dashboardFile)), &board); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], target.Expr)
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s has no query", dashboardFile)
	}
	return all
}

// TestMonitoringNamesWhatExists runs a server through what makes every series,
// and compares what alerts, dashboard and page name with its scrape.
func TestMonitoringNamesWhatExists(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.prepare(t) // the series of the API come with its requests
	factory := newAuthority(t, "Factory CA")
	s.register(t, factory, supervised("hard"))
	s.refuse(t, factory.supervised(t, "unasked", goodSerial, "http://127.0.0.1:1"), muster.ReasonRevocationUnknown)
	_, text := s.get(t, "/metrics")
	have := readScrape(t, text)

	check := func(where, expression string) {
		t.Helper()
		q, err := parseQuery(expression)
		if err != nil || len(q.selections) == 0 {
			t.Errorf("%s: %s: %v", where, expression, err)
		}
		for _, what := range have.missing(q) {
			t.Errorf("%s: %s: a scrape does not have %s", where, expression, what)
		}
	}
	for _, a := range alerts(t) {
		check(a.Alert, a.Expr)
	}
	for title, expressions := range dashboardQueries(t) {
		for _, e := range expressions {
			check(title, e)
		}
	}
	for _, m := range regexp.MustCompile("`((?:muster|process)_[a-z_]+)(?:\\{([a-z]+)\\})?`").FindAllStringSubmatch(readFile(t, monitoring), -1) {
		labels, ok := have[m[1]]
		if !ok {
			labels, ok = have[m[1]+"_count"] // of a histogram
		}
		if _, known := labels[m[2]]; !ok || m[2] != "" && !known {
			t.Errorf("%s: a scrape does not have %s{%s}", monitoring, m[1], m[2])
		}
	}
	checkReadme(t, text)
}

// checkReadme compares the metrics of a scrape with the table of README.md.
func checkReadme(t *testing.T, scrape string) {
	t.Helper()
	names := func(form, text string) (found []string) {
		for _, m := range regexp.MustCompile(form).FindAllStringSubmatch(text, -1) {
			found = append(found, m[1]+" "+m[2])
		}
		slices.Sort(found)
		return found
	}
	served := names(`(?m)^# TYPE (muster_\w+) (\w+)$`, scrape)
	listed := names("(?m)^\\| `(muster_\\w+)` \\| (\\w+) \\|", readFile(t, "../internal/metrics/README.md"))
	if !slices.Equal(served, listed) {
		t.Errorf("the server tells\n%v\nand README.md lists\n%v", served, listed)
	}
}

// TestFigures watches what is not a counter: certificates, sessions and live
// connections, while things happen to them.
func TestFigures(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.prepare(t)
	factory := newAuthority(t, "Factory CA")
	s.register(t, factory, provisioned())
	app := s.application(t)
	is := func(series string, want float64) {
		t.Helper()
		eventually(t, stopTimeout, series+" is right", func() bool { return s.metric(t, series) == want })
	}
	is(`muster_authorities{status="ACTIVE"}`, 1)
	is(`muster_certificates{status="ACTIVE"}`, 1)

	sub := s.subscribe(t, v5, app, "telemetry/+")
	is(`muster_mqtt_sessions{state="connected"}`, 1)
	is(`muster_mqtt_subscriptions`, 1)
	device := factory.device(t, "sensor-1")
	s.admit(t, v5, device)
	is(`muster_certificates{status="ACTIVE"}`, 2)
	is(`muster_mqtt_messages_received_total`, 1)
	is(`muster_mqtt_messages_sent_total`, 1)

	if n := s.metric(t, "muster_revocation_kick_seconds_count"); n != 0 {
		t.Errorf("%v connections were closed before anything changed", n)
	}
	s.call(t, http.MethodPut, "/certificates/"+app.id, map[string][]string{"newStatus": {"REVOKED"}}, nil)
	is(`muster_certificates{status="REVOKED"}`, 1)
	is(`muster_certificates{status="ACTIVE"}`, 1)
	is(`muster_kicked_total{reason="revoked"}`, 1)
	is(`muster_revocation_kick_seconds_count`, 1)
	is(`muster_mqtt_sessions{state="connected"}`, 0)
	<-sub.ended // it comes back, and is refused

	if n := s.metric(t, "muster_registry_commit_seconds_count"); n < 5 {
		t.Errorf("%v commits", n)
	}
	// Counted anew by the next start.
	s.stop(t)
	s.start(t)
	is(`muster_certificates{status="REVOKED"}`, 1)
	is(`muster_certificates{status="ACTIVE"}`, 1)
}

// TestReadiness looks at a server that is well, and at one whose disk is nearly
// full.
func TestReadiness(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	if status, body := s.get(t, "/livez?verbose"); status != http.StatusOK || body != "[+]registry ok\n[+]listeners ok\nlivez check passed\n" {
		t.Errorf("/livez?verbose answers %d %q", status, body)
	}
	if n := s.metric(t, "muster_ready"); n != 1 {
		t.Errorf("muster_ready is %v", n)
	}
	s.stop(t)

	// 200 MiB for the registry; the rest of the system is as it is.
	script := `cp -a "$0" /mnt/registry && MUSTER_REGISTRY_PATH=/mnt/registry exec "$@"`
	s.start(t, "bwrap", "--dev-bind", "/", "/", "--size", "209715200", "--tmpfs", "/mnt", "--die-with-parent",
		"sh", "-c", script, s.path("registry"))
	status, body := s.get(t, "/readyz")
	want := regexp.MustCompile(`^\[-\]disk failed: \d+ MiB are free where /mnt/registry lies, of 256 that it takes; .*/mnt/sessions.*\nreadyz check failed\n$`)
	if status != http.StatusServiceUnavailable || !want.MatchString(body) {
		t.Errorf("/readyz of a full disk answers %d %q", status, body)
	}
	if status, body := s.get(t, "/livez"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/livez of a full disk answers %d %q", status, body)
	}
	for _, series := range []string{`muster_ready`, `muster_check_ok{check="disk"}`, `muster_check_ok{check="disk_low"}`} {
		if n := s.metric(t, series); n != 0 {
			t.Errorf("%s of a full disk is %v", series, n)
		}
	}
	out := program(t, "health", "--config", s.config())
	if out.code != 1 || out.stdout != "" || !strings.Contains(out.stderr, "[-]disk failed") {
		t.Errorf("muster health: %+v", out)
	}
	out = program(t, "health", "--verbose", "--config", s.config())
	if out.code != 1 || !strings.Contains(out.stdout, "[+]registry ok\n") || !strings.Contains(out.stdout, "[!]disk_low degraded: ") {
		t.Errorf("muster health --verbose: %+v", out)
	}
	if s.metric(t, `muster_disk_free_bytes{folder="registry"}`) >= 200<<20 {
		t.Error("more is free than there is")
	}
}

// TestProfiles asks for a profile as somebody on this machine, and as a proxy.
func TestProfiles(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	if status, body := s.get(t, "/debug/pprof/goroutine?debug=1"); status != http.StatusOK || !strings.HasPrefix(body, "goroutine profile: total ") {
		t.Errorf("a profile: %d %.100q", status, body)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.vars["MUSTER_HTTP"]+"/debug/pprof/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", "192.0.2.1")
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _ = w.Body.Close(); w.StatusCode != http.StatusNotFound {
		t.Errorf("a profile by a proxy: %s", w.Status)
	}
}
