package registry

import (
	"hash/maphash"
	"sync"
)

// cacheShards is how many locks a cache has. A write drops the fills that are
// under way in its shard, so it is also how rarely that happens.
const cacheShards = 64

// cache keeps values that were read from the engine, at most about as many as
// it was made for. Its values are shared: who hands one out copies what the
// receiver could alter.
//
// A value that was read before a write and arrives after it must not stay, or a
// revoked certificate would be admitted until it is evicted. Each shard
// therefore counts the writes it was told of; load notes the count before it
// reads, and keeps what it read only if the count is still the same. While a
// write is under way nothing is kept of its key, for others may be told of it
// before the writer's own goroutine runs again.
type cache[V any] struct {
	seed   maphash.Seed
	shards [cacheShards]cacheShard[V]
}

// cacheShard holds two generations: when young is full it becomes old, and what
// was old and not asked for meanwhile is gone.
type cacheShard[V any] struct {
	mu         sync.Mutex
	writes     uint64
	limit      int // entries a generation
	young, old map[string]V
	writing    map[string]int // how many updates write a key at the moment
	writingAll int            // how many write any
}

func newCache[V any](size int) *cache[V] {
	c := &cache[V]{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].limit = max(1, size/(2*cacheShards))
	}
	return c
}

func (c *cache[V]) shard(key string) *cacheShard[V] {
	return &c.shards[maphash.String(c.seed, key)%cacheShards]
}

// load returns the value kept for key, or calls read and keeps what it returns.
func (c *cache[V]) load(key string, read func() (V, error)) (V, error) {
	s := c.shard(key)
	v, writes, ok := s.get(key)
	if ok {
		return v, nil
	}
	v, err := read()
	if err == nil {
		s.fill(key, v, writes)
	}
	return v, err
}

// moment says when an update speaks to the caches.
type moment int

const (
	writeEnds   moment = -1
	writeIsDone moment = 0 // by somebody else
	writeBegins moment = 1 // before it can be seen
)

// drop forgets key, and what load is reading for it at the moment.
func (c *cache[V]) drop(key string, at moment) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	delete(s.young, key)
	delete(s.old, key)
	if s.writing == nil {
		s.writing = make(map[string]int)
	}
	if s.writing[key] += int(at); s.writing[key] == 0 {
		delete(s.writing, key)
	}
}

// clear forgets everything.
func (c *cache[V]) clear(at moment) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.writes++
		s.writingAll += int(at)
		s.young, s.old = nil, nil
		s.mu.Unlock()
	}
}

func (s *cacheShard[V]) get(key string) (v V, writes uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok = s.young[key]; ok {
		return v, s.writes, true
	}
	if v, ok = s.old[key]; ok {
		s.add(key, v)
	}
	return v, s.writes, ok
}

func (s *cacheShard[V]) fill(key string, v V, writes uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writes == writes && s.writingAll == 0 && s.writing[key] == 0 {
		s.add(key, v)
	}
}

// add is called with mu held.
func (s *cacheShard[V]) add(key string, v V) {
	if len(s.young) >= s.limit {
		s.young, s.old = nil, s.young
	}
	if s.young == nil {
		s.young = make(map[string]V)
	}
	s.young[key] = v
}
