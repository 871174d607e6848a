package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/muster-mqtt/muster"
)

// Registry is asked at each scrape. Its answers must be at hand.
type Registry interface {
	// CertificateFigures returns false while they are not known yet: the series
	// are missing then, for 0 would be a lie.
	CertificateFigures() (map[muster.Status]int, bool)
	AuthorityFigures(context.Context) (map[muster.Status]int, error)
	PendingHighest() int
	Err() error // nil until nothing can be written any more
}

// Registry has each scrape ask a registry. pendingCap is how many certificates of one
// authority may wait for activation. It may be called once.
func (m *Metrics) Registry(r Registry, pendingCap int) {
	certificates := reads(prometheus.GaugeValue, "muster_certificates",
		"Certificates of devices in the registry, of all accounts, by status.", "status")
	authorities := reads(prometheus.GaugeValue, "muster_authorities",
		"Authorities in the registry, of all accounts, by status.", "status")
	highest := reads(prometheus.GaugeValue, "muster_pending_highest",
		"The most certificates of one authority that wait for activation, of the accounts where devices were registered since the start.")
	most := reads(prometheus.GaugeValue, "muster_pending_cap",
		"How many certificates of one authority may wait for activation.")
	writable := reads(prometheus.GaugeValue, "muster_registry_writable",
		"1 while the registry can write, 0 from the first failed write on.")
	ask := func(tell emit) {
		if figures, ok := r.CertificateFigures(); ok {
			for _, s := range []muster.Status{
				muster.Active, muster.Inactive, muster.Revoked, muster.PendingTransfer, muster.PendingActivation,
			} {
				tell(certificates, float64(figures[s]), string(s))
			}
		}
		if figures, err := r.AuthorityFigures(context.Background()); err == nil {
			for _, s := range []muster.Status{muster.Active, muster.Inactive} {
				tell(authorities, float64(figures[s]), string(s))
			}
		}
		tell(highest, float64(r.PendingHighest()))
		tell(most, float64(pendingCap))
		tell(writable, truth(r.Err() == nil))
	}
	register(m.registry, readings{[]reading{certificates, authorities, highest, most, writable}, ask})
}

// commitMetrics are the instruments of what the registry's engine does.
type commitMetrics struct {
	seconds prometheus.Histogram
	updates prometheus.Histogram
}

func newCommitMetrics(r *prometheus.Registry) commitMetrics {
	return commitMetrics{
		seconds: histogram(r, "muster_registry_commit_seconds",
			"Duration of the commits of the registry, with the sync to the disk.", slow()),
		updates: histogram(r, "muster_registry_commit_updates",
			"Updates of the registry that one commit made durable.", prometheus.ExponentialBuckets(1, 2, 9)),
	}
}

// Committed observes a commit of the registry, which made a number of updates
// durable.
func (m *Metrics) Committed(updates int, took time.Duration) {
	m.commits.seconds.Observe(took.Seconds())
	m.commits.updates.Observe(float64(updates))
}
