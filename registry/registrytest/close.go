package registrytest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

var closeTests = map[string]func(*testing.T, registry.Engine){
	"a closed engine says so":   testClosed,
	"closing wakes subscribers": testCloseWakes,
	"closing among updates":     testCloseAmongUpdates,
}

func testClosed(t *testing.T, e registry.Engine) {
	put(t, e, doc("a"))
	if err := e.Err(); err != nil {
		t.Errorf("Err of an open engine: %v", err)
	}
	if err := e.Verify(t.Context()); err != nil {
		t.Errorf("Verify of a sound engine: %v", err)
	}
	for range 2 {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	no := func() error {
		t.Error("a closure ran after Close")
		return nil
	}
	ctx := t.Context()
	wantErr(t, "View", e.View(ctx, func(registry.Reader) error { return no() }), registry.ErrClosed)
	wantErr(t, "Update", e.Update(ctx, func(registry.Tx) error { return no() }), registry.ErrClosed)
	after := e.Changes(ctx, 1, func(uint64, registry.Kind, string) error { return no() })
	wantErr(t, "Changes", after, registry.ErrClosed)
	wantErr(t, "Verify", e.Verify(ctx), registry.ErrClosed)
	wantErr(t, "Err", e.Err(), registry.ErrClosed)
}

func testCloseWakes(t *testing.T, e registry.Engine) {
	put(t, e, doc("a"))
	told, done := make(chan struct{}), make(chan error)
	go func() {
		done <- e.Changes(context.Background(), 0, func(uint64, registry.Kind, string) error {
			close(told)
			return nil
		})
	}()
	<-told
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	wantErr(t, "Changes", <-done, registry.ErrClosed)
}

// testCloseAmongUpdates closes while others write and read: each call is
// answered, with nil or ErrClosed.
func testCloseAmongUpdates(t *testing.T, e registry.Engine) {
	together(func(i int) {
		for j := 0; ; j++ {
			id := fmt.Sprint(i, "-", j)
			err := e.Update(t.Context(), func(tx registry.Tx) error { return tx.Put(things, doc(id)) })
			if err == nil {
				err = e.View(t.Context(), func(r registry.Reader) error {
					_, err := r.Get(things, id)
					return err
				})
			}
			if err == nil && i == 0 && j == 3 {
				err = e.Close()
			}
			if err != nil && !errors.Is(err, registry.ErrClosed) {
				t.Error(err)
			}
			if err != nil {
				return
			}
		}
	})
}

// testReopen closes an engine and opens it again.
func testReopen(t *testing.T, e registry.Engine, reopen func() registry.Engine) {
	put(t, e, doc("a", unique(byName, "a"), entry(byOwner, "o")), doc("b"), doc("gone", unique(byName, "gone")))
	put(t, e, get(t, e, "b"))
	remove(t, e, "gone")
	last := seq(t, e)
	a, b := get(t, e, "a"), get(t, e, "b")
	for range 3 {
		e = reopen()
		if got := seq(t, e); got != last {
			t.Fatalf("Seq = %d after reopening, was %d", got, last)
		}
		for _, want := range []registry.Doc{a, b} {
			if d := difference(get(t, e, want.ID), want); d != "" {
				t.Error(d)
			}
		}
		missing(t, e, "gone")
		wantIDs(t, "by owner", list(t, e, registry.Query{Index: byOwner}), "a")
		wantTaken(t, e, doc("c", unique(byName, "a")))
		CheckEngine(t, e, map[registry.Kind][]string{things: {byName, byOwner}})

		nothing := func(uint64, registry.Kind, string) error { return nil }
		wantErr(t, "Changes from before", e.Changes(t.Context(), last-1, nothing), registry.ErrTooOld)
		put(t, e, b)
		wantChanges(t, follow(t, e, last, 1), change{last + 1, "b"})
		last++
		b = get(t, e, "b")
	}
}
