package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// SessionLimit is a limit of what the sessions of an account may hold.
type SessionLimit string

// The limits of sessions that cost messages.
const (
	SessionLimitRetained SessionLimit = "retained"
	SessionLimitWaiting  SessionLimit = "waiting"
)

type sessionMetrics struct {
	seconds prometheus.Histogram
	dropped family[SessionLimit, prometheus.Counter]
}

func newSessionMetrics(r *prometheus.Registry) sessionMetrics {
	return sessionMetrics{
		seconds: histogram(r, "muster_sessions_commit_seconds",
			"Duration of the commits of the store of sessions, for which acknowledgements wait.", quick()),
		dropped: counters(r, "muster_sessions_dropped_total",
			"Messages that a limit kept from the store of sessions: not retained, or not kept for a client that is away.",
			"limit", []SessionLimit{SessionLimitRetained, SessionLimitWaiting}),
	}
}

// SessionCommit observes a commit of the store of sessions.
func (m *Metrics) SessionCommit(took time.Duration) { m.sessions.seconds.Observe(took.Seconds()) }

// SessionMessageDropped counts a message that a limit kept from the store.
func (m *Metrics) SessionMessageDropped(l SessionLimit) { m.sessions.dropped.of(l).Inc() }

// Kept is what the store of sessions holds.
type Kept struct {
	Sessions int   // that outlive their connection
	Retained int   // messages
	Waiting  int64 // bytes of messages
}

// Sessions has each scrape ask for what is kept. Call it once.
func (m *Metrics) Sessions(kept func() Kept) {
	for name, g := range map[string]struct {
		help string
		of   func(Kept) float64
	}{
		"muster_sessions_kept": {"Sessions that outlive their connection, of clients that are connected and of those that are away.",
			func(k Kept) float64 { return float64(k.Sessions) }},
		"muster_sessions_retained": {"Retained messages in the store of sessions.",
			func(k Kept) float64 { return float64(k.Retained) }},
		"muster_sessions_waiting_bytes": {"Bytes of messages in sessions that are not acknowledged, with 1 KiB for each besides its own.",
			func(k Kept) float64 { return float64(k.Waiting) }},
	} {
		register(m.registry, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: g.help},
			func() float64 { return g.of(kept()) }))
	}
}
