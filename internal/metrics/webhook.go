package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// webhookMetrics are the instruments of what package webhook does.
type webhookMetrics struct {
	events  family[WebhookOutcome, prometheus.Counter]
	queued  prometheus.Gauge
	seconds prometheus.Histogram
}

// WebhookOutcome is what became of an event that a receiver was to be told of.
type WebhookOutcome string

// The outcomes of an event, for each receiver by itself.
const (
	WebhookDelivered WebhookOutcome = "delivered"
	WebhookFailed    WebhookOutcome = "failed"  // given up, or refused by the receiver
	WebhookDropped   WebhookOutcome = "dropped" // the queue was full, or the server stopped
)

func newWebhookMetrics(r *prometheus.Registry) webhookMetrics {
	return webhookMetrics{
		events: counters(r, "muster_webhook_events_total",
			"Events that receivers were to be told of, by what became of them.", "outcome",
			[]WebhookOutcome{WebhookDelivered, WebhookFailed, WebhookDropped}),
		queued: gauge(r, "muster_webhook_queued", "Events that wait for a receiver, until it has taken them or they are given up."),
		seconds: histogram(r, "muster_webhook_request_seconds",
			"Duration of requests to receivers of events, failed ones too.", slow()),
	}
}

// WebhookEvents counts events of which a receiver was told or was not; n must not
// be negative.
func (m *Metrics) WebhookEvents(o WebhookOutcome, n int) { m.webhook.events.of(o).Add(float64(n)) }

// WebhookQueued counts events that wait: more, or fewer.
func (m *Metrics) WebhookQueued(change int) { m.webhook.queued.Add(float64(change)) }

// WebhookRequest observes how long a receiver took to answer.
func (m *Metrics) WebhookRequest(took time.Duration) { m.webhook.seconds.Observe(took.Seconds()) }
