package registrytest

import (
	"context"
	"errors"
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

var updateTests = map[string]func(*testing.T, registry.Engine){
	"a closure sees its own writes":       testOwnWrites,
	"others see only what is committed":   testIsolation,
	"a view is one state":                 testViewState,
	"a closure that fails writes nothing": testDropped,
	"a refused put writes nothing":        testRefusedPut,
	"a panic is the caller's error":       testPanic,
	"an update inside an update":          testNested,
	"a closure without writes":            testEmpty,
	"a context that ended before":         testContextBefore,
	"a context that ends while waiting":   testContextWaiting,
	"a context that ends after the start": testContextAfter,
	"a reader outlives its closure":       testReaderEnded,
}

func testOwnWrites(t *testing.T, e registry.Engine) {
	put(t, e, doc("a", unique(byName, "a")), doc("b", unique(byName, "b")))
	before := seq(t, e)
	update(t, e, func(tx registry.Tx) error {
		if tx.Seq() != before {
			t.Errorf("Seq before the first write = %d, want %d", tx.Seq(), before)
		}
		if err := errors.Join(tx.Delete(things, "a"), tx.Put(things, doc("c", unique(byName, "a")))); err != nil {
			return err
		}
		c, err := tx.Get(things, "c")
		if err != nil {
			return err
		}
		if c.Version != before+1 || tx.Seq() != before+1 {
			t.Errorf("version %d and Seq %d, want %d", c.Version, tx.Seq(), before+1)
		}
		_, err = tx.Get(things, "a")
		wantErr(t, "Get of what was deleted", err, registry.ErrNoDoc)
		wantErr(t, "Delete of what was deleted", tx.Delete(things, "a"), registry.ErrNoDoc)
		c.JSON = []byte("again")
		if err := tx.Put(things, c); err != nil {
			return err
		}
		names, err := listAll(tx, things, registry.Query{Index: byName, Limit: 1})
		wantIDs(t, "by name", names, "c", "b")
		return err
	})
	if c := get(t, e, "c"); string(c.JSON) != "again" || c.Version != before+1 || seq(t, e) != before+1 {
		t.Errorf("stored version %d with %q, Seq %d", c.Version, c.JSON, seq(t, e))
	}
}

func testIsolation(t *testing.T, e registry.Engine) {
	put(t, e, doc("a"))
	before := seq(t, e)
	update(t, e, func(tx registry.Tx) error {
		if err := errors.Join(tx.Delete(things, "a"), tx.Put(things, doc("b", entry(byName, "b")))); err != nil {
			return err
		}
		// Views are allowed within a closure.
		missing(t, e, "b")
		get(t, e, "a")
		wantIDs(t, "by name", list(t, e, registry.Query{Index: byName}))
		if got := seq(t, e); got != before {
			t.Errorf("Seq of a view = %d, want %d", got, before)
		}
		return nil
	})
	missing(t, e, "a")
	get(t, e, "b")
}

func testViewState(t *testing.T, e registry.Engine) {
	put(t, e, doc("a", entry(byName, "a")))
	view(t, e, func(r registry.Reader) error {
		before := r.Seq()
		// Updates are allowed within a view.
		remove(t, e, "a")
		put(t, e, doc("b", entry(byName, "b")))
		if _, err := r.Get(things, "a"); err != nil {
			t.Errorf("Get of what was deleted after the view began: %v", err)
		}
		_, err := r.Get(things, "b")
		wantErr(t, "Get of what was put after the view began", err, registry.ErrNoDoc)
		for _, index := range []string{"", byName} {
			ids, err := listAll(r, things, registry.Query{Index: index})
			if err != nil {
				return err
			}
			wantIDs(t, "list", ids, "a")
		}
		if r.Seq() != before {
			t.Errorf("Seq went from %d to %d within a view", before, r.Seq())
		}
		return nil
	})
	wantErr(t, "View", e.View(t.Context(), func(registry.Reader) error { return errFailure }), errFailure)
}

func testDropped(t *testing.T, e registry.Engine) {
	put(t, e, doc("a", unique(byName, "a")))
	want := get(t, e, "a")
	before := seq(t, e)
	err := e.Update(t.Context(), func(tx registry.Tx) error {
		a := want
		a.Index = []registry.Entry{unique(byName, "other")}
		err := errors.Join(tx.Put(things, a), tx.Put(things, doc("b", unique(byName, "a"))), tx.Delete(things, "a"))
		if err != nil {
			t.Errorf("writes: %v", err)
		}
		return errFailure
	})
	wantErr(t, "Update", err, errFailure)
	missing(t, e, "b")
	if d := difference(get(t, e, "a"), want); d != "" {
		t.Error(d)
	}
	wantIDs(t, "by name", list(t, e, registry.Query{Index: byName}), "a")
	wantTaken(t, e, doc("c", unique(byName, "a")))
	put(t, e, doc("c", unique(byName, "other")))
	if got := seq(t, e); got != before+1 {
		t.Errorf("Seq = %d, want %d: a closure that fails takes no sequence", got, before+1)
	}
}

func testRefusedPut(t *testing.T, e registry.Engine) {
	put(t, e, doc("a", unique(byName, "a")))
	update(t, e, func(tx registry.Tx) error {
		wantErr(t, "Put", tx.Put(things, doc("b", entry(byOwner, "o"), unique(byName, "a"))), registry.ErrDocExists)
		wantErr(t, "Put", tx.Put(things, doc("a", entry(byOwner, "o"))), registry.ErrDocExists)
		return tx.Put(things, doc("c"))
	})
	wantIDs(t, "by owner", list(t, e, registry.Query{Index: byOwner}))
	wantIDs(t, "by ID", list(t, e, registry.Query{}), "a", "c")
}

func testPanic(t *testing.T, e registry.Engine) {
	err := e.Update(t.Context(), func(tx registry.Tx) error {
		if err := tx.Put(things, doc("a")); err != nil {
			t.Error(err)
		}
		panic("on purpose")
	})
	if err == nil {
		t.Error("Update whose closure panicked returned nil")
	}
	missing(t, e, "a")
	put(t, e, doc("a"))
}

func testNested(t *testing.T, e registry.Engine) {
	update(t, e, func(tx registry.Tx) error {
		inner := func(registry.Tx) error {
			t.Error("the inner closure ran")
			return nil
		}
		wantErr(t, "inner Update", e.Update(t.Context(), inner), registry.ErrNested)
		return tx.Put(things, doc("a"))
	})
	get(t, e, "a")
	// Another goroutine's Update is not nested, however long the first one takes.
	release := blocked(e, func(tx registry.Tx) error { return tx.Put(things, doc("b")) })
	other := make(chan error)
	go func() {
		other <- e.Update(context.Background(), func(tx registry.Tx) error { return tx.Put(things, doc("c")) })
	}()
	if err := errors.Join(release(), <-other); err != nil {
		t.Error(err)
	}
	wantIDs(t, "all", list(t, e, registry.Query{}), "a", "b", "c")
}

func testEmpty(t *testing.T, e registry.Engine) {
	put(t, e, doc("a"))
	before := seq(t, e)
	update(t, e, func(tx registry.Tx) error {
		_, err := tx.Get(things, "a")
		return err
	})
	if got := seq(t, e); got != before {
		t.Errorf("Seq went from %d to %d without a write", before, got)
	}
}

func testContextBefore(t *testing.T, e registry.Engine) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := e.Update(ctx, func(tx registry.Tx) error { return tx.Put(things, doc("a")) })
	wantErr(t, "Update", err, context.Canceled)
	missing(t, e, "a")
}

