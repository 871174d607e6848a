package admission

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/muster-mqtt/muster"
)

// Bounds of what is told of refusals. A device that is refused connects again
// and again, and strangers are as many as they like.
const (
	toldInterval   = time.Minute // between two events of one certificate and reason
	maxTold        = 10_000      // certificates and reasons that are remembered for that
	strangerEvents = 10          // a second, of all strangers together
	strangerBurst  = 50
	crowdEvents    = 10 // a second, of those for whom there is no room in what is remembered
)

// teller tells of refusals at a bounded rate.
type teller struct {
	tell      func(muster.Event) // nil: nobody listens
	strangers *rate.Limiter
	crowd     *rate.Limiter

	mu   sync.Mutex
	told map[toldKey]toldEntry
}

type toldKey struct {
	kind        muster.EventType
	certificate string
	reason      muster.Reason
}

type toldEntry struct {
	at   time.Time
	held int // those since that were not told
}

func newTeller(tell func(muster.Event)) *teller {
	return &teller{
		tell: tell, told: map[toldKey]toldEntry{},
		strangers: rate.NewLimiter(strangerEvents, strangerBurst), crowd: rate.NewLimiter(crowdEvents, crowdEvents),
	}
}

// of tells of a refusal unless one like it was just told of.
func (t *teller) of(kind muster.EventType, r muster.Refusal, status muster.Status) {
	if t.tell == nil {
		return
	}
	count := t.count(toldKey{kind, r.CertificateID, r.Reason}, r.Time, r.Account == "")
	if count == 0 {
		return
	}
	t.tell(muster.Event{
		Type: kind, Time: r.Time, Account: r.Account, CertificateID: r.CertificateID, AuthorityID: r.AuthorityID,
		Status: status, Reason: r.Reason, Detail: r.Detail, ClientID: r.ClientID, Remote: r.Remote, Count: count,
	})
}

// count returns how many refusals the next event stands for; 0: it is not the
// time for one.
func (t *teller) count(k toldKey, now time.Time, stranger bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, known := t.told[k]
	if known && now.Sub(e.at) < toldInterval {
		e.held++
		t.told[k] = e
		return 0
	}
	if stranger && !t.strangers.AllowN(now, 1) || !known && !t.makeRoom(now) {
		if known {
			e.held++
			t.told[k] = e
		}
		return 0
	}
	t.told[k] = toldEntry{at: now}
	return e.held + 1
}

// makeRoom sees to it that one more can be remembered: in place of one, among a
// few that the map's random order picks, that may be told of again anyway; or else
// of any, but seldom, for who is forgotten is told of each time. It reports whether
// there is room. The caller holds the lock.
func (t *teller) makeRoom(now time.Time) bool {
	if len(t.told) < maxTold {
		return true
	}
	const look = 8
	seen := 0
	for k, e := range t.told {
		if now.Sub(e.at) >= toldInterval {
			delete(t.told, k)
			return true
		}
		if seen++; seen < look {
			continue
		}
		if !t.crowd.AllowN(now, 1) {
			return false
		}
		delete(t.told, k)
		return true
	}
	return true
}

// Closed remembers a live connection that was closed, and what for, so that it
// can be explained later.
func (g *Gate) Closed(c *Candidate, d Decision, clientID string) {
	g.remember(c, d, clientID, c.factsAgainst(), muster.EventClosed)
}

// factsAgainst are those that a candidate was refused for last.
func (c *Candidate) factsAgainst() Facts {
	if c.against != nil {
		if against := c.against.Load(); against != nil {
			return *against
		}
	}
	return c.Facts
}
