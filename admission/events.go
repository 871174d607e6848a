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
)

// teller tells of refusals at a bounded rate.
type teller struct {
	tell      func(muster.Event) // nil: nobody listens
	strangers *rate.Limiter

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
	return &teller{tell: tell, strangers: rate.NewLimiter(strangerEvents, strangerBurst), told: map[toldKey]toldEntry{}}
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
	if stranger && !t.strangers.AllowN(now, 1) {
		return 0
	}
	if !known && len(t.told) >= maxTold {
		for other := range t.told { // any makes room
			delete(t.told, other)
			break
		}
	}
	t.told[k] = toldEntry{at: now}
	return e.held + 1
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
