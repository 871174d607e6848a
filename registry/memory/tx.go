package memory

import (
	"errors"
	"fmt"

	"github.com/muster-mqtt/muster/registry"
)

// Beside what they hold, a document and an index entry count for this many
// bytes of registry.MaxTxBytes.
const (
	docCost   = 64
	entryCost = 16
)

// maxKey bounds IDs and index keys, in bytes.
const maxKey = 8 << 10

// tx implements registry.Tx on a state of its own.
type tx struct {
	reader
	changes  []change
	bytes    int
	tooLarge error // set once a limit was passed; then the closure fails, whatever it returns
}

func (t *tx) Put(k registry.Kind, d registry.Doc) error {
	old := t.root.get(docPath(k, d.ID))
	if err := t.check(k, d, old); err != nil {
		return fmt.Errorf("put %s %.80q: %w", k, d.ID, err)
	}
	t.drop(k, old)
	t.changed(k, d.ID)
	d = clone(d)
	d.Version = t.seq
	t.root = t.root.put(docPath(k, d.ID), &d)
	for _, e := range d.Index {
		t.root = t.root.put(entryPath(k, e, d.ID), &d)
		if e.Unique {
			t.root = t.root.put(uniquePath(k, e), &d)
		}
	}
	return nil
}

func (t *tx) Delete(k registry.Kind, id string) error {
	if t.ended {
		return errEnded
	}
	old := t.root.get(docPath(k, id))
	if old == nil {
		return fmt.Errorf("delete %s %.80q: %w", k, id, registry.ErrNoDoc)
	}
	if err := t.count(registry.Doc{ID: id}); err != nil {
		return fmt.Errorf("delete %s %.80q: %w", k, id, err)
	}
	t.drop(k, old)
	t.changed(k, id)
	return nil
}

// drop removes a document and all that leads to it.
func (t *tx) drop(k registry.Kind, old *registry.Doc) {
	if old == nil {
		return
	}
	t.root = t.root.remove(docPath(k, old.ID))
	for _, e := range old.Index {
		t.root = t.root.remove(entryPath(k, e, old.ID))
		if e.Unique {
			t.root = t.root.remove(uniquePath(k, e))
		}
	}
}

// changed notes a write; the first one takes the next sequence.
func (t *tx) changed(k registry.Kind, id string) {
	if len(t.changes) == 0 {
		t.seq++
	}
	t.changes = append(t.changes, change{t.seq, k, id})
}

// check says whether d may take the place of old, which is nil if there is none.
func (t *tx) check(k registry.Kind, d registry.Doc, old *registry.Doc) error {
	switch {
	case t.ended:
		return errEnded
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
		holder := t.root.get(uniquePath(k, e))
		if e.Unique && holder != nil && holder.ID != d.ID {
			return fmt.Errorf("%s key of %.80q: %w", e.Index, holder.ID, registry.ErrDocExists)
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

func entryPath(k registry.Kind, e registry.Entry, id string) path {
	return path{entries, string(k), e.Index, string(e.Key), id}
}

func uniquePath(k registry.Kind, e registry.Entry) path {
	return path{uniques, string(k), e.Index, string(e.Key), ""}
}
