package pace

import "time"

// Recent is a map that keeps what was used lately, in two generations: what is
// used moves to the young one, and when that is full or old it becomes the old
// one, whose entries are dropped. A flood of new keys pushes out what nobody uses
// and leaves what is in use.
//
// The caller sees to it that one goroutine at a time uses it.
type Recent[K comparable, V any] struct {
	keys       int
	age        time.Duration
	turned     time.Time // when young began
	young, old map[K]V
}

// NewRecent makes an empty map with so many keys in each generation, which lasts
// as long as age: what was not used for that time may be forgotten, and after
// twice that it is.
func NewRecent[K comparable, V any](keys int, age time.Duration) *Recent[K, V] {
	return &Recent[K, V]{keys: keys, age: age, young: map[K]V{}}
}

// Get returns the value of a key, which is thereby used.
func (r *Recent[K, V]) Get(key K, now time.Time) (V, bool) {
	r.turn(now)
	if v, ok := r.young[key]; ok {
		return v, true
	}
	v, ok := r.old[key]
	if ok {
		r.Put(key, v, now)
	}
	return v, ok
}

// Put sets the value of a key.
func (r *Recent[K, V]) Put(key K, value V, now time.Time) {
	r.turn(now)
	if _, known := r.young[key]; !known && len(r.young) >= r.keys {
		r.old, r.young, r.turned = r.young, map[K]V{}, now
	}
	r.young[key] = value
}

// turn begins a generation when the young one is old.
func (r *Recent[K, V]) turn(now time.Time) {
	past := now.Sub(r.turned)
	if past < r.age {
		return
	}
	r.old = nil
	if past < 2*r.age {
		r.old = r.young
	}
	r.young, r.turned = map[K]V{}, now
}
