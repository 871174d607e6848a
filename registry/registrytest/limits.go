package registrytest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

var limitTests = map[string]func(*testing.T, registry.Engine){
	"documents of one update": testMaxDocs,
	"bytes of one update":     testMaxBytes,
	"a limit that is ignored": testIgnoredLimit,
}

// testMaxDocs writes, overwrites and deletes as many documents as one update may.
func testMaxDocs(t *testing.T, e registry.Engine) {
	name := func(i int) string { return fmt.Sprintf("%04d", i) }
	full := func(i, round int) registry.Doc {
		return doc(name(i), unique(byName, name(i)), entry(byOwner, fmt.Sprint(i%7, round)),
			entry("a", fmt.Sprint(round, i)), entry("b", fmt.Sprint(round)))
	}
	writes := map[string]func(registry.Tx, int) error{
		"create": func(tx registry.Tx, i int) error { return tx.Put(things, full(i, 0)) },
		"overwrite": func(tx registry.Tx, i int) error {
			old, err := tx.Get(things, name(i))
			if err != nil {
				return err
			}
			d := full(i, 1)
			d.Version = old.Version
			return tx.Put(things, d)
		},
		"delete": func(tx registry.Tx, i int) error { return tx.Delete(things, name(i)) },
	}
	for _, step := range []string{"create", "overwrite", "delete"} {
		if step != "create" {
			put(t, e, full(registry.MaxTxDocs, 0)) // so that there is one too many
		}
		loop := func(n int) error {
			return e.Update(t.Context(), func(tx registry.Tx) error {
				for i := range n {
					if err := writes[step](tx, i); err != nil {
						return fmt.Errorf("%s %d: %w", step, i, err)
					}
				}
				return nil
			})
		}
		before := seq(t, e)
		wantErr(t, step+" one too many", loop(registry.MaxTxDocs+1), registry.ErrTooLarge)
		if got := seq(t, e); got != before {
			t.Errorf("%s: the update that failed made change %d", step, got)
		}
		if step != "create" {
			remove(t, e, name(registry.MaxTxDocs))
		}
		if err := loop(registry.MaxTxDocs); err != nil {
			t.Errorf("%s as many as allowed: %v", step, err)
		}
	}
	wantIDs(t, "by name", list(t, e, registry.Query{Index: byName}))
}

func testMaxBytes(t *testing.T, e registry.Engine) {
	sized := func(id string, n int) registry.Doc {
		return registry.Doc{ID: id, JSON: bytes.Repeat([]byte("x"), n)}
	}
	const nearly = registry.MaxTxBytes - 4096
	put(t, e, sized("a", nearly))
	if d := get(t, e, "a"); len(d.JSON) != nearly {
		t.Errorf("%d bytes of %d came back", len(d.JSON), nearly)
	}
	for name, docs := range map[string][]registry.Doc{
		"one document":  {sized("b", registry.MaxTxBytes+1)},
		"two documents": {sized("b", registry.MaxTxBytes/2), sized("c", registry.MaxTxBytes/2+1)},
		"index keys":    {doc("b", largeIndex()...)},
	} {
		err := e.Update(t.Context(), func(tx registry.Tx) error { return putAll(tx, docs...) })
		wantErr(t, name, err, registry.ErrTooLarge)
	}
	wantIDs(t, "all", list(t, e, registry.Query{}), "a")
}

// largeIndex is more than registry.MaxTxBytes of index keys.
func largeIndex() (index []registry.Entry) {
	const size = 4096
	for i := range registry.MaxTxBytes/size + 1 {
		index = append(index, registry.Entry{Index: byName, Key: bytes.Repeat([]byte{byte(i)}, size+i/256)})
	}
	return index
}

func testIgnoredLimit(t *testing.T, e registry.Engine) {
	err := e.Update(t.Context(), func(tx registry.Tx) error {
		if err := tx.Put(things, doc("a")); err != nil {
			return err
		}
		large := registry.Doc{ID: "b", JSON: make([]byte, registry.MaxTxBytes+1)}
		wantErr(t, "Put", tx.Put(things, large), registry.ErrTooLarge)
		return nil
	})
	wantErr(t, "Update that ignored it", err, registry.ErrTooLarge)
	missing(t, e, "a", "b")
}
