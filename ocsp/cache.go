package ocsp

import (
	"context"
	"time"

	"github.com/muster-mqtt/muster"
)

// Cache keeps responses over restarts. Methods may be called from several
// goroutines at once. What it returns is validated anew: it is trusted no
// further than the signature goes.
type Cache interface {
	// Answer returns the bytes that PutAnswer was last given under key, or
	// muster.ErrNotFound. Whether it still does after they expired is its own
	// affair.
	Answer(ctx context.Context, key string) ([]byte, error)
	// PutAnswer keeps a response, at least until it expires, in place of
	// another under that key. A final revocation is given to expire after the
	// certificate does, and must not be dropped earlier.
	PutAnswer(ctx context.Context, key string, der []byte, expires time.Time) error
}

// memory keeps answers at hand: those that were signed under the id of their
// certificate, whoever gave them, and failures under that of the question. It
// has no lock of its own.
type memory struct {
	max     int
	entries map[id]entry
}

// entry is an answer in memory. One that lapsed may still be there: it says
// how new another must be to take its place.
type entry struct {
	answer Answer
	until  time.Time // zero: it does not lapse
	nonced bool      // it had a nonce of ours
	tries  int       // to refresh it, which failed
}

func newMemory(max int) memory { return memory{max: max, entries: map[id]entry{}} }

func (m memory) put(key id, e entry, now time.Time) {
	if _, ok := m.entries[key]; !ok && len(m.entries) >= m.max {
		m.evict(now)
	}
	m.entries[key] = e
}

// evict makes room for one by dropping, among a few that the map's random order
// picks, one that has lapsed or else the one least missed: an account of who
// was used when would cost more than to ask now and then once too often.
func (m memory) evict(now time.Time) {
	const look = 8
	var victim id
	least, seen := 0, 0
	for key, e := range m.entries {
		if value := e.value(now); seen == 0 || value < least {
			victim, least = key, value
		}
		if seen++; seen == look {
			break
		}
	}
	delete(m.entries, victim)
}

// value ranks what an entry is worth keeping.
func (e entry) value(now time.Time) int {
	switch {
	case !e.current(now):
		return 0
	case e.answer.Final():
		return 3
	case e.answer.proves():
		return 2
	}
	return 1
}

// current reports whether the entry answers now. The zero entry does not.
func (e entry) current(now time.Time) bool {
	return e.answer.Status != NotAsked && (e.until.IsZero() || now.Before(e.until))
}

// counts reports whether the entry answers where nonces are used so. A final
// revocation always does.
func (e entry) counts(mode muster.OCSPNonce) bool {
	return e.nonced || e.answer.Final() || mode != muster.OCSPNonceRequired
}

// yields reports whether a signed answer takes the entry's place. A final
// revocation yields to nothing. Time does not run backwards: while the entry is
// current, and after that too if it is a hold, an older answer is none. One
// older than a good one that lapsed counts if a responder gave it, for of
// several servers behind one name some lag, and each bounds by its own
// nextUpdate how long it may be repeated; from a device it does not.
func (e entry) yields(a Answer, now time.Time) bool {
	switch k := e.answer; {
	case k.Status == NotAsked:
		return true
	case k.Final():
		return false
	case a.Final() || a.ThisUpdate.After(k.ThisUpdate):
		return true
	case a.ThisUpdate.Equal(k.ThisUpdate):
		return !k.Hold || a.Hold
	default:
		return !k.Hold && !e.current(now) && a.Source != SourceBrought
	}
}

// repeats reports whether the entry says what an answer says, at least as long.
func (e entry) repeats(a Answer) bool {
	k := e.answer
	return a.Status == k.Status && a.Hold == k.Hold && a.ThisUpdate.Equal(k.ThisUpdate) &&
		a.NextUpdate.Equal(k.NextUpdate) && !a.Expires.After(k.Expires)
}
