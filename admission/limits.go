package admission

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/pace"
)

// Limits bound what devices may cost once TLS is done. Zero fields take their
// defaults.
type Limits struct {
	ConnectsPerAuthority int // a second, bursts of twice that; default 5,000
	// Registrations is how many devices that are not ACTIVE yet may be asked about
	// by OCSP at once, half of them of one authority, and how many may be registered
	// at once; default 1,024. Those above it are told that the server is busy.
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
	asking      askers       // devices that are not ACTIVE, while OCSP is asked
	enrolling   atomic.Int64 // and while they are registered
}

// askers counts devices about which OCSP is asked. One authority has at most half
// of the places: a responder that answers slowly is its own choice, and keeps no
// devices of others from registering.
type askers struct {
	mu  sync.Mutex
	all int
	of  map[authorityKey]int
}

// take takes one of so many places; it returns what stands in the way, or "".
func (a *askers) take(key authorityKey, most int) (full string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all >= most {
		return fmt.Sprintf("%d devices are being registered", a.all)
	}
	if n := a.of[key]; n >= max(1, most/2) {
		return fmt.Sprintf("%d devices of one authority are being asked about", n)
	}
	a.all++
	a.of[key]++
	return ""
}

func (a *askers) give(key authorityKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all--
	if a.of[key]--; a.of[key] == 0 {
		delete(a.of, key)
	}
}

type authorityKey struct{ account, id string }

func newLimiter(limits Limits) *limiter {
	limits = limits.orDefaults()
	l := &limiter{
		authorities: pace.New[authorityKey](limits.ConnectsPerAuthority, maxAuthorities),
		asking:      askers{of: map[authorityKey]int{}},
	}
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
// answer. asks says that OCSP will be asked, which is what may take long. Who is
// ACTIVE is not held back by how busy the server is: it is cheap, and it was here
// before.
func (l *limiter) admit(f *Facts, asks bool) (done func(), d Decision, ok bool) {
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
	if known || !asks {
		return func() {}, Decision{}, true
	}
	if full := l.asking.take(key, limits.Registrations); full != "" {
		return nil, turnAway(f, CauseRegistrations, full+" (limits.registrations)"), false
	}
	return func() { l.asking.give(key) }, Decision{}, true
}

// enrol takes the share of a device that is about to be registered.
func (l *limiter) enrol(f *Facts) (done func(), d Decision, ok bool) {
	most := l.limits.Load().Registrations
	if l.enrolling.Add(1) > int64(most) {
		l.enrolling.Add(-1)
		return nil, turnAway(f, CauseRegistrations, fmt.Sprintf("%d devices are being registered (limits.registrations)", most)), false
	}
	return func() { l.enrolling.Add(-1) }, Decision{}, true
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
