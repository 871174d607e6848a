package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"time"

	"github.com/muster-mqtt/muster/internal/metrics"
)

// check is one thing to look at before the server is called ready.
type check struct {
	name string // of metrics, too
	// find returns what is wrong, at once or when ctx ends.
	find func(ctx context.Context) error
	// degraded says that the server is ready all the same: what it finds is for
	// people to read.
	degraded bool
}

// finding is a check and what it found.
type finding struct {
	check
	wrong error
}

func examine(ctx context.Context, checks []check) (found []finding, passed bool) {
	passed = true
	for _, c := range checks {
		f := finding{c, c.find(ctx)}
		found = append(found, f)
		passed = passed && (f.wrong == nil || c.degraded)
	}
	return found, passed
}

// String is one line, in the manner of Kubernetes.
func (f finding) String() string {
	switch {
	case f.wrong == nil:
		return "[+]" + f.name + " ok"
	case f.degraded:
		return "[!]" + f.name + " degraded: " + oneLine(f.wrong)
	}
	return "[-]" + f.name + " failed: " + oneLine(f.wrong)
}

// oneLine keeps joined errors apart.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// checksTimeout bounds all checks of one request: shorter than the timeout of
// probe, so that the answer names the check that takes so long.
const checksTimeout = probeTimeout / 2

// probes serves metrics and health, for machines on a trusted network, and
// profiles, for this machine alone.
func (d *daemon) probes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", d.metrics.Handler())
	mux.HandleFunc("GET /livez", answerChecks("livez", d.vital()))
	mux.HandleFunc("GET /readyz", answerChecks("readyz", d.checks))
	for path, profile := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.HandleFunc("GET /debug/pprof/"+path, onLoopback(profile))
	}
	return mux
}

// answerChecks answers 200 if the checks pass, else 503. It names what failed, and
// what every check found if the query has verbose.
func answerChecks(name string, checks []check) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checksTimeout)
		defer cancel()
		found, passed := examine(ctx, checks)
		verbose := r.URL.Query().Has("verbose")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if !passed {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		for _, f := range found {
			if verbose || f.wrong != nil && !f.degraded {
				fmt.Fprintln(w, f)
			}
		}
		switch {
		case !passed:
			fmt.Fprintf(w, "%s check failed\n", name)
		case verbose:
			fmt.Fprintf(w, "%s check passed\n", name)
		default:
			_, _ = io.WriteString(w, "ok\n")
		}
	}
}

// observeChecks has each scrape run the checks.
func (d *daemon) observeChecks() {
	d.metrics.Readiness(func() (bool, []metrics.Check) {
		ctx, cancel := context.WithTimeout(context.Background(), checksTimeout)
		defer cancel()
		found, ready := examine(ctx, d.checks)
		results := make([]metrics.Check, len(found))
		for i, f := range found {
			results[i] = metrics.Check{Name: f.name, OK: f.wrong == nil}
		}
		return ready, results
	})
}

// onLoopback answers only who asks from this machine by an address of it: what
// it serves tells of memory, and costs time. Where a proxy on this machine or a
// page in a browser of it asks for somebody else, it is not found either.
func onLoopback(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if local == nil || !loopback(local.String()) || !loopback(r.RemoteAddr) || !loopback(r.Host) || forwarded(r.Header) {
			http.NotFound(w, r)
			return
		}
		next(w, r)
	}
}

// loopback says whether a host, with or without a port, is this machine. A name
// other than localhost may be anybody's that points here.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// forwarded says whether a proxy passed a request on (RFC 7239, RFC 9110 §7.6.3,
// and what came before), or a browser sent it for a page of somebody else's: that
// cannot read the answer, but could have profiles made all day.
func forwarded(h http.Header) bool {
	if site := h.Get("Sec-Fetch-Site"); site != "" && site != "none" && site != "same-origin" {
		return true
	}
	for name := range h {
		if name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			return true
		}
	}
	return false
}

// readiness returns what serve looks at before it calls itself ready.
func (d *daemon) readiness() []check {
	return []check{
		{name: "registry", find: func(context.Context) error { return d.store.Err() }},
		d.sessionsCheck(),
		{name: "listeners", find: func(context.Context) error { return d.loops.accepting() }},
		{name: "draining", find: func(context.Context) error {
			if d.draining.Load() {
				return errors.New("the server is stopping")
			}
			return nil
		}},
		{name: "disk", find: func(context.Context) error { return d.enough(diskNeeded) }},
		{name: "disk_low", degraded: true, find: func(context.Context) error { return d.enough(diskWanted) }},
		{name: "ocsp", degraded: true, find: func(context.Context) error { return d.silentResponders() }},
		{name: "certificate", degraded: true, find: func(context.Context) error {
			return expiring(d.metrics.CertificateExpiries(), time.Now())
		}},
	}
}

func (d *daemon) silentResponders() error {
	open := d.ocsp.Breakers()
	if len(open) == 0 {
		return nil
	}
	return fmt.Errorf("%d responders fail and are not asked for a while, %s among them", len(open), open[0].Responder)
}

// renewBefore is how long before its end a server certificate ought to have been
// replaced: authorities that issue for 90 days have it renewed at 30.
const renewBefore = 14 * 24 * time.Hour

func expiring(ends map[metrics.Listener]time.Time, now time.Time) error {
	var soon []string
	for _, l := range []metrics.Listener{metrics.ListenerMQTT, metrics.ListenerAPI} {
		if end, ok := ends[l]; ok && now.Add(renewBefore).After(end) {
			soon = append(soon, fmt.Sprintf("that of the %s listener ends at %s", l, end.UTC().Format(time.RFC3339)))
		}
	}
	if soon == nil {
		return nil
	}
	return errors.New(strings.Join(soon, ", "))
}
