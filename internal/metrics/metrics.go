// Package metrics counts what Muster does, for Prometheus. It is the only
// package that knows Prometheus: the others call functions or small interfaces
// of their own, which the program joins to the methods here.
//
// Every label takes its values from a list that is fixed when the program is
// built, never from what a device or a request brings, so that no stranger can
// make the number of series grow. A word that is not on the list is counted as
// "other". The series of the lists exist from the start, at zero.
package metrics

import (
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/muster-mqtt/muster"
)

// Metrics are the instruments of one server. The methods may be called from any
// goroutine, and do not block.
type Metrics struct {
	registry *prometheus.Registry

	handshakes       family[muster.Reason, prometheus.Counter]
	handshakeSeconds prometheus.Histogram
	admissions       family[outcome, prometheus.Counter]
	refusals         family[muster.Reason, prometheus.Counter]
	registrations    family[Registration, prometheus.Counter]
	stageSeconds     family[Stage, prometheus.Observer]
	ocsp             ocspMetrics
	webhook          webhookMetrics
	fleet            fleetMetrics
	commits          commitMetrics
	reloads          reloadMetrics
	sessions         sessionMetrics
	connections      prometheus.Gauge
	rejected         family[Limit, prometheus.Counter]
	apiRequests      *prometheus.CounterVec
	apiSeconds       prometheus.Histogram
	dropped          prometheus.Counter
	registryDropped  prometheus.Counter
	protocolErrors   prometheus.Counter
	kicked           family[muster.Reason, prometheus.Counter]
	kickSeconds      prometheus.Histogram
	certificates     *prometheus.GaugeVec

	mu     sync.Mutex
	expiry map[Listener]time.Time // of the certificates, guarded by mu
}

// New returns instruments that stand at zero, with those of the Go runtime and
// of the process.
func New() *Metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return &Metrics{
		registry: r,
		expiry:   map[Listener]time.Time{},
		handshakes: counters(r, "muster_handshakes_total",
			"TLS handshakes of devices, by the reason they failed for, or ok.", "result", append(reasons(), ok)),
		handshakeSeconds: histogram(r, "muster_handshake_seconds",
			"Duration of TLS handshakes of devices, failed ones too.", slow()),
		admissions: counters(r, "muster_admissions_total",
			"Connections that were judged: admitted, registered and admitted at once, or refused.",
			"outcome", []outcome{admitted, registered, refused}),
		refusals: counters(r, "muster_refusals_total",
			"Refused connections, by reason.", "reason", reasons()),
		registrations: counters(r, "muster_registrations_total",
			"Certificates that were registered or provisioned by connecting, by what came of it.",
			"outcome", []Registration{RegistrationActive, RegistrationPending, RegistrationFailed}),
		stageSeconds: histograms(r, "muster_admission_seconds",
			"Duration of the stages of admission.", "stage", slow(),
			[]Stage{StageHandshake, StageInspect, StageOCSP, StageConnect, StageEnrol, StageRecheck}),
		ocsp:     newOCSPMetrics(r),
		webhook:  newWebhookMetrics(r),
		fleet:    newFleetMetrics(r),
		reloads:  newReloadMetrics(r),
		commits:  newCommitMetrics(r),
		sessions: newSessionMetrics(r),
		connections: gauge(r, "muster_connections",
			"Connections of devices that are open, from accept on."),
		rejected: counters(r, "muster_accept_rejected_total",
			"Connections closed before TLS, by the limit that they met.", "limit",
			[]Limit{LimitConnections, LimitHandshakes, LimitConnects, LimitConnectsPerAddress}),
		apiRequests: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_api_requests_total",
			Help: "Requests to the API, by operation and HTTP status code.",
		}, []string{"operation", "code"})),
		apiSeconds: histogram(r, "muster_api_seconds", "Duration of requests to the API.", slow()),
		dropped: counter(r, "muster_messages_dropped_total",
			"Messages that did not fit into the queue of a subscriber."),
		registryDropped: counter(r, "muster_registry_events_dropped_total",
			"Events of the registry that came faster than they could be published to the MQTT clients of their account."),
		protocolErrors: counter(r, "muster_protocol_errors_total",
			"Connections that were let in, and closed for a packet against the standard."),
		kicked: counters(r, "muster_kicked_total",
			"Live connections closed because what admitted them changed, by reason.", "reason", reasons()),
		kickSeconds: histogram(r, "muster_revocation_kick_seconds",
			"Time from the change of a certificate to the close of its live connection.", quick()),
		certificates: register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "muster_cert_expiry_timestamp_seconds",
			Help: "When the server certificate of a listener expires, in Unix time.",
		}, []string{"listener"})),
	}
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		// A scrape walks every series; a few at a time are plenty.
		MaxRequestsInFlight: 4,
	})
}

