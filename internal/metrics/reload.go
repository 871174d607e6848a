package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type reloadMetrics struct {
	all  family[Reload, prometheus.Counter]
	good prometheus.Gauge
	at   prometheus.Gauge
}

// Reload is what came of reading the configuration again.
type Reload string

// The outcomes of a reload.
const (
	ReloadDone   Reload = "reloaded"
	ReloadFailed Reload = "failed" // all stays as it was
)

func newReloadMetrics(r *prometheus.Registry) reloadMetrics {
	return reloadMetrics{
		all: counters(r, "muster_reloads_total",
			"How often the configuration was read again, by what came of it.", "outcome", []Reload{ReloadDone, ReloadFailed}),
		good: gauge(r, "muster_config_last_reload_successful",
			"1 if the configuration was good when it was last read, 0 if not, so that an older one is in force."),
		at: gauge(r, "muster_config_last_reload_success_timestamp_seconds",
			"When a good configuration was last read, in Unix time."),
	}
}

// Configured tells when the configuration that is in force was read first.
func (m *Metrics) Configured(at time.Time) {
	m.reloads.good.Set(1)
	m.reloads.at.Set(float64(at.Unix()))
}

// Reloaded counts a reading of the configuration after the first.
func (m *Metrics) Reloaded(outcome Reload, at time.Time) {
	m.reloads.all.of(outcome).Inc()
	if outcome == ReloadDone {
		m.Configured(at)
	} else {
		m.reloads.good.Set(0)
	}
}