func testContextWaiting(t *testing.T, e registry.Engine) {
	release := blocked(e, func(tx registry.Tx) error { return tx.Put(things, doc("first")) })
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() {
		waiting <- e.Update(ctx, func(tx registry.Tx) error { return tx.Put(things, doc("second")) })
	}()
	cancel()
	// It returns although the first closure still runs.
	wantErr(t, "waiting Update", <-waiting, context.Canceled)
	if err := release(); err != nil {
		t.Error(err)
	}
	wantIDs(t, "all", list(t, e, registry.Query{}), "first")
}

func testContextAfter(t *testing.T, e registry.Engine) {
	ctx, cancel := context.WithCancel(t.Context())
	err := e.Update(ctx, func(tx registry.Tx) error {
		cancel()
		return tx.Put(things, doc("a"))
	})
	if err != nil {
		t.Errorf("Update = %v, want nil: the context counts until the closure starts", err)
	}
	get(t, e, "a")
}

func testReaderEnded(t *testing.T, e registry.Engine) {
	put(t, e, doc("a"))
	var reader registry.Reader
	var writer registry.Tx
	view(t, e, func(r registry.Reader) error { reader = r; return nil })
	update(t, e, func(tx registry.Tx) error { writer = tx; return nil })
	for name, use := range map[string]func() error{
		"Get":       func() error { _, err := reader.Get(things, "a"); return err },
		"List":      func() error { _, _, err := reader.List(things, registry.Query{}); return err },
		"Tx.Get":    func() error { _, err := writer.Get(things, "a"); return err },
		"Tx.Put":    func() error { return writer.Put(things, doc("b")) },
		"Tx.Delete": func() error { return writer.Delete(things, "a") },
	} {
		if use() == nil {
			t.Errorf("%s works after the closure ended", name)
		}
	}
	wantIDs(t, "all", list(t, e, registry.Query{}), "a")
}