// Handshake counts a TLS handshake of a device; reason is empty when it
// succeeded.
func (m *Metrics) Handshake(reason muster.Reason, took time.Duration) {
	m.handshakeSeconds.Observe(took.Seconds())
	if reason == "" {
		reason = ok
		m.Stage(StageHandshake, took)
	}
	m.handshakes.of(reason).Inc()
}

// Admitted counts a connection that was let in with the record that it had.
func (m *Metrics) Admitted() { m.admissions.of(admitted).Inc() }

// Registered counts a connection that was registered or provisioned and let in
// at once.
func (m *Metrics) Registered() { m.admissions.of(registered).Inc() }

// Refused counts a connection that was refused, in TLS or later.
func (m *Metrics) Refused(reason muster.Reason) {
	m.admissions.of(refused).Inc()
	m.refusals.of(reason).Inc()
}

// Registration counts a certificate whose record a connect wrote.
func (m *Metrics) Registration(r Registration) { m.registrations.of(r).Inc() }

// Stage observes how long a stage of admission took.
func (m *Metrics) Stage(s Stage, took time.Duration) { m.stageSeconds.of(s).Observe(took.Seconds()) }

// ConnectionOpened counts a connection that was accepted; each must be followed
// by one ConnectionClosed.
func (m *Metrics) ConnectionOpened() { m.connections.Inc() }

// ConnectionClosed counts the end of a connection that was accepted.
func (m *Metrics) ConnectionClosed() { m.connections.Dec() }

// AcceptRejected counts a connection that met a limit before TLS.
func (m *Metrics) AcceptRejected(l Limit) { m.rejected.of(l).Inc() }

// APIRequest counts a request to the API. operation is a name from the tables
// of the dialects, never a word of the request: the metric keeps every one that
// it is told.
func (m *Metrics) APIRequest(operation string, code int, took time.Duration) {
	m.apiRequests.WithLabelValues(operation, strconv.Itoa(code)).Inc()
	m.apiSeconds.Observe(took.Seconds())
}

// RegistryEventsDropped counts events of the registry that were not published; n
// must not be negative.
func (m *Metrics) RegistryEventsDropped(n int) { m.registryDropped.Add(float64(n)) }

// MessagesDropped counts messages that did not fit into a subscriber's queue;
// n must not be negative.
func (m *Metrics) MessagesDropped(n int) { m.dropped.Add(float64(n)) }

// ProtocolError counts a connection that was closed for a packet against the
// standard.
func (m *Metrics) ProtocolError() { m.protocolErrors.Inc() }

// Kicked counts a live connection that was closed because what admitted it
// changed.
func (m *Metrics) Kicked(reason muster.Reason) { m.kicked.of(reason).Inc() }

// RevocationKick observes how long after the change of its certificate a live
// connection was closed.
func (m *Metrics) RevocationKick(took time.Duration) { m.kickSeconds.Observe(took.Seconds()) }

// CertificateExpires tells when the server certificate of a listener ends.
func (m *Metrics) CertificateExpires(l Listener, notAfter time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expiry[l] = notAfter
	m.certificates.WithLabelValues(string(l)).Set(float64(notAfter.Unix()))
}

// CertificateExpiries returns what CertificateExpires was told.
func (m *Metrics) CertificateExpiries() map[Listener]time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.expiry)
}
