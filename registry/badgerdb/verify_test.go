package badgerdb_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
)

// TestDamageEndsWriting starts on a damaged table: nothing is written any more,
// so that no device whose record is lost registers anew.
func TestDamageEndsWriting(t *testing.T) {
	e, dir := create(t)
	put := func(e *badgerdb.Engine, id string) error {
		return e.Update(t.Context(), func(tx registry.Tx) error {
			return tx.Put(device, registry.Doc{ID: id, JSON: []byte(`{"text":"` + rand.Text() + `"}`)})
		})
	}
	for i := range 100 {
		if err := put(e, fmt.Sprint("device-", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %q, %v", tables, err)
	}
	table := tables[len(tables)-1]
	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/4] ^= 1
	if err := os.WriteFile(table, text, 0o600); err != nil {
		t.Fatal(err)
	}
	e = open(t, dir)
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- e.Run(ctx) }()
	for e.Err() == nil {
		runtime.Gosched()
	}
	stop()
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := put(e, "new"); !errors.Is(err, registry.ErrFailed) || !strings.Contains(err.Error(), "restore the registry from a backup") {
		t.Errorf("Update: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestVerify damages a table in many places, one after another: Verify notices
// each.
func TestVerify(t *testing.T) {
	e, dir := create(t)
	for i := range 500 {
		err := e.Update(t.Context(), func(tx registry.Tx) error {
			id := fmt.Sprint("device-", i)
			return tx.Put(device, registry.Doc{ID: id, JSON: []byte(rand.Text() + rand.Text() + rand.Text())})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil { // which writes a table
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %q, %v", tables, err)
	}
	table := tables[len(tables)-1] // the first may hold no more than what Create wrote
	sound, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	verify := func() error {
		e := open(t, dir)
		err := e.Verify(t.Context())
		if close := e.Close(); close != nil {
			t.Error(close)
		}
		return err
	}
	if err := verify(); err != nil {
		t.Fatalf("a sound table: %v", err)
	}
	for at := 0; at < len(sound)/2; at += len(sound) / 20 { // behind stand the index and the Bloom filter
		bad := slices.Clone(sound)
		bad[at] ^= 1
		if err := os.WriteFile(table, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := verify(); err == nil || !strings.Contains(err.Error(), "a table on disk is damaged") {
			t.Errorf("byte %d of %d flipped: %v", at, len(sound), err)
		}
	}
}
