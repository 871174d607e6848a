package badgerdb

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"

	"github.com/muster-mqtt/muster/registry"
)

// maxPasses is how often Verify looks for tables that compactions have written
// meanwhile. What is newer than its last pass was just in memory.
const maxPasses = 3

// Verify is specified by registry.Engine. It reads every block of every table,
// one table at a time, which has some 20 MB, past badger's caches; what badger
// has not written into tables yet it holds in memory.
//
// badger's own VerifyChecksum panics where it finds damage, for it takes the
// place of the block from the block that it could not read, and it drives
// everything else out of the cache.
func (e *Engine) Verify(ctx context.Context) error {
	if !e.enter() {
		return registry.ErrClosed
	}
	defer e.users.Done()
	return verifyTables(ctx, e.db.Opts().Dir, e.db.Tables)
}

// verifyTables verifies the tables in a directory that live tells of.
func verifyTables(ctx context.Context, dir string, live func() []badger.TableInfo) error {
	verified := map[uint64]bool{}
	for range maxPasses {
		for _, t := range live() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if verified[t.ID] {
				continue
			}
			verified[t.ID] = true
			path := table.NewFilename(t.ID, dir)
			text, err := readTable(path)
			merged := func() bool {
				return !slices.ContainsFunc(live(), func(l badger.TableInfo) bool { return l.ID == t.ID })
			}
			switch {
			case err == nil:
				err = verifyTable(path, text)
			case merged():
				continue
			}
			if err != nil {
				return fmt.Errorf("badgerdb: %w: %w", errDamagedTable, err)
			}
		}
	}
	return ctx.Err()
}

// readTable reads a file whole, or fails. badger empties the tables that it has
// merged into others before it removes them, at any moment: half a file is no
// damage, if badger does not live by it any more.
func readTable(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	text := make([]byte, info.Size())
	if _, err := io.ReadFull(f, text); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	if len(text) == 0 {
		return nil, fmt.Errorf("%s: it is empty", filepath.Base(path))
	}
	return text, nil
}

// verifyTable counts the keys that can be read, for that is how damage shows: a
// walk ends at a block whose checksum does not match, as if it were the last.
func verifyTable(path string, text []byte) (err error) {
	name := filepath.Base(path)
	defer func() { // badger takes lengths out of blocks before it has checked them
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: a block cannot be read: %v", name, r)
		}
	}()
	id, _ := table.ParseFileID(name)
	t, err := table.OpenInMemoryTable(text, id, &table.Options{
		ReadOnly: true, ChkMode: options.OnBlockRead, Compression: options.Snappy,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	it := t.NewIterator(table.NOCACHE)
	defer it.Close()
	var keys uint32
	for it.Rewind(); it.Valid(); it.Next() {
		keys++
	}
	if want := t.KeyCount(); keys != want {
		return fmt.Errorf("%s: %d of %d keys can be read", name, keys, want)
	}
	return nil
}
