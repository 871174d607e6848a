package registrytest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

var concurrentTests = map[string]func(*testing.T, registry.Engine){
	"no increment is lost":        testIncrements,
	"no eleventh of one subject":  testPhantom,
	"one of many creates":         testOneCreates,
	"failing closures in between": testFailingBetween,
	"views never see half":        testHalf,
}

const callers = 64

// together runs fn in callers goroutines and waits for them.
func together(fn func(caller int)) {
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

func testIncrements(t *testing.T, e registry.Engine) {
	const each = 20
	put(t, e, registry.Doc{ID: "n", JSON: make([]byte, 8)})
	together(func(int) {
		for range each {
			err := e.Update(t.Context(), func(tx registry.Tx) error {
				d, err := tx.Get(things, "n")
				if err != nil {
					return err
				}
				binary.BigEndian.PutUint64(d.JSON, binary.BigEndian.Uint64(d.JSON)+1)
				return tx.Put(things, d)
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	if n := binary.BigEndian.Uint64(get(t, e, "n").JSON); n != callers*each {
		t.Errorf("the counter is %d after %d increments", n, callers*each)
	}
}

func testPhantom(t *testing.T, e registry.Engine) {
	const most = 10
	q := registry.Query{Index: byName, Prefix: []byte("subject")}
	together(func(i int) {
		for j := range 3 {
			err := e.Update(t.Context(), func(tx registry.Tx) error {
				docs, _, err := tx.List(things, q)
				if err != nil || len(docs) >= most {
					return err
				}
				return tx.Put(things, doc(fmt.Sprint(i, "-", j), entry(byName, "subject")))
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	if got := list(t, e, q); len(got) != most {
		t.Errorf("%d documents of one subject, want %d", len(got), most)
	}
}

// testOneCreates has all callers create one document: one does, and once any
// Update has answered, the document is there for everyone.
func testOneCreates(t *testing.T, e registry.Engine) {
	var mu sync.Mutex
	created := map[string]int{}
	together(func(int) {
		for round := range 5 {
			id := fmt.Sprint("round ", round)
			err := e.Update(t.Context(), func(tx registry.Tx) error {
				return tx.Put(things, doc(id, unique(byName, id)))
			})
			if err != nil && !errors.Is(err, registry.ErrDocExists) {
				t.Error(err)
			}
			if get(t, e, id).ID == "" {
				t.Errorf("%s is not there after Update answered %v", id, err)
			}
			if err == nil {
				mu.Lock()
				created[id]++
				mu.Unlock()
			}
		}
	})
	for id, n := range created {
		if n != 1 {
			t.Errorf("%s was created %d times", id, n)
		}
	}
	if len(created) != 5 {
		t.Errorf("%d documents were created, want 5", len(created))
	}
}

// testFailingBetween has every other closure fail after it wrote. What it wrote
// must not show in the others, which may share its commit.
func testFailingBetween(t *testing.T, e registry.Engine) {
	together(func(i int) {
		for j := range 10 {
			fails := (i+j)%2 == 1
			err := e.Update(t.Context(), func(tx registry.Tx) error {
				bad, _, err := tx.List(things, registry.Query{Index: byOwner, Prefix: []byte("bad")})
				if err != nil || len(bad) > 0 {
					return fmt.Errorf("%d documents of closures that failed, %v", len(bad), err)
				}
				owner := map[bool]string{true: "bad", false: "good"}[fails]
				id := fmt.Sprint(i, "-", j)
				if err := tx.Put(things, doc(id, entry(byOwner, owner), unique(byName, id))); err != nil {
					return err
				}
				if fails {
					return errFailure
				}
				return nil
			})
			if want := map[bool]error{true: errFailure}[fails]; !errors.Is(err, want) {
				t.Errorf("Update = %v, want %v", err, want)
			}
		}
	})
	if got := list(t, e, registry.Query{Index: byOwner}); len(got) != callers*5 {
		t.Errorf("%d documents, want %d", len(got), callers*5)
	}
	CheckEngine(t, e, map[registry.Kind][]string{things: {byName, byOwner}})
}

// testHalf moves one unit between two documents; their sum never changes.
func testHalf(t *testing.T, e registry.Engine) {
	put(t, e, registry.Doc{ID: "a", JSON: []byte{100}}, registry.Doc{ID: "b", JSON: []byte{100}})
	pair := func(r registry.Reader) (a, b registry.Doc, err error) {
		a, errA := r.Get(things, "a")
		b, errB := r.Get(things, "b")
		return a, b, errors.Join(errA, errB)
	}
	together(func(i int) {
		for range 10 {
			err := e.Update(t.Context(), func(tx registry.Tx) error {
				a, b, err := pair(tx)
				if err != nil {
					return err
				}
				a.JSON[0]++
				b.JSON[0]--
				return putAll(tx, a, b)
			})
			if err != nil {
				t.Error(err)
			}
			view(t, e, func(r registry.Reader) error {
				a, b, err := pair(r)
				if err == nil && a.JSON[0]+b.JSON[0] != 200 {
					t.Errorf("a view sees %d and %d", a.JSON[0], b.JSON[0])
				}
				return err
			})
		}
	})
}
