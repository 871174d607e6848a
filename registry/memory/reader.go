package memory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/muster-mqtt/muster/registry"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

var errEnded = errors.New("memory: reader used after its closure ended")

// reader implements registry.Reader on one state.
type reader struct {
	state
	ended bool
}

func (r *reader) Seq() uint64 { return r.seq }

func (r *reader) Get(k registry.Kind, id string) (registry.Doc, error) {
	if r.ended {
		return registry.Doc{}, errEnded
	}
	doc := r.root.get(docPath(k, id))
	if doc == nil {
		return registry.Doc{}, fmt.Errorf("%s %.80q: %w", k, id, registry.ErrNoDoc)
	}
	return clone(*doc), nil
}

func (r *reader) List(k registry.Kind, q registry.Query) ([]registry.Doc, registry.Cursor, error) {
	if r.ended {
		return nil, nil, errEnded
	}
	lo, hi, err := bounds(k, q)
	if err != nil {
		return nil, nil, err
	}
	limit := q.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	limit = min(limit, maxLimit)

	var page []registry.Doc
	var last path
	var more registry.Cursor
	r.root.walk(lo, hi, q.Desc, func(n *node) bool {
		if len(page) == limit {
			more = cursor(last)
			return false
		}
		if q.OnlyIDs {
			page = append(page, registry.Doc{ID: n.doc.ID})
		} else {
			page = append(page, clone(*n.doc))
		}
		last = n.path
		return true
	})
	return page, more, nil
}

// bounds returns the first path of the query, and the one after its last.
func bounds(k registry.Kind, q registry.Query) (lo, hi path, err error) {
	lo, at := path{docs, string(k)}, 4 // part 4, the ID, has the prefix
	if q.Index != "" {
		lo, at = path{entries, string(k), q.Index}, 3
	}
	hi = lo
	lo[at] = string(q.Prefix)
	if after, ok := successor(q.Prefix); ok {
		hi[at] = after
	} else {
		hi[at-1] += "\x00"
	}
	lo, hi = narrow(lo, hi, at, q)
	if len(q.After) == 0 {
		return lo, hi, nil
	}
	from, err := place(lo, q.After)
	if err != nil {
		return lo, hi, err
	}
	if q.Desc && from.compare(hi) < 0 {
		hi = from
	}
	if !q.Desc && from.compare(lo) >= 0 {
		lo = from.next()
	}
	return lo, hi, nil
}

// narrow holds a range to what lies from From up to To in the part at.
func narrow(lo, hi path, at int, q registry.Query) (path, path) {
	bound := lo
	if bound[at] = string(q.From); q.From != nil && bound.compare(lo) > 0 {
		lo = bound
	}
	if bound[at] = string(q.To); q.To != nil && bound.compare(hi) < 0 {
		hi = bound
	}
	return lo, hi
}

// successor is the smallest string above all that begin with prefix; none if
// prefix has no byte below 0xFF.
func successor(prefix []byte) (string, bool) {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return string(prefix[:i]) + string([]byte{prefix[i] + 1}), true
		}
	}
	return "", false
}

// cursor encodes the place of p: a format byte, the length of the key, the key
// and the ID.
func cursor(p path) registry.Cursor {
	c := binary.AppendUvarint([]byte{1}, uint64(len(p[3])))
	return append(append(c, p[3]...), p[4]...)
}

// place is the inverse of cursor, within the table, kind and index of p.
func place(p path, c registry.Cursor) (path, error) {
	if c[0] != 1 {
		return p, registry.ErrCursor
	}
	size, n := binary.Uvarint(c[1:])
	if n <= 0 || size > uint64(len(c)-1-n) {
		return p, registry.ErrCursor
	}
	rest := string(c[1+n:])
	p[3], p[4] = rest[:size], rest[size:]
	return p, nil
}

func docPath(k registry.Kind, id string) path { return path{docs, string(k), "", "", id} }

func clone(d registry.Doc) registry.Doc {
	d.JSON = bytes.Clone(d.JSON)
	d.Index = slices.Clone(d.Index)
	for i := range d.Index {
		d.Index[i].Key = bytes.Clone(d.Index[i].Key)
	}
	return d
}
