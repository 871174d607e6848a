package ocsp

import (
	"context"
	"time"
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

// memory keeps answers at hand. It has no lock of its own.
type memory struct {
	max     int
	entries map[string]entry
}

type entry struct {
	answer Answer
	until  time.Time // zero: it does not lapse
}

func newMemory(max int) memory { return memory{max: max, entries: map[string]entry{}} }

func (m memory) get(key string, now time.Time) (Answer, bool) {
	e, ok := m.entries[key]
	if !ok || !e.current(now) {
		return Answer{}, false
	}
	return e.answer, true
}

func (m memory) put(key string, a Answer, until, now time.Time) {
	if _, ok := m.entries[key]; !ok && len(m.entries) >= m.max {
		m.evict(now)
	}
	m.entries[key] = entry{a, until}
}

// evict makes room for one by dropping, among a few that the map's random order
// picks, one that has lapsed or else the one least missed: an account of who
// was used when would cost more than to ask now and then once too often.
func (m memory) evict(now time.Time) {
	const look = 8
	victim, least, seen := "", 0, 0
	for key, e := range m.entries {
		if value := e.value(now); victim == "" || value < least {
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
	case e.answer.Status == Good || e.answer.Status == Revoked:
		return 2
	}
	return 1
}

func (e entry) current(now time.Time) bool { return e.until.IsZero() || now.Before(e.until) }
