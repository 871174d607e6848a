package registrytest

import (
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

var uniqueTests = map[string]func(*testing.T, registry.Engine){
	"a taken key is refused":      testUniqueTaken,
	"a key is freed":              testUniqueFreed,
	"within one closure":          testUniqueInClosure,
	"keys that begin one another": testUniquePrefixes,
}

// wantTaken fails the test unless putting d fails for a key that is taken.
func wantTaken(t *testing.T, e registry.Engine, d registry.Doc) {
	t.Helper()
	err := e.Update(t.Context(), func(tx registry.Tx) error { return tx.Put(things, d) })
	wantErr(t, "unique key of another", err, registry.ErrDocExists)
}

func testUniqueTaken(t *testing.T, e registry.Engine) {
	put(t, e, doc("a", unique(byName, "n")), doc("b", unique(byName, "m")))
	wantTaken(t, e, doc("c", entry(byOwner, "o"), unique(byName, "n")))
	missing(t, e, "c")
	wantIDs(t, "what the refused one had", list(t, e, registry.Query{Index: byOwner}))

	b := get(t, e, "b")
	b.Index = []registry.Entry{unique(byName, "n")}
	wantTaken(t, e, b)
	wantIDs(t, "by name", list(t, e, registry.Query{Index: byName}), "b", "a")

	put(t, e, get(t, e, "a"), doc("c", unique(byOwner, "n")))
	update(t, e, func(tx registry.Tx) error { return tx.Put("other", doc("d", unique(byName, "n"))) })
}

func testUniqueFreed(t *testing.T, e registry.Engine) {
	put(t, e, doc("a", unique(byName, "n"), unique(byName, "m")))
	a := get(t, e, "a")
	a.Index = []registry.Entry{unique(byName, "m")}
	put(t, e, a)
	put(t, e, doc("b", unique(byName, "n")))
	wantTaken(t, e, doc("c", unique(byName, "m")))
	remove(t, e, "a")
	put(t, e, doc("c", unique(byName, "m")))
	wantIDs(t, "by name", list(t, e, registry.Query{Index: byName}), "c", "b")
}

func testUniqueInClosure(t *testing.T, e registry.Engine) {
	put(t, e, doc("a", unique(byName, "n")))
	update(t, e, func(tx registry.Tx) error {
		wantErr(t, "taken before", tx.Put(things, doc("b", unique(byName, "n"))), registry.ErrDocExists)
		if err := tx.Delete(things, "a"); err != nil {
			return err
		}
		if err := tx.Put(things, doc("b", unique(byName, "n"))); err != nil {
			return err
		}
		wantErr(t, "taken within", tx.Put(things, doc("c", unique(byName, "n"))), registry.ErrDocExists)
		return nil
	})
	wantIDs(t, "by name", list(t, e, registry.Query{Index: byName}), "b")
	wantTaken(t, e, doc("d", unique(byName, "n")))
}

func testUniquePrefixes(t *testing.T, e registry.Engine) {
	keys := oddStrings()
	for _, key := range keys {
		put(t, e, doc("of "+key, unique(byName, key)))
	}
	for _, key := range keys {
		wantTaken(t, e, doc("another of "+key, unique(byName, key)))
	}
}
