package badgerdb

import (
	"bytes"
	"slices"
)

// write is one key's state in an overlay.
type write struct {
	key, value []byte
	deleted    bool
}

// writeCost is what badger adds to a key and a value, at most, in bytes.
const writeCost = 16

func (w *write) size() int64 { return int64(len(w.key) + len(w.value) + writeCost) }

// overlay holds what a group of closures wrote over the stored state. The
// writes of the closure that runs can be undone.
type overlay struct {
	writes []*write // ordered by key; pointers, for an insertion moves half of them
	size   int64    // of all writes
	undo   []undo   // how to take back what the closure that runs did, last first
}

// undo tells the state of a key before a write: absent if it was not in the
// overlay.
type undo struct {
	*write
	absent bool
}

// find returns the place of a key, or the place where it belongs.
func (o *overlay) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(o.writes, key, func(w *write, key []byte) int {
		return bytes.Compare(w.key, key)
	})
}

// between returns the writes from lo up to but not including hi.
func (o *overlay) between(lo, hi []byte) []*write {
	from, _ := o.find(lo)
	to, _ := o.find(hi)
	return o.writes[from:max(from, to)]
}

func (o *overlay) add(w *write) {
	i, found := o.find(w.key)
	if found {
		o.undo = append(o.undo, undo{write: o.writes[i]})
		o.size += w.size() - o.writes[i].size()
		o.writes[i] = w
		return
	}
	o.undo = append(o.undo, undo{write: w, absent: true})
	o.size += w.size()
	o.writes = slices.Insert(o.writes, i, w)
}

// keep makes the closure's writes part of the group.
func (o *overlay) keep() { o.undo = o.undo[:0] }

// drop takes the closure's writes back.
func (o *overlay) drop() {
	for _, u := range slices.Backward(o.undo) {
		i, _ := o.find(u.key)
		o.size -= o.writes[i].size()
		if u.absent {
			o.writes = slices.Delete(o.writes, i, i+1)
			continue
		}
		o.size += u.size()
		o.writes[i] = u.write
	}
	o.keep()
}
