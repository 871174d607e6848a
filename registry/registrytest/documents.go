package registrytest

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

var documentTests = map[string]func(*testing.T, registry.Engine){
	"what was put is got":              testRoundTrip,
	"what is returned is the caller's": testOwned,
	"versions":                         testVersions,
	"kinds are apart":                  testKinds,
	"delete":                           testDelete,
	"overwriting replaces entries":     testReplacedEntries,
	"any bytes are an ID":              testOddIDs,
	"a bad document is refused":        testBadDocuments,
}

func testRoundTrip(t *testing.T, e registry.Engine) {
	want := doc("a", unique(byName, "n"), entry(byOwner, "o"), entry(byOwner, "p"))
	put(t, e, want, doc("bare"), registry.Doc{ID: "empty"})
	want.Version = seq(t, e)
	if d := difference(get(t, e, "a"), want); d != "" {
		t.Error(d)
	}
	if d := difference(get(t, e, "empty"), registry.Doc{ID: "empty", Version: want.Version}); d != "" {
		t.Error(d)
	}
	missing(t, e, "", "A", "aa", "b")
}

func testOwned(t *testing.T, e registry.Engine) {
	given := doc("a", entry(byName, "n"))
	put(t, e, given)
	want := get(t, e, "a")
	spoil := func(d registry.Doc) {
		d.JSON[0], d.Index[0].Key[0], d.Index[0].Index = '!', '!', "!"
		_ = append(d.Index[0].Key, "!!!!!!!!!!!!!!!!"...)
	}
	spoil(given)
	spoil(get(t, e, "a"))
	view(t, e, func(r registry.Reader) error {
		page, _, err := r.List(things, registry.Query{Index: byName})
		if err != nil {
			return err
		}
		spoil(page[0])
		return nil
	})
	update(t, e, func(tx registry.Tx) error {
		d := get(t, e, "a")
		if err := tx.Put(things, d); err != nil {
			return err
		}
		spoil(d)
		own, err := tx.Get(things, "a")
		if err != nil {
			return err
		}
		spoil(own)
		return nil
	})
	want.Version = seq(t, e)
	if d := difference(get(t, e, "a"), want); d != "" {
		t.Error(d)
	}
	wantIDs(t, "by name", list(t, e, registry.Query{Index: byName, Prefix: []byte("n")}), "a")
}

func testVersions(t *testing.T, e registry.Engine) {
	put(t, e, doc("a"))
	first := get(t, e, "a")
	refused := func(what string, d registry.Doc, version uint64, want error) {
		t.Helper()
		d.Version = version
		err := e.Update(t.Context(), func(tx registry.Tx) error { return tx.Put(things, d) })
		wantErr(t, what, err, want)
	}
	refused("create again", doc("a"), 0, registry.ErrDocExists)
	refused("overwrite a version to come", first, first.Version+1, registry.ErrDocConflict)
	refused("overwrite what is not there", doc("b"), first.Version, registry.ErrDocConflict)

	second := first
	second.JSON = []byte(`{"second":true}`)
	put(t, e, second)
	second.Version = seq(t, e)
	if second.Version <= first.Version {
		t.Errorf("overwriting version %d made version %d", first.Version, second.Version)
	}
	if d := difference(get(t, e, "a"), second); d != "" {
		t.Error(d)
	}
	refused("overwrite an old version", first, first.Version, registry.ErrDocConflict)
	remove(t, e, "a")
	refused("overwrite what was deleted", second, second.Version, registry.ErrDocConflict)
	put(t, e, doc("a"))
	if again := get(t, e, "a"); again.Version <= second.Version {
		t.Errorf("created again, version %d is not above %d", again.Version, second.Version)
	}
}

