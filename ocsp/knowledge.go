package ocsp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
)

// knowledge is what is known of certificates: in memory, and in the Cache
// behind it.
type knowledge struct {
	cfg   Config
	log   zerolog.Logger
	turns turns

	mu     sync.Mutex // guards memory
	memory memory
}

// turns has a lock for the certificates of each first byte. It is held from
// judging an answer by what is known until it is kept: of two answers, the
// Cache must not end up with the one that memory refused.
type turns [256]sync.Mutex

func (t *turns) take(cert id) (release func()) {
	m := &t[cert[0]]
	m.Lock()
	return m.Unlock
}

// current returns what memory holds under key, if that has not lapsed.
func (k *knowledge) current(key id) (entry, bool) {
	now := k.cfg.Now()
	k.mu.Lock()
	e := k.memory.entries[key]
	k.mu.Unlock()
	e.answer.Source = SourceMemory
	return e, e.current(now)
}

// recall reads the Cache into memory and returns what is current then.
func (k *knowledge) recall(ctx context.Context, in *inquiry) (entry, bool) {
	if k.cfg.Cache == nil {
		return entry{}, false
	}
	der, err := k.cfg.Cache.Answer(ctx, in.cert.String())
	if err != nil {
		if !errors.Is(err, muster.ErrNotFound) {
			k.log.Warn().Err(err).Msg("the kept OCSP answer could not be read")
		}
		return entry{}, false
	}
	now := k.cfg.Now()
	v, err := judge(der, in.Leaf, in.Issuer, now, k.cfg.Limits)
	e := entry{answer: v.answer}
	e.answer.Source = SourceCache
	switch {
	case err == nil && (e.answer.Final() || now.Before(e.answer.Expires)):
		return k.settle(in, e, nil)
	case v.answer.Status != NotAsked: // it lapsed, and still says how new another must be
		e.until = now
		k.mu.Lock()
		if _, ok := k.memory.entries[in.cert]; !ok {
			k.memory.put(in.cert, e, now)
		}
		k.mu.Unlock()
	}
	return entry{}, false
}

// settle lets a signed answer, good or revoked, take the place of what is
// known if it may, in memory and, with its DER, in the Cache. It returns what
// is known then, and whether that is current.
func (k *knowledge) settle(in *inquiry, e entry, der []byte) (entry, bool) {
	defer k.turns.take(in.cert)()
	now := k.cfg.Now()
	k.mu.Lock()
	was := k.memory.entries[in.cert]
	k.mu.Unlock()
	stays := was
	stays.answer.Source = SourceMemory
	if !was.yields(e.answer, now) {
		return stays, was.current(now)
	}
	if was.current(now) && was.repeats(e.answer) {
		if e.answer.Source != SourceResponder {
			return stays, true
		}
		der = nil // the Cache has it
	}
	if der != nil {
		k.keep(in, e.answer, der)
	}
	e.until = k.until(e.answer, now)
	e.answer.Refresh = k.refreshAt(in.cert, e.answer, now)
	k.mu.Lock()
	k.memory.put(in.cert, e, now)
	k.mu.Unlock()
	return e, true
}

// keep hands a response to the Cache. That the answer is used does not depend
// on it, nor does the time it may take on what the responder left over.
func (k *knowledge) keep(in *inquiry, a Answer, der []byte) {
	if k.cfg.Cache == nil {
		return
	}
	expires := a.Expires
	if a.Final() {
		expires = in.Leaf.NotAfter.Add(24 * time.Hour) // with room for clocks
	}
	ctx, cancel := context.WithTimeout(context.Background(), k.cfg.Timeout)
	defer cancel()
	if err := k.cfg.Cache.PutAnswer(ctx, in.cert.String(), der, expires); err != nil {
		k.log.Error().Err(err).Stringer("status", a.Status).Msg("the OCSP answer could not be kept")
	}
}

// fail remembers for a while that a question had no answer that proves
// anything.
func (k *knowledge) fail(in *inquiry, a Answer, until time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.memory.put(in.self, entry{answer: a, until: until}, k.cfg.Now())
}

// until returns how long memory holds a signed answer. One from the Cache is
// read again after a while, for only the Cache knows when it was fetched, on
// which Limits.Keep counts.
func (k *knowledge) until(a Answer, now time.Time) time.Time {
	if a.Final() {
		return time.Time{}
	}
	if retry := now.Add(k.cfg.Retry); a.Expires.Before(retry) {
		return retry
	}
	if reread := now.Add(k.cfg.MaxAge); a.Source == SourceCache && reread.Before(a.Expires) {
		return reread
	}
	return a.Expires
}
