package badgerdb

import (
	"bytes"

	"github.com/muster-mqtt/muster/registry"
)

// Keys of badger, where ( ) is an escaped part with its terminator:
//
//	d (kind) id                  the document
//	i (kind) (index) (key) id    an index entry, no value
//	u (kind) (index) (key)       a unique entry, the value is the ID
//	m seq                        the last sequence, 8 bytes, big endian
//
// Escaping keeps the order of parts that hold any byte and begin one another: a
// zero byte becomes 00 FF and a part ends with 00 01, which is below whatever
// may follow a shorter part. A cursor is what follows a scan's prefix in the key
// of its last entry.
const (
	docTable    = 'd'
	indexTable  = 'i'
	uniqueTable = 'u'
)

var seqKey = []byte("mseq")

const (
	escape     = 0x00
	zero       = 0xff // after escape: a zero byte
	terminator = 0x01 // after escape: the end of the part
)

func docScan(k registry.Kind) []byte {
	return appendPart([]byte{docTable}, string(k))
}

func docKey(k registry.Kind, id string) []byte {
	return append(docScan(k), id...)
}

func indexScan(k registry.Kind, index string) []byte {
	return appendPart(appendPart([]byte{indexTable}, string(k)), index)
}

func indexKey(k registry.Kind, e registry.Entry, id string) []byte {
	return append(appendPart(indexScan(k, e.Index), string(e.Key)), id...)
}

func uniqueKey(k registry.Kind, e registry.Entry) []byte {
	key := appendPart(appendPart([]byte{uniqueTable}, string(k)), e.Index)
	return appendPart(key, string(e.Key))
}

func appendPart(b []byte, part string) []byte {
	return append(appendEscaped(b, part), escape, terminator)
}

func appendEscaped(b []byte, part string) []byte {
	for i := range len(part) {
		b = append(b, part[i])
		if part[i] == escape {
			b = append(b, zero)
		}
	}
	return b
}

// skipPart returns what follows the first part of b; false if b does not begin
// with a whole part.
func skipPart(b []byte) ([]byte, bool) {
	for {
		i := bytes.IndexByte(b, escape)
		if i < 0 || i+1 == len(b) {
			return nil, false
		}
		follows := b[i+1]
		b = b[i+2:]
		switch follows {
		case terminator:
			return b, true
		case zero:
		default:
			return nil, false
		}
	}
}

// span is a range of badger keys, from lo up to but not including hi, all of
// which begin with scan.
type span struct {
	scan, lo, hi []byte
	desc         bool
}

// newSpan returns the range that a query asks for.
func newSpan(k registry.Kind, q registry.Query) (span, error) {
	s := span{scan: docScan(k), desc: q.Desc}
	if q.Index != "" {
		s.scan = indexScan(k, q.Index)
	}
	s.lo = s.bound(q, q.Prefix)
	s.hi = successor(s.lo)
	if from := s.bound(q, q.From); q.From != nil && bytes.Compare(from, s.lo) > 0 {
		s.lo = from
	}
	if to := s.bound(q, q.To); q.To != nil && bytes.Compare(to, s.hi) < 0 {
		s.hi = to
	}
	if len(q.After) == 0 {
		return s, nil
	}
	after, err := s.place(q)
	if err != nil {
		return s, err
	}
	if q.Desc && bytes.Compare(after, s.hi) < 0 {
		s.hi = after
	}
	if !q.Desc && bytes.Compare(after, s.lo) >= 0 {
		s.lo = append(after, 0) // the key right after it
	}
	return s, nil
}

// bound is where index keys, or IDs, from part on begin: escaped and without a
// terminator, a part is above all that are smaller, those that it begins with too.
func (s span) bound(q registry.Query, part []byte) []byte {
	if q.Index != "" {
		part = appendEscaped(nil, string(part))
	}
	return concat(s.scan, part)
}

// cursor returns the cursor for the place after key. Its first byte, the table,
// keeps cursors of documents and of indexes apart.
func (s span) cursor(key []byte) registry.Cursor {
	return concat(s.scan[:1], key[len(s.scan):])
}

// place is the inverse of cursor.
func (s span) place(q registry.Query) ([]byte, error) {
	rest := q.After[1:]
	if q.After[0] != s.scan[0] {
		return nil, registry.ErrCursor
	}
	if q.Index != "" {
		if _, ok := skipPart(rest); !ok {
			return nil, registry.ErrCursor
		}
	}
	return concat(s.scan, rest), nil
}

// successor is the smallest key above all that begin with prefix, which begins
// with a table's letter and so has one.
func successor(prefix []byte) []byte {
	last := len(prefix) - 1
	for prefix[last] == 0xff {
		last--
	}
	next := bytes.Clone(prefix[:last+1])
	next[last]++
	return next
}

// concat returns a slice of its own.
func concat(a, b []byte) []byte {
	return append(append(make([]byte, 0, len(a)+len(b)+1), a...), b...)
}
