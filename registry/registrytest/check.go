package registrytest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

// CheckEngine fails the test unless, within one view, each named index of each
// kind lists exactly what the kind's documents say, in order, forwards and
// backwards; IDs are in order; no version is above Seq; and no unique key is
// held twice.
func CheckEngine(t testing.TB, e registry.Engine, indexes map[registry.Kind][]string) {
	t.Helper()
	view(t, e, func(r registry.Reader) error {
		for k, names := range indexes {
			docs, err := walk(r, k, registry.Query{})
			if err != nil {
				return err
			}
			checkDocs(t, r, k, docs)
			for _, name := range names {
				if err := checkIndex(t, r, k, name, docs); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func walk(r registry.Reader, k registry.Kind, q registry.Query) (docs []registry.Doc, err error) {
	for {
		page, next, err := r.List(k, q)
		if err != nil {
			return nil, err
		}
		docs = append(docs, page...)
		if q.After = next; next == nil {
			return docs, nil
		}
	}
}

func checkDocs(t testing.TB, r registry.Reader, k registry.Kind, docs []registry.Doc) {
	t.Helper()
	holder := map[string]string{}
	for i, d := range docs {
		if i > 0 && docs[i-1].ID >= d.ID {
			t.Errorf("%s: %q is listed after %q", k, d.ID, docs[i-1].ID)
		}
		if d.Version == 0 || d.Version > r.Seq() {
			t.Errorf("%s %q: version %d, with Seq %d", k, d.ID, d.Version, r.Seq())
		}
		got, err := r.Get(k, d.ID)
		if diff := difference(got, d); err != nil || diff != "" {
			t.Errorf("%s %q: Get gives %v, %s", k, d.ID, err, diff)
		}
		for _, e := range d.Index {
			place := fmt.Sprintf("%q %q", e.Index, e.Key)
			if other, ok := holder[place]; e.Unique && ok && other != d.ID {
				t.Errorf("%s: %s is held by %q and %q", k, place, other, d.ID)
			}
			if e.Unique {
				holder[place] = d.ID
			}
		}
	}
}

func checkIndex(t testing.TB, r registry.Reader, k registry.Kind, name string, docs []registry.Doc) error {
	t.Helper()
	type place struct {
		key []byte
		id  string
	}
	var want []place
	for _, d := range docs {
		for _, e := range d.Index {
			if e.Index == name {
				want = append(want, place{e.Key, d.ID})
			}
		}
	}
	compare := func(a, b place) int { return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(a.id, b.id)) }
	slices.SortFunc(want, compare)
	want = slices.CompactFunc(want, func(a, b place) bool { return compare(a, b) == 0 })
	ids := make([]string, len(want))
	for i, p := range want {
		ids[i] = p.id
	}
	for _, desc := range []bool{false, true} {
		got, err := listAll(r, k, registry.Query{Index: name, Limit: 1000, Desc: desc})
		if err != nil {
			return err
		}
		if !slices.Equal(got, ids) {
			t.Errorf("%s: index %q (desc %v) lists %q, the documents say %q", k, name, desc, got, ids)
		}
		slices.Reverse(ids)
	}
	return nil
}
