package badgerdb

import (
	"bytes"
	"slices"
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

// FuzzKeyOrder: keys of badger are ordered as (index key, ID), end where their
// parts end, and begin as their prefixes.
func FuzzKeyOrder(f *testing.F) {
	f.Add("", "", "", "\x00")
	f.Add("a", "\x00\x01b", "a\x00\x01b", "")
	f.Add("a", "x", "a\x00", "x")
	f.Add("\xff", "", "\xff\x00", "\x00\xff")
	f.Fuzz(func(t *testing.T, keyA, idA, keyB, idB string) {
		full := func(key, id string) []byte {
			return indexKey("kind", registry.Entry{Index: "index", Key: []byte(key)}, id)
		}
		want := slices.Compare([]string{keyA, idA}, []string{keyB, idB})
		if got := bytes.Compare(full(keyA, idA), full(keyB, idB)); got != want {
			t.Errorf("(%q, %q) against (%q, %q) is %d, want %d", keyA, idA, keyB, idB, got, want)
		}
		rest, ok := skipPart(full(keyA, idA)[len(indexScan("kind", "index")):])
		if !ok || string(rest) != idA {
			t.Errorf("(%q, %q): the ID read is %q, %v", keyA, idA, rest, ok)
		}
		s, err := newSpan("kind", registry.Query{Index: "index", Prefix: []byte(keyB)})
		if err != nil {
			t.Fatal(err)
		}
		key := full(keyA, idA)
		in := bytes.Compare(key, s.lo) >= 0 && bytes.Compare(key, s.hi) < 0
		if want := bytes.HasPrefix([]byte(keyA), []byte(keyB)); in != want {
			t.Errorf("key %q is in the span of prefix %q: %v, want %v", keyA, keyB, in, want)
		}
	})
}

// FuzzCursor: no cursor of a stranger does more than begin somewhere.
func FuzzCursor(f *testing.F) {
	f.Add([]byte("i"), true)
	f.Add([]byte("ia\x00\x01id"), false)
	f.Add([]byte("d"), true)
	f.Fuzz(func(t *testing.T, cursor []byte, desc bool) {
		for _, index := range []string{"", "index"} {
			q := registry.Query{Index: index, After: cursor, Desc: desc, Prefix: []byte("p")}
			s, err := newSpan("kind", q)
			if err != nil {
				continue
			}
			if !bytes.HasPrefix(s.lo, s.scan) || bytes.Compare(s.hi, successor(s.scan)) > 0 {
				t.Errorf("cursor %q leads out of its scan: %q to %q", cursor, s.lo, s.hi)
			}
		}
	})
}

// FuzzDocument: a stored value that is damaged is an error; one that decodes
// encodes to what it was.
func FuzzDocument(f *testing.F) {
	f.Add(encodeDoc(registry.Doc{Version: 7, JSON: []byte("{}"), Index: []registry.Entry{
		{Index: "i", Key: []byte("k"), Unique: true}, {Index: "j"},
	}}))
	f.Add([]byte{documentFormat, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decodeDoc("id", b)
		if err != nil {
			return
		}
		again, err := decodeDoc("id", encodeDoc(d))
		if err != nil || !bytes.Equal(encodeDoc(again), encodeDoc(d)) {
			t.Errorf("%q decodes to %v, then to %v, %v", b, d, again, err)
		}
	})
}
