package badgerdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/muster-mqtt/muster/registry"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

var errEnded = errors.New("badgerdb: reader used after its closure ended")

// reader implements registry.Reader on one badger snapshot, and what a group of
// closures wrote over it.
type reader struct {
	txn   *badger.Txn
	over  *overlay // nil in a view
	seq   uint64   // 0 until it is read
	err   error    // of reading seq
	ended bool
}

// View runs fn on its caller's goroutine.
func (e *Engine) View(ctx context.Context, fn func(registry.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !e.enter() {
		return registry.ErrClosed
	}
	defer e.users.Done()
	r := &reader{txn: e.db.NewTransaction(false)}
	defer r.txn.Discard()
	defer func() { r.ended = true }()
	if err := fn(r); err != nil {
		return err
	}
	return r.err
}

// Seq reads the sequence when it is first asked for. The view fails if that did.
func (r *reader) Seq() uint64 {
	if r.seq == 0 && !r.ended {
		r.seq, r.err = readSeq(r.txn)
	}
	return r.seq
}

func (r *reader) Get(k registry.Kind, id string) (registry.Doc, error) {
	d, err := r.get(k, id)
	if err == nil && d == nil {
		err = registry.ErrNoDoc
	}
	if err != nil {
		return registry.Doc{}, fmt.Errorf("%s %.80q: %w", k, id, err)
	}
	return *d, nil
}

// get returns nil if there is no such document.
func (r *reader) get(k registry.Kind, id string) (*registry.Doc, error) {
	b, err := r.value(docKey(k, id))
	if err != nil || b == nil {
		return nil, err
	}
	d, err := decodeDoc(id, b)
	return &d, err
}

// value returns the caller's own copy of what is stored under key, nil if
// nothing is; nothing that this package stores a value for has an empty one.
func (r *reader) value(key []byte) ([]byte, error) {
	if r.ended {
		return nil, errEnded
	}
	if r.over != nil {
		if i, found := r.over.find(key); found {
			return bytes.Clone(r.over.writes[i].value), nil
		}
	}
	item, err := r.txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

func (r *reader) List(k registry.Kind, q registry.Query) ([]registry.Doc, registry.Cursor, error) {
	s, err := newSpan(k, q)
	if err != nil {
		return nil, nil, err
	}
	limit := q.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	limit = min(limit, maxLimit)
	keys, err := r.keys(s, limit+1)
	if err != nil {
		return nil, nil, err
	}
	var next registry.Cursor
	if len(keys) > limit {
		keys = keys[:limit]
		next = s.cursor(keys[limit-1])
	}
	docs := make([]registry.Doc, len(keys))
	for i, key := range keys {
		id, ok := key[len(s.scan):], true
		if q.Index != "" {
			id, ok = skipPart(id)
		}
		if !ok {
			return nil, nil, fmt.Errorf("%s: entry of index %q: %w", k, q.Index, errDamaged)
		}
		if q.OnlyIDs {
			docs[i].ID = string(id)
			continue
		}
		if docs[i], err = r.Get(k, string(id)); err != nil {
			return nil, nil, fmt.Errorf("listed in index %q: %w", q.Index, err)
		}
	}
	return docs, next, nil
}

// keys returns the first n keys of a span, merging what is stored with the
// overlay.
func (r *reader) keys(s span, n int) ([][]byte, error) {
	if r.ended {
		return nil, errEnded
	}
	stored := walkStored(r.txn, s)
	defer stored.it.Close()
	var over []*write
	if r.over != nil {
		over = r.over.between(s.lo, s.hi)
	}
	if s.desc {
		over = slices.Clone(over)
		slices.Reverse(over)
	}
	var keys [][]byte
	for len(keys) < n {
		key := stored.key()
		if len(over) == 0 {
			if key == nil {
				break
			}
			keys = append(keys, bytes.Clone(key))
			stored.it.Next()
			continue
		}
		switch c := s.compare(key, over[0].key); {
		case key != nil && c < 0:
			keys = append(keys, bytes.Clone(key))
			stored.it.Next()
			continue
		case key != nil && c == 0:
			stored.it.Next()
		}
		if !over[0].deleted {
			keys = append(keys, over[0].key)
		}
		over = over[1:]
	}
	return keys, nil
}

// compare orders keys as the span lists them.
func (s span) compare(a, b []byte) int {
	if s.desc {
		a, b = b, a
	}
	return bytes.Compare(a, b)
}

// storedKeys walks the stored keys of a span.
type storedKeys struct {
	span
	it *badger.Iterator
}

func walkStored(txn *badger.Txn, s span) storedKeys {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: s.scan, Reverse: s.desc})
	if s.desc {
		it.Seek(s.hi) // the last key that is not above hi
	} else {
		it.Seek(s.lo)
	}
	if s.desc && it.Valid() && bytes.Equal(it.Item().Key(), s.hi) {
		it.Next()
	}
	return storedKeys{s, it}
}

// key returns the key that the walk is at, which is valid until the next move;
// nil at the end.
func (c storedKeys) key() []byte {
	if !c.it.Valid() {
		return nil
	}
	key := c.it.Item().Key()
	if bytes.Compare(key, c.lo) < 0 || bytes.Compare(key, c.hi) >= 0 {
		return nil
	}
	return key
}
