package badgerdb

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/registry"
)

func newEngine(t *testing.T) *Engine {
	t.Helper()
	c := Config{Dir: t.TempDir(), BlockCacheSize: 1 << 20, IndexCacheSize: 1 << 20}
	if err := Create(c); err != nil {
		t.Fatal(err)
	}
	e, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func put(id string) func(registry.Tx) error {
	return func(tx registry.Tx) error { return tx.Put("k", registry.Doc{ID: id}) }
}

// grouped runs the closures as one group and returns their errors. What the
// commit does is what e.commit says.
func grouped(e *Engine, closures ...func(registry.Tx) error) []error {
	hold, held := make(chan struct{}), make(chan struct{})
	// A group that holds the writer until all closures queue.
	go func() {
		_ = e.Update(context.Background(), func(registry.Tx) error {
			close(held)
			<-hold
			return nil
		})
	}()
	<-held
	errs := make([]error, len(closures))
	var wg sync.WaitGroup
	for i, fn := range closures {
		wg.Go(func() { errs[i] = e.Update(context.Background(), fn) })
	}
	close(hold)
	wg.Wait()
	return errs
}

// TestFailedCommit: nobody of the group is told that it succeeded, nor what a
// closure saw of the others' writes; and nothing is written any more.
func TestFailedCommit(t *testing.T) {
	e := newEngine(t)
	if err := e.Update(t.Context(), put("before")); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("no sync")
	e.commit = func(*group) error { return cause }
	start := e.changes.end
	exists := func(tx registry.Tx) error {
		if _, err := tx.Get("k", "a"); err != nil {
			return put("a")(tx)
		}
		return registry.ErrDocExists
	}
	for i, err := range grouped(e, exists, exists, exists) {
		if !errors.Is(err, registry.ErrFailed) || !errors.Is(err, cause) {
			t.Errorf("Update %d of the group that failed: %v", i, err)
		}
	}
	e.commit = e.commitGroup
	if err := e.Update(t.Context(), put("after")); !errors.Is(err, registry.ErrFailed) {
		t.Errorf("Update after the failure: %v", err)
	}
	if err := e.Err(); !errors.Is(err, registry.ErrFailed) || !errors.Is(err, cause) {
		t.Errorf("Err = %v", err)
	}
	if e.changes.end != start {
		t.Error("a change was told that was never synced")
	}
	err := e.View(t.Context(), func(r registry.Reader) error {
		_, err := r.Get("k", "before")
		return err
	})
	if err != nil {
		t.Errorf("View after the failure: %v", err)
	}
}

// TestGroups counts the commits of many callers.
func TestGroups(t *testing.T) {
	e := newEngine(t)
	var commits, closures int
	e.commit = func(g *group) error {
		commits++
		closures += len(g.answers)
		return e.commitGroup(g)
	}
	const callers, each = 64, 10
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				if err := e.Update(context.Background(), put(fmt.Sprint(i, "-", j))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if closures != callers*each || commits > closures/4 {
		t.Errorf("%d commits for %d closures of %d callers", commits, closures, callers)
	}
}

// TestNoCommit: a group without writes does not commit.
func TestNoCommit(t *testing.T) {
	e := newEngine(t)
	e.commit = func(*group) error {
		t.Error("commit")
		return nil
	}
	errs := grouped(e,
		func(registry.Tx) error { return nil },
		func(tx registry.Tx) error { return errors.Join(put("a")(tx), errors.New("dropped")) })
	if errs[0] != nil || errs[1] == nil {
		t.Errorf("answers %v", errs)
	}
}

// TestFullGroup fills groups to the brim: whatever the closures of a group
// write, badger takes it in one transaction.
func TestFullGroup(t *testing.T) {
	e := newEngine(t)
	var closures []func(registry.Tx) error
	for i := range 12 {
		closures = append(closures, func(tx registry.Tx) error {
			d := registry.Doc{ID: fmt.Sprint(i), JSON: make([]byte, registry.MaxTxBytes/2)}
			// Many short entries weigh more in badger than in the limits.
			for j := range 8_000 {
				d.Index = append(d.Index, registry.Entry{Index: "i", Key: fmt.Appendf(nil, "%d", j)})
			}
			return tx.Put("k", d)
		})
	}
	for i, err := range grouped(e, closures...) {
		if err != nil {
			t.Errorf("closure %d: %v", i, err)
		}
	}
	err := e.Update(t.Context(), func(tx registry.Tx) error {
		// Each document counts little, but removes many entries.
		for i := range 12 {
			if err := tx.Delete("k", fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if !errors.Is(err, registry.ErrTooLarge) {
		t.Errorf("an update beyond badger's limit: %v, want ErrTooLarge", err)
	}
	if err := e.Err(); err != nil {
		t.Error(err)
	}
	for i := range 12 {
		if err := e.Update(t.Context(), func(tx registry.Tx) error { return tx.Delete("k", fmt.Sprint(i)) }); err != nil {
			t.Error(err)
		}
	}
}

// TestGoexit: a closure that ends the writer, as a test's Fatal does, leaves no
// caller waiting.
func TestGoexit(t *testing.T) {
	e := newEngine(t)
	for i, err := range grouped(e, func(registry.Tx) error { runtime.Goexit(); return nil }, put("a")) {
		// The other closure may have been committed before.
		if (i == 0 || err != nil) && !errors.Is(err, registry.ErrFailed) {
			t.Errorf("Update %d: %v", i, err)
		}
	}
	if err := e.Update(t.Context(), put("b")); !errors.Is(err, registry.ErrFailed) {
		t.Errorf("Update afterwards: %v", err)
	}
}

// TestCommitted: a commit tells of the updates that it made durable, which may
// have written nothing themselves; where nobody wrote, there is none.
func TestCommitted(t *testing.T) {
	e := newEngine(t)
	var told []int
	e.told = func(updates int, took time.Duration) {
		if told = append(told, updates); took <= 0 {
			t.Errorf("a commit took %v", took)
		}
	}
	if err := e.Update(t.Context(), func(registry.Tx) error { return nil }); err != nil {
		t.Error(err)
	}
	if len(told) != 0 {
		t.Errorf("an update that wrote nothing was committed: %v", told)
	}
	if err := e.Update(t.Context(), put("a")); err != nil {
		t.Error(err)
	}
	if len(told) != 1 || told[0] != 1 {
		t.Errorf("one update was committed as %v", told)
	}
}
