package registrytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

var pageTests = map[string]func(*testing.T, registry.Engine){
	"order of odd keys":           testOrder,
	"limits":                      testPageLimits,
	"malformed cursors":           testMalformedCursors,
	"writes between pages":        testStableCursor,
	"a closure's own writes":      testOrderInClosure,
	"a cursor outside the prefix": testForeignCursor,
	"from and to":                 testRange,
	"a document of several keys":  testSeveralKeys,
	"IDs alone":                   testOnlyIDs,
}

// testOnlyIDs compares lists with and without documents, also within a closure.
func testOnlyIDs(t *testing.T, e registry.Engine) {
	put(t, e, doc("b", entry(byName, "x"), unique(byOwner, "o")), doc("c", entry(byName, "y"), entry(byName, "x")))
	check := func(r registry.Reader) error {
		for _, q := range []registry.Query{{}, {Index: byName}, {Index: byName, Desc: true}, {Index: byOwner}, {Index: byName, Prefix: []byte("x")}} {
			q.Limit = 1
			whole, err := listAll(r, things, q)
			if err != nil {
				return err
			}
			q.OnlyIDs = true
			ids, err := listAll(r, things, q)
			if err != nil {
				return err
			}
			wantIDs(t, fmt.Sprintf("IDs of %+v", q), ids, whole...)
			page, _, err := r.List(things, q)
			if err != nil {
				return err
			}
			if d := difference(page[0], registry.Doc{ID: page[0].ID}); d != "" {
				t.Errorf("%+v lists more than an ID: %s", q, d)
			}
		}
		return nil
	}
	view(t, e, check)
	update(t, e, func(tx registry.Tx) error {
		if err := putAll(tx, doc("a", entry(byName, "z"), unique(byOwner, "n"))); err != nil {
			return err
		}
		return check(tx)
	})
}

// oddStrings are strings that catch wrong escaping, in byte order.
func oddStrings() []string {
	s := []string{
		"", "\x00", "\x00\x00", "\x00\x01", "\x00\x01\x00", "\x00\xff", "\x01", "\x01\x00",
		"a", "a\x00", "a\x00\x00", "a\x00\x01", "a\x00\x01b", "a\x00\xff", "a\x00b", "a\x01",
		"aa", "ab", "a\xff", "a\xff\xff", "b", "\xfe", "\xff", "\xff\x00", "\xff\x01", "\xff\xff", "\xff\xff\xff",
	}
	slices.Sort(s)
	return s
}

// place is one place of an index.
type place struct{ key, id string }

// testOrder compares every odd prefix, direction and page size with a sorted slice.
func testOrder(t *testing.T, e registry.Engine) {
	var places []place
	for i, key := range oddStrings() {
		for _, id := range []string{"\x00", "x", "\xff"} {
			places = append(places, place{key, fmt.Sprintf("%s%d", id, i)})
		}
	}
	for _, p := range places {
		put(t, e, doc(p.id, entry(byName, p.key), entry(byName+"\x00", "other")))
	}
	view(t, e, func(r registry.Reader) error { return checkOrder(t, r, places) })
}

func checkOrder(t *testing.T, r registry.Reader, places []place) error {
	for _, index := range []string{byName, ""} {
		for _, prefix := range append(oddStrings(), "x", "\xff1", "a\x00\x01b\x00") {
			for _, limit := range []int{1, 7, 1000} {
				for _, desc := range []bool{false, true} {
					want := wanted(places, index, prefix, desc)
					q := registry.Query{Index: index, Prefix: []byte(prefix), Desc: desc, Limit: limit}
					got, err := listAll(r, things, q)
					if err != nil {
						return fmt.Errorf("%+v: %w", q, err)
					}
					wantIDs(t, fmt.Sprintf("%+v", q), got, want...)
				}
			}
		}
	}
	return nil
}

