package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/muster-mqtt/muster"
)

// ocspMetrics are the instruments of what package ocsp does.
type ocspMetrics struct {
	registry *prometheus.Registry

	requests  map[OCSPMethod]family[OCSPResult, prometheus.Counter]
	refreshes family[OCSPResult, prometheus.Counter]
	failures  *prometheus.CounterVec
	seconds   prometheus.Histogram
	answers   map[OCSPSource]family[OCSPResult, prometheus.Counter]
	brought   family[OCSPResult, prometheus.Counter]
	notAsked  family[OCSPHindrance, prometheus.Counter]
	trips     prometheus.Counter
	waiting   prometheus.Gauge
	rechecks  family[muster.Reason, prometheus.Counter]
}

func newOCSPMetrics(r *prometheus.Registry) ocspMetrics {
	results := []OCSPResult{OCSPGood, OCSPRevoked, OCSPUnknown, OCSPUnavailable}
	return ocspMetrics{
		registry: r,
		requests: families(r, "muster_ocsp_requests_total",
			"Requests to OCSP responders, by HTTP method and by what was answered.", "method", "result",
			[]OCSPMethod{OCSPGet, OCSPPost}, results),
		refreshes: counters(r, "muster_ocsp_refreshes_total",
			"Those of the requests that were made ahead of expiry, while no device waited.", "result", results),
		failures: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_ocsp_failures_total",
			Help: "Requests without an answer that counts, by what was wrong.",
		}, []string{"fault"})),
		seconds: histogram(r, "muster_ocsp_request_seconds",
			"Duration of requests to OCSP responders, with the wait for a turn.", slow()),
		answers: families(r, "muster_ocsp_answers_total",
			"Answers about devices, by where they came from; none: nothing was found out.", "source", "result",
			[]OCSPSource{OCSPFromResponder, OCSPFromMemory, OCSPFromCache, OCSPFromDevice, OCSPFromNowhere},
			append(results[:4:4], OCSPNoURL, OCSPNotAsked)),
		brought: counters(r, "muster_ocsp_brought_total",
			"Responses that devices brought; unavailable: they did not count.", "result",
			[]OCSPResult{OCSPGood, OCSPRevoked, OCSPUnavailable}),
		notAsked: counters(r, "muster_ocsp_not_asked_total",
			"Questions for which no responder was asked, by what stood in the way.", "cause",
			[]OCSPHindrance{OCSPBreakerOpen, OCSPTooManyWaiting}),
		trips: counter(r, "muster_ocsp_breaker_trips_total",
			"How often the breaker of a responder opened, or stayed open after another try."),
		waiting: gauge(r, "muster_ocsp_waiting", "Devices that wait for an answer of OCSP."),
		rechecks: counters(r, "muster_ocsp_rechecks_total",
			"Live connections that OCSP was asked about again, by whether they were kept, or why not.", "outcome",
			[]muster.Reason{kept, muster.ReasonRevoked, muster.ReasonRevocationUnknown}),
	}
}

// families is counters with two labels.
func families[V, W ~string](r *prometheus.Registry, name, help, outer, inner string, values []V, words []W) map[V]family[W, prometheus.Counter] {
	vec := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{outer, inner}))
	all := make(map[V]family[W, prometheus.Counter], len(values)+1)
	for _, value := range append(values[:len(values):len(values)], "") {
		label := string(value)
		if value == "" {
			label = other
		}
		all[value] = newFamily(func(words ...string) prometheus.Counter { return vec.WithLabelValues(label, words[0]) }, words)
	}
	return all
}

// of2 returns the counter of two words; those that are not known are other.
func of2[V, W ~string](all map[V]family[W, prometheus.Counter], value V, word W) prometheus.Counter {
	f, ok := all[value]
	if !ok {
		f = all[""]
	}
	return f.of(word)
}

// OCSPRequest counts a request to a responder and observes how long it took.
// refresh says that no device waited for it.
func (m *Metrics) OCSPRequest(method OCSPMethod, r OCSPResult, refresh bool, took time.Duration) {
	of2(m.ocsp.requests, method, r).Inc()
	if refresh {
		m.ocsp.refreshes.of(r).Inc()
	}
	m.ocsp.seconds.Observe(took.Seconds())
}

// OCSPFailure counts a request that gave no answer that counts. fault is a word
// from the closed set of package ocsp, never one of a responder: the metric keeps
// every one that it is told.
func (m *Metrics) OCSPFailure(fault string) { m.ocsp.failures.WithLabelValues(fault).Inc() }

// OCSPAnswer counts what was answered about a device.
func (m *Metrics) OCSPAnswer(s OCSPSource, r OCSPResult) { of2(m.ocsp.answers, s, r).Inc() }

// OCSPBrought counts a response that a device brought.
func (m *Metrics) OCSPBrought(r OCSPResult) { m.ocsp.brought.of(r).Inc() }

// OCSPNotAsked counts a question for which no responder was asked.
func (m *Metrics) OCSPNotAsked(h OCSPHindrance) { m.ocsp.notAsked.of(h).Inc() }

// OCSPTrip counts a breaker that opened.
func (m *Metrics) OCSPTrip() { m.ocsp.trips.Inc() }

// OCSPWaiting counts devices that wait for an answer: +1 and, after it, -1.
func (m *Metrics) OCSPWaiting(change int) { m.ocsp.waiting.Add(float64(change)) }

// OCSPBreakers has each scrape ask how many responders are not asked at
// present. It may be called once.
func (m *Metrics) OCSPBreakers(open func() int) {
	register(m.ocsp.registry, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "muster_ocsp_breakers_open",
		Help: "Responders that are not asked at present, because they failed several times in a row.",
	}, func() float64 { return float64(open()) }))
}

// OCSPRecheck counts a live connection that OCSP was asked about; reason is empty
// when it was kept.
func (m *Metrics) OCSPRecheck(reason muster.Reason) {
	if reason == "" {
		reason = kept
	}
	m.ocsp.rechecks.of(reason).Inc()
}
