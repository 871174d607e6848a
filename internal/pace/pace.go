// Package pace bounds how often something may happen, each key by itself: so
// many times a second, and twice as many in a burst. Its memory is bounded too,
// for keys are what strangers choose: the addresses they come from, above all.
//
// Package broker paces connects by address and in all, package admission by
// authority.
package pace

import (
	"sync"
	"sync/atomic"
	"time"
)

// burst is how many seconds' worth a key may use at once. After as long without
// use its bucket is full again, and nothing is lost when it is forgotten.
const burst = 2

// Rates holds a token bucket for each key. Make it with New; it is safe for
// concurrent use.
type Rates[K comparable] struct {
	perSecond atomic.Int64

	mu      sync.Mutex
	buckets *Recent[K, bucket]
}

type bucket struct {
	tokens float64
	at     time.Time // when there were so many
}

// New makes the buckets of a rate above zero. It remembers about as many keys as
// given, twice that at most; one that is pushed out by others begins anew.
func New[K comparable](perSecond, keys int) *Rates[K] {
	r := &Rates[K]{buckets: NewRecent[K, bucket](keys, burst*time.Second)}
	r.Set(perSecond)
	return r
}

// Set changes the rate, at once and for all keys.
func (r *Rates[K]) Set(perSecond int) { r.perSecond.Store(int64(perSecond)) }

// Allow takes one from the rate of a key, and reports whether there was one.
// What is refused costs nothing: who keeps trying gets what the rate gives.
func (r *Rates[K]) Allow(key K) bool {
	rate := float64(r.perSecond.Load())
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	b, ok := r.buckets.Get(key, now)
	if !ok {
		b = bucket{burst * rate, now}
	}
	b.tokens = min(burst*rate, b.tokens+rate*now.Sub(b.at).Seconds())
	b.at = now
	allowed := b.tokens >= 1
	if allowed {
		b.tokens--
	}
	r.buckets.Put(key, b, now)
	return allowed
}
