package badgerdb_test

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
	"github.com/muster-mqtt/muster/registry/memory"
	"github.com/muster-mqtt/muster/registry/registrytest"
)

var _ registry.Engine = (*badgerdb.Engine)(nil)

// small keeps the caches of the many engines of these tests small.
func small(dir string) badgerdb.Config {
	return badgerdb.Config{Dir: dir, BlockCacheSize: 1 << 20, IndexCacheSize: 1 << 20}
}

// open opens a registry and closes it when the test ends.
func open(t testing.TB, dir string) *badgerdb.Engine {
	t.Helper()
	e, err := badgerdb.Open(small(dir))
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

// create makes a registry in a new directory and opens it.
func create(t testing.TB) (e *badgerdb.Engine, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := badgerdb.Create(small(dir)); err != nil {
		t.Fatal(err)
	}
	return open(t, dir), dir
}

func openForSuite(t *testing.T) (registry.Engine, func() registry.Engine) {
	e, dir := create(t)
	return e, func() registry.Engine {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = open(t, dir)
		return e
	}
}

func TestContract(t *testing.T) { registrytest.Run(t, openForSuite) }

func TestSimulation(t *testing.T) {
	steps := 2000
	if testing.Short() {
		steps = 600
	}
	for _, seed := range []uint64{1, rand.Uint64()} {
		model := memory.New()
		e, reopen := openForSuite(t)
		registrytest.Simulate(t, seed, steps, e, model, reopen)
	}
}

func TestCreateIsNotOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if _, err := badgerdb.Open(small(dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of no directory: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("Open made the directory")
	}
	if err := badgerdb.Create(small(dir)); err != nil {
		t.Fatal(err)
	}
	if err := badgerdb.Create(small(dir)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a registry: %v", err)
	}
	open(t, dir)
}

func TestOpenOfSomethingElse(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"empty":                nil,
		"other files":          {"notes.txt": "hello"},
		"a format to come":     {"REGISTRY": "muster registry, format 2\n"},
		"a marker and no more": {"REGISTRY": "muster registry, format 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			e, err := badgerdb.Open(small(dir))
			if err == nil {
				t.Error("Open succeeded", e.Close())
			}
			if err := badgerdb.Create(small(dir)); (err != nil) != (files != nil) {
				t.Errorf("Create: %v", err)
			}
		})
	}
}

func TestOpenTwice(t *testing.T) {
	e, dir := create(t)
	if _, err := badgerdb.Open(small(dir)); !errors.Is(err, badgerdb.ErrInUse) {
		t.Errorf("second Open: %v, want ErrInUse", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestConfigRefused(t *testing.T) {
	c := small(t.TempDir())
	c.MemTableSize = 1 << 20
	if err := badgerdb.Create(c); err == nil {
		t.Error("a memtable that cannot hold one update is accepted")
	}
}

// TestRun ends Run in both ways.
func TestRun(t *testing.T) {
	e, _ := create(t)
	done := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- e.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run whose context ended: %v", err)
	}
	go func() { done <- e.Run(context.Background()) }()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Run of a closed engine: %v", err)
	}
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(register(dir))
	}
	goleak.VerifyTestMain(m)
}
