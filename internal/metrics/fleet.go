package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// fleetMetrics are the instruments of fleet provisioning.
type fleetMetrics struct {
	requests map[string]family[string, prometheus.Counter] // by request
	seconds  prometheus.Histogram
}

// fleetRequests are the words of package fleet for what is asked.
func fleetRequests() []string { return []string{"create", "create_from_csr", "provision"} }

// fleetResults are its words for what came of it.
func fleetResults() []string {
	return []string{
		"accepted", "unanswered",
		"AccessDenied", "InternalFailure", "InvalidCertificateOwnershipToken", "InvalidCertificateSigningRequest", "InvalidParameters",
		"InvalidPayload", "NotSubscribed", "ResourceConflict", "ResourceNotFound", "ServiceUnavailable", "Throttling",
	}
}

func newFleetMetrics(r *prometheus.Registry) fleetMetrics {
	vec := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "muster_fleet_requests_total",
		Help: "Requests of fleet provisioning over MQTT, by what came of them; unanswered: the connection had ended.",
	}, []string{"request", "result"}))
	f := fleetMetrics{
		requests: map[string]family[string, prometheus.Counter]{},
		seconds: histogram(r, "muster_fleet_request_seconds",
			"Duration of requests of fleet provisioning, with that of their pre-provisioning hook.", slow()),
	}
	for _, request := range append(fleetRequests(), other) {
		series := vec.MustCurryWith(prometheus.Labels{"request": request})
		f.requests[request] = newFamily(func(words ...string) prometheus.Counter { return series.WithLabelValues(words...) }, fleetResults())
	}
	return f
}

// FleetRequest counts a request of fleet provisioning, and observes how long it
// was worked on.
func (m *Metrics) FleetRequest(request, result string, took time.Duration) {
	results, ok := m.fleet.requests[request]
	if !ok {
		results = m.fleet.requests[other]
	}
	results.of(result).Inc()
	m.fleet.seconds.Observe(took.Seconds())
}