func testKinds(t *testing.T, e registry.Engine) {
	// A kind that begins another, and one that holds what might separate them.
	kinds := []registry.Kind{"k", "ki", "k\x00", "k\x00\x01", "k\xff", ""}
	for i, k := range kinds {
		update(t, e, func(tx registry.Tx) error {
			return tx.Put(k, doc("a", unique("i", "x"), entry("i\x00", "x"), entry("i\xff", string(rune('0'+i)))))
		})
	}
	update(t, e, func(tx registry.Tx) error { return tx.Delete(kinds[0], "a") })
	view(t, e, func(r registry.Reader) error {
		for i, k := range kinds {
			for _, index := range []string{"", "i", "i\x00", "i\xff"} {
				ids, err := listAll(r, k, registry.Query{Index: index})
				if err != nil {
					return err
				}
				if want := min(i, 1); len(ids) != want {
					t.Errorf("kind %q, index %q has %q, want %d", k, index, ids, want)
				}
			}
		}
		return nil
	})
}

func testDelete(t *testing.T, e registry.Engine) {
	put(t, e, doc("a", entry(byName, "n")), doc("b", entry(byName, "n")))
	remove(t, e, "a")
	missing(t, e, "a")
	wantIDs(t, "by ID", list(t, e, registry.Query{}), "b")
	wantIDs(t, "by name", list(t, e, registry.Query{Index: byName}), "b")
	err := e.Update(t.Context(), func(tx registry.Tx) error { return tx.Delete(things, "a") })
	wantErr(t, "delete again", err, registry.ErrNoDoc)
	update(t, e, func(tx registry.Tx) error {
		if err := tx.Put(things, doc("c", entry(byName, "n"))); err != nil {
			return err
		}
		return tx.Delete(things, "c")
	})
	missing(t, e, "c")
	wantIDs(t, "by name", list(t, e, registry.Query{Index: byName}), "b")
}

func testReplacedEntries(t *testing.T, e registry.Engine) {
	put(t, e, doc("a", entry(byName, "old"), entry(byName, "kept"), entry(byOwner, "o")))
	d := get(t, e, "a")
	d.Index = []registry.Entry{entry(byName, "new"), entry(byName, "kept"), entry(byName, "kept")}
	put(t, e, d)
	for prefix, want := range map[string][]string{"old": nil, "kept": {"a"}, "new": {"a"}, "": {"a", "a"}} {
		q := registry.Query{Index: byName, Prefix: []byte(prefix)}
		wantIDs(t, "by name "+prefix, list(t, e, q), want...)
	}
	wantIDs(t, "by owner", list(t, e, registry.Query{Index: byOwner}))
	remove(t, e, "a")
	wantIDs(t, "by name, after the end", list(t, e, registry.Query{Index: byName}))
}

func testOddIDs(t *testing.T, e registry.Engine) {
	ids := oddStrings()
	for _, id := range ids {
		put(t, e, registry.Doc{ID: id, JSON: []byte(id), Index: []registry.Entry{entry(byName, "same")}})
	}
	for _, id := range ids {
		if d := get(t, e, id); d.ID != id || !bytes.Equal(d.JSON, []byte(id)) {
			t.Errorf("Get(%q) = %q with %q", id, d.ID, d.JSON)
		}
	}
	wantIDs(t, "of one key", list(t, e, registry.Query{Index: byName, Limit: 2}), ids...)
	for i, id := range ids {
		remove(t, e, id)
		wantIDs(t, "after delete", list(t, e, registry.Query{}), ids[i+1:]...)
	}
}

func testBadDocuments(t *testing.T, e registry.Engine) {
	long := strings.Repeat("x", 64<<10)
	for name, d := range map[string]registry.Doc{
		"index without a name": doc("a", entry("", "k")),
		"ID of 64 KiB":         doc(long),
		"key of 64 KiB":        doc("a", entry(byName, "first"), entry(byName, long)),
	} {
		err := e.Update(t.Context(), func(tx registry.Tx) error {
			if err := tx.Put(things, d); err == nil {
				return errors.New("not refused")
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantIDs(t, "all", list(t, e, registry.Query{}))
	wantIDs(t, "by name", list(t, e, registry.Query{Index: byName}))
	put(t, e, doc(long[:4096], entry(byName, long[:4096]), entry(byName, strings.Repeat("\x00", 4096))))
	wantIDs(t, "long keys", list(t, e, registry.Query{Index: byName}), long[:4096], long[:4096])
}
