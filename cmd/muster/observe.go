package main

import (
	"runtime"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/internal/metrics"
)

// observe has each scrape ask what is not counted as it happens.
func (d *daemon) observe() {
	d.metrics.Build(version(), runtime.Version())
	d.metrics.OCSPBreakers(func() int { return len(d.ocsp.Breakers()) })
	d.metrics.Registry(d.store, d.config.Registry.PendingCap)
	d.metrics.DiskFree(metrics.FolderRegistry, func() (uint64, error) { return diskFree(d.config.Registry.Path) })
	d.metrics.Traffic(func() metrics.Traffic { return metrics.Traffic(d.broker.Traffic()) })
	d.observeChecks()
}

// commits joins what the registry's engine tells to the metrics; m may be nil.
func commits(m *metrics.Metrics) func(updates int, took time.Duration) {
	if m == nil {
		return nil
	}
	return m.Committed
}

// brokerObserver joins what package broker tells to the metrics.
type brokerObserver struct{ m *metrics.Metrics }

func (o brokerObserver) Handshake(reason muster.Reason, took time.Duration) {
	o.m.Handshake(reason, took)
	if reason != "" {
		o.m.Refused(reason)
	}
}

func (o brokerObserver) Refused(r muster.Reason)      { o.m.Refused(r) }
func (o brokerObserver) Inspected(took time.Duration) { o.m.Stage(metrics.StageInspect, took) }
func (o brokerObserver) Rejected(limit string)        { o.m.AcceptRejected(metrics.Limit(limit)) }

func (o brokerObserver) Open(change int) {
	if change > 0 {
		o.m.ConnectionOpened()
	} else {
		o.m.ConnectionClosed()
	}
}

func (o brokerObserver) Rechecked(r muster.Reason, took time.Duration) {
	o.m.Stage(metrics.StageRecheck, took)
	o.m.OCSPRecheck(r)
}

// hookObserver joins what package hooks tells to the metrics.
type hookObserver struct{ m *metrics.Metrics }

func (o hookObserver) Judged(out admission.Outcome, took time.Duration) {
	o.m.Stage(metrics.StageConnect, took)
	if out.EnrolTook > 0 {
		o.m.Stage(metrics.StageEnrol, out.EnrolTook)
	}
	if !out.Enrolled {
		return
	}
	switch {
	case out.Record.ProvisioningFailure != "":
		o.m.Registration(metrics.RegistrationFailed)
	case out.Record.Status == muster.Active:
		o.m.Registration(metrics.RegistrationActive)
	default:
		o.m.Registration(metrics.RegistrationPending)
	}
}

func (o hookObserver) Connected(out admission.Outcome) {
	if out.Enrolled {
		o.m.Registered()
	} else {
		o.m.Admitted()
	}
}

func (o hookObserver) Refused(r muster.Reason) { o.m.Refused(r) }

func (o hookObserver) Kicked(r muster.Reason, took time.Duration) {
	o.m.Kicked(r)
	switch r {
	case muster.ReasonShutdown, muster.ReasonTakenOver: // no change of a certificate
	default:
		o.m.RevocationKick(took)
	}
}

func (o hookObserver) Dropped(n int)  { o.m.MessagesDropped(n) }
func (o hookObserver) ProtocolError() { o.m.ProtocolError() }
