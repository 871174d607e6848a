package badgerdb_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

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
