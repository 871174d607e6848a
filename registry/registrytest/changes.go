package registrytest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

var changeTests = map[string]func(*testing.T, registry.Engine){
	"in commit order":           testChangesInOrder,
	"after a sequence":          testChangesAfter,
	"blocks until there is one": testChangesBlock,
	"many subscribers":          testManySubscribers,
	"fn fails":                  testChangesFnFails,
	"not of failed closures":    testChangesDropped,
	"too old":                   testChangesTooOld,
}

// change is what Changes tells of one write.
type change struct {
	seq uint64
	id  string
}

// follow returns the first n changes after a sequence, waiting for them.
func follow(t testing.TB, e registry.Engine, after uint64, n int) (got []change) {
	t.Helper()
	err := e.Changes(t.Context(), after, func(seq uint64, k registry.Kind, id string) error {
		if k != things {
			return fmt.Errorf("change of kind %q", k)
		}
		if got = append(got, change{seq, id}); len(got) == n {
			return errFailure
		}
		return nil
	})
	wantErr(t, "Changes", err, errFailure)
	return got
}

func wantChanges(t testing.TB, got []change, want ...change) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
}

func testChangesInOrder(t *testing.T, e registry.Engine) {
	start := seq(t, e)
	put(t, e, doc("a"), doc("c"), doc("b"))
	put(t, e, get(t, e, "c"))
	remove(t, e, "a")
	wantChanges(t, follow(t, e, start, 5), change{start + 1, "a"}, change{start + 1, "c"}, change{start + 1, "b"},
		change{start + 2, "c"}, change{start + 3, "a"})
	if got := seq(t, e); got != start+3 {
		t.Errorf("Seq = %d, want %d", got, start+3)
	}
}

func testChangesAfter(t *testing.T, e registry.Engine) {
	start := seq(t, e)
	put(t, e, doc("a"), doc("b"))
	put(t, e, doc("c"))
	put(t, e, doc("d"))
	wantChanges(t, follow(t, e, start+1, 2), change{start + 2, "c"}, change{start + 3, "d"})
}

func testChangesBlock(t *testing.T, e registry.Engine) {
	put(t, e, doc("a"))
	start := seq(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	told, done := make(chan change), make(chan error)
	go func() {
		done <- e.Changes(ctx, start, func(seq uint64, _ registry.Kind, id string) error {
			told <- change{seq, id}
			return nil
		})
	}()
	for i, id := range []string{"b", "c", "d"} {
		select {
		case c := <-told:
			t.Fatalf("told of %v before it was made", c)
		default:
		}
		put(t, e, doc(id))
		wantChanges(t, []change{<-told}, change{start + 1 + uint64(i), id})
		get(t, e, id)
	}
	cancel()
	wantErr(t, "Changes", <-done, context.Canceled)
	wantErr(t, "Changes with a context that ended", e.Changes(ctx, start, func(uint64, registry.Kind, string) error {
		t.Error("told of a change after the context ended")
		return nil
	}), context.Canceled)
}

func testManySubscribers(t *testing.T, e registry.Engine) {
	const writes = 50
	start := seq(t, e)
	together(func(i int) {
		if i%2 == 0 {
			put(t, e, doc(fmt.Sprint(i)))
			for range writes - 1 {
				put(t, e, get(t, e, fmt.Sprint(i)))
			}
			return
		}
		last := start
		for _, c := range follow(t, e, start, writes*callers/2) {
			if c.seq != last+1 {
				t.Errorf("change %d comes after %d", c.seq, last)
				return
			}
			last = c.seq
		}
	})
}

func testChangesFnFails(t *testing.T, e registry.Engine) {
	start := seq(t, e)
	put(t, e, doc("a"), doc("b"))
	wantChanges(t, follow(t, e, start, 1), change{start + 1, "a"})
}

func testChangesDropped(t *testing.T, e registry.Engine) {
	start := seq(t, e)
	err := e.Update(t.Context(), func(tx registry.Tx) error {
		if err := tx.Put(things, doc("a")); err != nil {
			return err
		}
		return errFailure
	})
	wantErr(t, "Update", err, errFailure)
	put(t, e, doc("b"))
	wantChanges(t, follow(t, e, start, 1), change{start + 1, "b"})
}

// testChangesTooOld writes more changes than any engine holds, while one
// subscriber stands still.
func testChangesTooOld(t *testing.T, e registry.Engine) {
	const held = 65536
	put(t, e, doc("first"), doc("n"))
	start := seq(t, e)
	stands, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- e.Changes(context.Background(), 0, func(_ uint64, _ registry.Kind, id string) error {
			if id == "first" {
				close(stands)
				<-goOn
			}
			return nil
		})
	}()
	<-stands
	for n := 0; n < held*5/4; n += registry.MaxTxDocs {
		update(t, e, func(tx registry.Tx) error {
			d, err := tx.Get(things, "n")
			for range registry.MaxTxDocs {
				if err == nil {
					err = tx.Put(things, d)
				}
				d.Version = tx.Seq()
			}
			return err
		})
	}
	close(goOn)
	wantErr(t, "the one that stood still", <-done, registry.ErrTooOld)
	nothing := func(uint64, registry.Kind, string) error { return errFailure }
	wantErr(t, "Changes", e.Changes(t.Context(), start, nothing), registry.ErrTooOld)
	last := seq(t, e)
	wantChanges(t, follow(t, e, last-1, 1), change{last, "n"})
	if got := follow(t, e, last-(held/registry.MaxTxDocs), held/2); len(got) != held/2 {
		t.Errorf("%d changes are held, want at least %d", len(got), held/2)
	}
}