// testRange compares every pair of odd bounds with a sorted slice.
func testRange(t *testing.T, e registry.Engine) {
	var places []place
	for _, key := range oddStrings() {
		places = append(places, place{key, "id" + key})
	}
	for _, p := range places {
		put(t, e, doc(p.id, entry(byName, p.key)))
	}
	view(t, e, func(r registry.Reader) error {
		for _, from := range oddStrings() {
			for _, to := range oddStrings() {
				for _, prefix := range []string{"", "a", "\xff"} {
					if err := checkRange(t, r, places, from, to, prefix); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

func checkRange(t *testing.T, r registry.Reader, places []place, from, to, prefix string) error {
	for _, desc := range []bool{false, true} {
		for index, before := range map[string]string{"": "id", byName: ""} { // what the IDs begin with
			want := slices.DeleteFunc(wanted(places, byName, prefix, desc), func(id string) bool {
				return id < "id"+from || id >= "id"+to
			})
			q := registry.Query{
				Index: index, Prefix: []byte(before + prefix), From: []byte(before + from), To: []byte(before + to),
				Desc: desc, Limit: 4,
			}
			got, err := listAll(r, things, q)
			if err != nil {
				return fmt.Errorf("%+v: %w", q, err)
			}
			wantIDs(t, fmt.Sprintf("%+v", q), got, want...)
		}
	}
	return nil
}

// wanted is the naive answer to a query.
func wanted(places []place, index, prefix string, desc bool) (ids []string) {
	places = slices.Clone(places)
	slices.SortFunc(places, func(a, b place) int {
		if index == "" {
			return cmp.Compare(a.id, b.id)
		}
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.id, b.id))
	})
	for _, p := range places {
		if by := map[string]string{"": p.id, byName: p.key}[index]; strings.HasPrefix(by, prefix) {
			ids = append(ids, p.id)
		}
	}
	if desc {
		slices.Reverse(ids)
	}
	return ids
}

// testOrderInClosure mixes what is stored, what the closure changed, and what
// it deleted.
func testOrderInClosure(t *testing.T, e registry.Engine) {
	var places []place
	var later []registry.Doc
	for i, key := range oddStrings() {
		p := place{key, fmt.Sprintf("%c%d", 'a'+i%3, i)}
		d := doc(p.id, entry(byName, p.key))
		switch i % 4 {
		case 0:
			put(t, e, d)
		case 1:
			later = append(later, d)
		case 2:
			put(t, e, doc(p.id, entry(byName, "moved from here")))
			moved := get(t, e, p.id)
			moved.Index = d.Index
			later = append(later, moved)
		case 3:
			put(t, e, doc("gone"+p.id, entry(byName, p.key)))
			continue
		}
		places = append(places, p)
	}
	inClosure := func(tx registry.Tx) error {
		if err := putAll(tx, later...); err != nil {
			return err
		}
		gone, err := listAll(tx, things, registry.Query{Prefix: []byte("gone")})
		if err != nil {
			return err
		}
		for _, id := range gone {
			if err := tx.Delete(things, id); err != nil {
				return err
			}
		}
		return checkOrder(t, tx, places)
	}
	err := e.Update(t.Context(), func(tx registry.Tx) error {
		if err := inClosure(tx); err != nil {
			return err
		}
		return errFailure
	})
	wantErr(t, "closure", err, errFailure)
	update(t, e, inClosure)
	view(t, e, func(r registry.Reader) error { return checkOrder(t, r, places) })
}

func testPageLimits(t *testing.T, e registry.Engine) {
	const total = 2100
	for i := 0; i < total; i += registry.MaxTxDocs {
		update(t, e, func(tx registry.Tx) error {
			for j := i; j < min(i+registry.MaxTxDocs, total); j++ {
				if err := tx.Put(things, doc(fmt.Sprintf("%05d", j), entry(byName, "n"))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	view(t, e, func(r registry.Reader) error {
		for limit, want := range map[int]int{-1: 100, 0: 100, 1: 1, 999: 999, 1000: 1000, 1001: 1000, 5000: 1000} {
			for _, index := range []string{"", byName} {
				page, next, err := r.List(things, registry.Query{Index: index, Limit: limit})
				if err != nil || len(page) != want || next == nil {
					t.Errorf("limit %d gives %d documents, cursor %x, %v; want %d", limit, len(page), next, err, want)
				}
			}
		}
		// A page that ends with the last document has no cursor.
		page, next, err := r.List(things, registry.Query{Prefix: []byte("000"), Limit: 100})
		if err != nil || len(page) != 100 || next != nil {
			t.Errorf("the only page: %d documents, cursor %x, %v", len(page), next, err)
		}
		return nil
	})
	if got := list(t, e, registry.Query{Index: byName, Limit: 700, Desc: true}); len(got) != total || got[0] != "02099" {
		t.Errorf("all pages have %d documents, want %d", len(got), total)
	}
}

func testMalformedCursors(t *testing.T, e registry.Engine) {
	put(t, e, doc("a", entry(byName, "n")), doc("b", entry(byName, "n")))
	try := func(r registry.Reader, c registry.Cursor, wantError bool) {
		for _, index := range []string{"", byName} {
			for _, desc := range []bool{false, true} {
				_, _, err := r.List(things, registry.Query{Index: index, After: c, Desc: desc})
				if wantError && !errors.Is(err, registry.ErrCursor) {
					t.Errorf("index %q, cursor %q: %v, want ErrCursor", index, c, err)
				}
			}
		}
	}
	view(t, e, func(r registry.Reader) error {
		for _, c := range []string{"not a cursor", "\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "{}"} {
			try(r, registry.Cursor(c), true)
		}
		// What a cursor turns into by accident may be wrong, but harms nothing.
		for _, index := range []string{"", byName} {
			_, c, err := r.List(things, registry.Query{Index: index, Limit: 1})
			if err != nil {
				return err
			}
			for i := range c {
				try(r, c[:i], false)
				for _, b := range []byte{0, 1, 0x7f, 0x80, 0xff} {
					bent := slices.Clone(c)
					bent[i] = b
					try(r, bent, false)
				}
			}
		}
		return nil
	})
}

func testStableCursor(t *testing.T, e registry.Engine) {
	for _, desc := range []bool{false, true} {
		for _, index := range []string{"", byName} {
			for _, id := range []string{"b", "d", "f", "h"} {
				put(t, e, doc(id, entry(byName, id)))
			}
			page := func(after registry.Cursor) (ids []string, next registry.Cursor) {
				view(t, e, func(r registry.Reader) error {
					docs, c, err := r.List(things, registry.Query{Index: index, Desc: desc, Limit: 2, After: after})
					for _, d := range docs {
						ids = append(ids, d.ID)
					}
					next = c
					return err
				})
				return ids, next
			}
			first, next := page(nil)
			// The document at the cursor goes; others come on both sides.
			remove(t, e, first...)
			put(t, e, doc("a", entry(byName, "a")), doc("e", entry(byName, "e")), doc("i", entry(byName, "i")))
			second, next := page(next)
			third, next := page(next)
			want := [][]string{{"b", "d"}, {"e", "f"}, {"h", "i"}}
			if desc {
				want = [][]string{{"h", "f"}, {"e", "d"}, {"b", "a"}}
			}
			for i, got := range [][]string{first, second, third} {
				wantIDs(t, fmt.Sprintf("page %d, index %q, desc %v", i, index, desc), got, want[i]...)
			}
			if next != nil {
				t.Errorf("cursor %x after the last page", next)
			}
			remove(t, e, list(t, e, registry.Query{})...)
		}
	}
}

func testForeignCursor(t *testing.T, e registry.Engine) {
	put(t, e, doc("a", entry(byName, "a")), doc("b1", entry(byName, "b1")), doc("b2", entry(byName, "b2")),
		doc("c", entry(byName, "c")))
	for _, index := range []string{"", byName} {
		all := registry.Query{Index: index, Limit: 1}
		view(t, e, func(r registry.Reader) error {
			_, afterA, err := r.List(things, all)
			if err != nil {
				return err
			}
			all.Desc = true
			_, beforeC, err := r.List(things, all)
			if err != nil {
				return err
			}
			for _, c := range []struct {
				after registry.Cursor
				desc  bool
				want  []string
			}{
				{afterA, false, []string{"b1", "b2"}}, {afterA, true, nil},
				{beforeC, true, []string{"b2", "b1"}}, {beforeC, false, nil},
			} {
				got, err := listAll(r, things, registry.Query{Index: index, Prefix: []byte("b"), After: c.after, Desc: c.desc})
				if err != nil {
					return err
				}
				wantIDs(t, fmt.Sprintf("index %q, desc %v", index, c.desc), got, c.want...)
			}
			return nil
		})
	}
}

func testSeveralKeys(t *testing.T, e registry.Engine) {
	put(t, e, doc("a", entry(byName, "1"), entry(byName, "3")), doc("b", entry(byName, "2"), entry(byName, "2")))
	wantIDs(t, "by name", list(t, e, registry.Query{Index: byName, Limit: 1}), "a", "b", "a")
	wantIDs(t, "by name, descending", list(t, e, registry.Query{Index: byName, Desc: true}), "a", "b", "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, "View whose context ended", e.View(ctx, func(registry.Reader) error { return nil }), context.Canceled)
}
