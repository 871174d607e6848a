package registry

import (
	"context"
	"fmt"
)

// Sweep runs one sweep.
func (s *Store) Sweep(ctx context.Context) error { return s.sweep(ctx) }

// CountAll counts the certificates as Run does.
func (s *Store) CountAll(ctx context.Context) error { return s.countCertificates(ctx) }

// CacheLoad fills a cache of a size with that many values and returns how many
// it holds, and whether the one that was asked for all along is still there.
func CacheLoad(size, values int) (held int, hot bool) {
	c := newCache[int](size)
	reads := 0
	for i := range values {
		c.load(fmt.Sprint("key-", i), func() (int, error) { return i, nil })
		c.load("hot", func() (int, error) { reads++; return 0, nil })
	}
	for i := range c.shards {
		keys := map[string]bool{}
		for k := range c.shards[i].young {
			keys[k] = true
		}
		for k := range c.shards[i].old {
			keys[k] = true
		}
		held += len(keys)
	}
	return held, reads == 1
}

// OccupyPairs takes all the places of those who make key pairs, until it is called back.
func (s *Store) OccupyPairs() (leave func()) {
	for range cap(s.issuing.pairs) {
		s.issuing.pairs <- struct{}{}
	}
	return func() {
		for range cap(s.issuing.pairs) {
			<-s.issuing.pairs
		}
	}
}

// CreateIssuing makes an issuing authority as who finds none does, and returns the
// certificate of the one that stays.
func (s *Store) CreateIssuing(ctx context.Context, account string) (pem string, err error) {
	doc, err := s.createIssuing(ctx, account)
	return doc.PEM, err
}
