package admission

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/pace"
)

// Limits bound what devices may cost once TLS is done. Zero fields take their
// defaults.
type Limits struct {
	ConnectsPerAuthority int // a second, bursts of twice that; default 5,000
	// Registrations is how many devices that are not ACTIVE yet may be asked about
	// by OCSP at once, and how many may be registered at once; default 1,024. Those
	// above it are told that the server is busy.
	Registrations int
}

func (l Limits) orDefaults() Limits {
	return Limits{
		ConnectsPerAuthority: cmp.Or(l.ConnectsPerAuthority, 5_000),
		Registrations:        cmp.Or(l.Registrations, 1024),
	}
}

// SetLimits changes the limits, for devices that come from now on. It may be
// called at any time.
func (g *Gate) SetLimits(l Limits) { g.limits.set(l) }

// SetBusy names who tells whether known devices wait because of strangers. While
// it is true, devices that are not ACTIVE are turned away before they cost more.
// It is asked once a connect. Package broker names itself.
func (g *Gate) SetBusy(busy func() bool) { g.limits.busy.Store(&busy) }

// maxAuthorities is how many authorities have a rate of their own; about as many
// are remembered besides. Strangers cannot make one.
const maxAuthorities = 16_384

// limiter turns devices away before they cost anything: before OCSP is asked, and
// before a record is written. No rule is asked, for it is not about the device.
type limiter struct {
	limits      atomic.Pointer[Limits]
	busy        atomic.Pointer[func() bool]
	authorities *pace.Rates[authorityKey]
	asking      atomic.Int64 // devices that are not ACTIVE, while OCSP is asked
	enrolling   atomic.Int64 // and while they are registered
}

type authorityKey struct{ account, id string }

func newLimiter(limits Limits) *limiter {
	limits = limits.orDefaults()
	l := &limiter{authorities: pace.New[authorityKey](limits.ConnectsPerAuthority, maxAuthorities)}
	l.limits.Store(&limits)
	return l
}

func (l *limiter) set(limits Limits) {
	limits = limits.orDefaults()
	l.limits.Store(&limits)
	l.authorities.Set(limits.ConnectsPerAuthority)
}

// admit takes the share of a device on which the cheap rules are silent, until
// done is called. Otherwise it sets the cause in the facts and says what to
// answer. Who is ACTIVE is not held back by how busy the server is: it is cheap,
// and it was here before.
func (l *limiter) admit(f *Facts) (done func(), d Decision, ok bool) {
	known := f.Record.Status == muster.Active
	if busy := l.busy.Load(); !known && busy != nil && (*busy)() {
		return nil, turnAway(f, CauseBusy, "the server has more to do than it can"), false
	}
	limits := l.limits.Load()
	key := authorityKey{f.Account, cmp.Or(f.Record.AuthorityID, f.Authority.ID)}
	if key.id != "" && !l.authorities.Allow(key) {
		return nil, turnAway(f, CauseAuthority, fmt.Sprintf(
			"more than %d connects a second of devices of one authority (limits.connects_per_authority)", limits.ConnectsPerAuthority)), false
	}
	if known {
		return func() {}, Decision{}, true
	}
	return l.take(f, &l.asking)
}

// enrol takes the share of a device that is about to be registered.
func (l *limiter) enrol(f *Facts) (done func(), d Decision, ok bool) { return l.take(f, &l.enrolling) }

func (l *limiter) take(f *Facts, n *atomic.Int64) (done func(), d Decision, ok bool) {
	most := l.limits.Load().Registrations
	if n.Add(1) > int64(most) {
		n.Add(-1)
		return nil, turnAway(f, CauseRegistrations, fmt.Sprintf("%d devices are being registered (limits.registrations)", most)), false
	}
	return func() { n.Add(-1) }, Decision{}, true
}

// Seconds after which a device that was turned away is asked to come again: each
// at another moment, or they would all be back at once.
const soonest, latest = 5, 60

func turnAway(f *Facts, cause Cause, detail string) Decision {
	f.Cause = cause
	reason := muster.ReasonBusy
	if cause == CauseAuthority {
		reason = muster.ReasonTooManyConnections
	}
	return Decision{Reason: reason, Detail: fmt.Sprintf("%s; connect again in %d s", detail, soonest+rand.N(latest-soonest+1))}
}

// turnedAway reports whether Inspect met a limit, which stands for the CONNECT
// that follows.
func (c *Candidate) turnedAway() bool {
	switch c.Facts.Cause {
	case CauseBusy, CauseAuthority, CauseRegistrations:
		return c.Decision.Verdict == Refuse
	}
	return false
}
