package registrytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

// things is the kind of most documents here; the others are its indexes.
const (
	things  = registry.Kind("thing")
	byName  = "name"
	byOwner = "owner"
)

// errFailure stands for any error of a closure.
var errFailure = errors.New("closure failed")

func entry(index, key string) registry.Entry {
	return registry.Entry{Index: index, Key: []byte(key)}
}

func unique(index, key string) registry.Entry {
	return registry.Entry{Index: index, Key: []byte(key), Unique: true}
}

// doc is a document to be created; its JSON tells the ID.
func doc(id string, index ...registry.Entry) registry.Doc {
	return registry.Doc{ID: id, JSON: fmt.Appendf(nil, `{"id":%q}`, id), Index: index}
}

// update fails the test unless fn and its commit succeed.
func update(t testing.TB, e registry.Engine, fn func(registry.Tx) error) {
	t.Helper()
	if err := e.Update(t.Context(), fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

// put writes the documents in one update.
func put(t testing.TB, e registry.Engine, docs ...registry.Doc) {
	t.Helper()
	update(t, e, func(tx registry.Tx) error { return putAll(tx, docs...) })
}

func putAll(tx registry.Tx, docs ...registry.Doc) error {
	for _, d := range docs {
		if err := tx.Put(things, d); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes the documents in one update.
func remove(t testing.TB, e registry.Engine, ids ...string) {
	t.Helper()
	update(t, e, func(tx registry.Tx) error {
		for _, id := range ids {
			if err := tx.Delete(things, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// view fails the test unless fn succeeds.
func view(t testing.TB, e registry.Engine, fn func(registry.Reader) error) {
	t.Helper()
	if err := e.View(t.Context(), fn); err != nil {
		t.Fatalf("View: %v", err)
	}
}

func get(t testing.TB, e registry.Engine, id string) (d registry.Doc) {
	t.Helper()
	view(t, e, func(r registry.Reader) (err error) {
		d, err = r.Get(things, id)
		return err
	})
	return d
}

// missing fails the test unless none of the documents is there.
func missing(t testing.TB, e registry.Engine, ids ...string) {
	t.Helper()
	view(t, e, func(r registry.Reader) error {
		for _, id := range ids {
			if _, err := r.Get(things, id); !errors.Is(err, registry.ErrNoDoc) {
				t.Errorf("Get(%q) = %v, want ErrNoDoc", id, err)
			}
		}
		return nil
	})
}

func seq(t testing.TB, e registry.Engine) (n uint64) {
	t.Helper()
	view(t, e, func(r registry.Reader) error {
		n = r.Seq()
		return nil
	})
	return n
}

// list returns the IDs of all pages of a query.
func list(t testing.TB, e registry.Engine, q registry.Query) (ids []string) {
	t.Helper()
	view(t, e, func(r registry.Reader) (err error) {
		ids, err = listAll(r, things, q)
		return err
	})
	return ids
}

func listAll(r registry.Reader, k registry.Kind, q registry.Query) (ids []string, err error) {
	for {
		page, next, err := r.List(k, q)
		if err != nil {
			return nil, err
		}
		for _, d := range page {
			ids = append(ids, d.ID)
		}
		if next == nil {
			return ids, nil
		}
		if len(page) == 0 {
			return nil, fmt.Errorf("an empty page has the cursor %x", next)
		}
		q.After = next
	}
}

func wantIDs(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s = %q, want %q", what, got, want)
	}
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

// difference says how two documents differ; "" if they do not.
func difference(a, b registry.Doc) string {
	sameEntry := func(a, b registry.Entry) bool {
		return a.Index == b.Index && a.Unique == b.Unique && bytes.Equal(a.Key, b.Key)
	}
	switch {
	case a.ID != b.ID:
		return fmt.Sprintf("ID %q and %q", a.ID, b.ID)
	case a.Version != b.Version:
		return fmt.Sprintf("%q: version %d and %d", a.ID, a.Version, b.Version)
	case !bytes.Equal(a.JSON, b.JSON):
		return fmt.Sprintf("%q: JSON %.100q and %.100q", a.ID, a.JSON, b.JSON)
	case !slices.EqualFunc(a.Index, b.Index, sameEntry):
		return fmt.Sprintf("%q: index %v and %v", a.ID, a.Index, b.Index)
	}
	return ""
}

// blocked starts an update that stays in its closure until release is called;
// release returns what Update returned.
func blocked(e registry.Engine, fn func(registry.Tx) error) (release func() error) {
	started, free, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- e.Update(context.Background(), func(tx registry.Tx) error {
			close(started)
			<-free
			return fn(tx)
		})
	}()
	<-started
	return func() error {
		close(free)
		return <-done
	}
}
