package badgerdb

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/muster-mqtt/muster/registry"
)

// Beside what they hold, a document and an index entry count for this many
// bytes of registry.MaxTxBytes. That also keeps every stored value below 1 MiB,
// badger's threshold for the value log.
const (
	docCost   = 64
	entryCost = 16
)

// maxKey bounds IDs and index keys, in bytes: badger's keys end at 65,000, and
// escaping may double them.
const maxKey = 8 << 10

// tx implements registry.Tx for one closure of a group.
type tx struct {
	reader
	next     uint64   // the closure's sequence, if it writes
	changes  []change // what it wrote, in order
	bytes    int
	room     budget // of the overlay
	tooLarge error  // set once a limit was passed; then the closure fails, whatever it returns
}

// budget bounds what one badger transaction takes.
type budget struct {
	writes int
	bytes  int64
}

func (b budget) fits(o *overlay) bool { return len(o.writes) <= b.writes && o.size <= b.bytes }

// run runs a closure. A panic in it is its caller's error, with the stack; it
// must not end the others of the group.
func (t *tx) run(fn func(registry.Tx) error) (err error) {
	defer func() {
		t.ended = true
		if r := recover(); r != nil {
			err = fmt.Errorf("badgerdb: update closure panicked: %v\n%s", r, debug.Stack())
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	return t.tooLarge
}

func (t *tx) Seq() uint64 {
	if len(t.changes) > 0 {
		return t.next
	}
	return t.next - 1
}

func (t *tx) Put(k registry.Kind, d registry.Doc) error {
	old, err := t.get(k, d.ID)
	if err == nil {
		err = t.check(k, d, old)
	}
	if err == nil {
		d.Version = t.next
		t.over.add(&write{key: docKey(k, d.ID), value: encodeDoc(d)})
		err = t.written(k, d.ID, old, &d)
	}
	if err != nil {
		return fmt.Errorf("put %s %.80q: %w", k, d.ID, err)
	}
	return nil
}

func (t *tx) Delete(k registry.Kind, id string) error {
	old, err := t.get(k, id)
	if err == nil && old == nil {
		err = registry.ErrNoDoc
	}
	if err == nil {
		err = t.count(registry.Doc{ID: id})
	}
	if err == nil {
		t.over.add(&write{key: docKey(k, id), deleted: true})
		err = t.written(k, id, old, nil)
	}
	if err != nil {
		return fmt.Errorf("delete %s %.80q: %w", k, id, err)
	}
	return nil
}

// check says whether d may take the place of old, which is nil if there is none.
func (t *tx) check(k registry.Kind, d registry.Doc, old *registry.Doc) error {
	switch {
	case len(d.ID) > maxKey:
		return fmt.Errorf("ID of more than %d bytes: %w", maxKey, registry.ErrTooLarge)
	case d.Version == 0 && old != nil:
		return registry.ErrDocExists
	case d.Version != 0 && (old == nil || old.Version != d.Version):
		return registry.ErrDocConflict
	}
	for _, e := range d.Index {
		if e.Index == "" {
			return errors.New("index entry without an index name")
		}
		if len(e.Key) > maxKey {
			return fmt.Errorf("%s key of more than %d bytes: %w", e.Index, maxKey, registry.ErrTooLarge)
		}
		if !e.Unique {
			continue
		}
		holder, err := t.value(uniqueKey(k, e))
		if err != nil {
			return err
		}
		if holder != nil && string(holder[1:]) != d.ID {
			return fmt.Errorf("%s key of %.80q: %w", e.Index, holder[1:], registry.ErrDocExists)
		}
	}
	return t.count(d)
}

// count holds the closure to the limits of one update.
func (t *tx) count(d registry.Doc) error {
	t.bytes += docCost + len(d.ID) + len(d.JSON)
	for _, e := range d.Index {
		t.bytes += entryCost + len(e.Index) + len(e.Key)
	}
	if len(t.changes) == registry.MaxTxDocs || t.bytes > registry.MaxTxBytes {
		t.tooLarge = registry.ErrTooLarge
	}
	return t.tooLarge
}

// written replaces the index entries of old by those of new, either of which may
// be nil, and notes the change.
func (t *tx) written(k registry.Kind, id string, old, new *registry.Doc) error {
	before, after := entryWrites(k, old), entryWrites(k, new)
	for key := range before {
		if _, kept := after[key]; !kept {
			t.over.add(&write{key: []byte(key), deleted: true})
		}
	}
	for key, value := range after {
		if _, kept := before[key]; !kept {
			t.over.add(&write{key: []byte(key), value: value})
		}
	}
	t.changes = append(t.changes, change{t.next, k, id})
	if !t.room.fits(t.over) {
		t.tooLarge = fmt.Errorf("index entries of one update: %w", registry.ErrTooLarge)
	}
	return t.tooLarge
}

// entryWrites returns the keys and values that stand for a document's entries.
// The value of a unique one is the ID after a byte that keeps it from being empty.
func entryWrites(k registry.Kind, d *registry.Doc) map[string][]byte {
	if d == nil {
		return nil
	}
	writes := make(map[string][]byte, len(d.Index))
	for _, e := range d.Index {
		writes[string(indexKey(k, e, d.ID))] = nil
		if e.Unique {
			writes[string(uniqueKey(k, e))] = append([]byte{1}, d.ID...)
		}
	}
	return writes
}
