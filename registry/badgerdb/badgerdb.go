// Package badgerdb is the embedded registry.Engine: documents and their index
// entries in a badger database, in a directory that one process has open.
//
// Update closures run one after another on one goroutine and are committed in
// groups, one badger transaction and one sync for all that queued while the last
// group was synced. That gives what badger's own transactions lack: no phantoms,
// and a rate that does not fall to one sync a caller.
package badgerdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/muster-mqtt/muster/internal/unfinished"
	"github.com/muster-mqtt/muster/registry"
)

// ErrInUse is what Open answers when another process, or another Engine of this
// one, has the registry open.
var ErrInUse = errors.New("badgerdb: registry is in use by another process")

// Config says where the registry is and what it may cost.
type Config struct {
	// Dir is the registry's directory. It holds nothing else.
	Dir string
	// Logf, if not nil, is told of badger's warnings and errors, and of what
	// ended the engine.
	Logf func(format string, args ...any)
	// Committed, if not nil, is told of each commit: of how many updates it made
	// durable, and how long that took. It must not block, for all updates wait.
	Committed func(updates int, took time.Duration)
	// MemTableSize, in bytes, default 32 MiB, at least 16 MiB, for an update has
	// to fit. A larger one makes each sync slower, for badger syncs the whole of
	// its log; a smaller one means more compactions. At most five are in memory.
	MemTableSize int64
	// BlockCacheSize bounds the cache of table blocks, in bytes, default 64 MiB.
	BlockCacheSize int64
	// IndexCacheSize bounds the cache of table indexes and Bloom filters, in
	// bytes, default 64 MiB.
	IndexCacheSize int64
}

// In bytes.
const (
	minMemTable      = 16 << 20
	standardMemTable = 32 << 20
	standardCache    = 64 << 20
)

// Engine is a registry.Engine on badger. Its methods may be called
// concurrently, and View from within any closure; Close must not be called from
// within one.
type Engine struct {
	db     *badger.DB
	logf   func(format string, args ...any)
	commit func(*group) error // writes and syncs a group; tests make it fail
	told   func(updates int, took time.Duration)

	calls    chan *call    // unbuffered: a call is received when its closure is about to run
	closing  chan struct{} // closed by Close
	ended    chan struct{} // closed when the writer has ended
	seq      uint64        // of the last commit; owned by the writer
	writerID string        // the writer's goroutine; read only while running is true
	running  atomic.Bool   // a closure is running
	failure  atomic.Pointer[error]
	changes  *changeRing

	mu     sync.Mutex
	closed bool           // guarded by mu
	users  sync.WaitGroup // who reads badger; added to under mu, unless closed
	close  func() error   // closes once
}

// The marker file says that a directory holds a registry, and in which format.
// It is written last, so what Create did not finish cannot be opened.
const (
	markerName = "REGISTRY"
	marker     = "muster registry, format 1\n"
)

// Create makes an empty registry in Config.Dir, which must not exist or be empty.
func Create(c Config) error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("badgerdb: create: %w", err)
	}
	files, err := os.ReadDir(c.Dir)
	if err != nil {
		return fmt.Errorf("badgerdb: create: %w", err)
	}
	if len(files) > 0 {
		return fmt.Errorf("badgerdb: create %s: the directory is not empty (it holds %s): %w", c.Dir, files[0].Name(), fs.ErrExist)
	}
	db, err := c.open()
	if err != nil {
		return err
	}
	err = db.Update(func(txn *badger.Txn) error { return txn.Set(seqKey, encodeSeq(0)) })
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("badgerdb: create %s: %w", c.Dir, err)
	}
	if err := writeMarker(c.Dir); err != nil {
		return fmt.Errorf("badgerdb: create %s: %w", c.Dir, err)
	}
	return nil
}

// writeMarker makes the marker durable, and the directory's own entry.
func writeMarker(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, markerName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(marker)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(syncDir(dir), syncDir(filepath.Dir(filepath.Clean(dir))))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open opens a registry that Create made, and starts its writer, which Close
// ends. A directory that is missing or holds no registry is an error: a wrong
// path must not become an empty registry.
func Open(c Config) (*Engine, error) {
	if err := c.checkMarker(); err != nil {
		return nil, err
	}
	db, err := c.open()
	if err != nil {
		return nil, err
	}
	var seq uint64
	err = db.View(func(txn *badger.Txn) error {
		seq, err = readSeq(txn)
		return err
	})
	if err != nil {
		err = fmt.Errorf("badgerdb: open %s: the registry has no sequence; restore it from a backup: %w", c.Dir, err)
		return nil, errors.Join(err, db.Close())
	}
	e := &Engine{
		db:      db,
		logf:    c.logf(),
		told:    c.committed(),
		calls:   make(chan *call),
		closing: make(chan struct{}),
		ended:   make(chan struct{}),
		seq:     seq,
		changes: newChangeRing(seq),
	}
	e.commit = e.commitGroup
	e.close = sync.OnceValue(e.shut)
	go e.write()
	return e, nil
}

// Check reports, by opening nothing, whether Open would find a registry.
func Check(dir string) error { return Config{Dir: dir}.checkMarker() }

func (c Config) checkMarker() error {
	b, err := os.ReadFile(filepath.Join(c.Dir, markerName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("badgerdb: open %s: no registry there; check the path, or create one: %w", c.Dir, err)
	case err != nil:
		return fmt.Errorf("badgerdb: open: %w", err)
	case string(b) != marker:
		return fmt.Errorf("badgerdb: open %s: %s says %.40q, this program reads %q", c.Dir, markerName, b, marker)
	}
	return nil
}

// open opens badger, tuned by BenchmarkRegister64.
func (c Config) open() (*badger.DB, error) {
	memTable := cmp.Or(c.MemTableSize, standardMemTable)
	if memTable < minMemTable {
		return nil, fmt.Errorf("badgerdb: MemTableSize %d is less than %d", memTable, minMemTable)
	}
	opts := badger.DefaultOptions(c.Dir).
		WithLogger(logger{c.logf()}).
		WithSyncWrites(true).
		WithDetectConflicts(false). // one writer
		WithNumVersionsToKeep(1).
		WithMetricsEnabled(false).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithCompression(options.Snappy).
		WithBlockCacheSize(cmp.Or(c.BlockCacheSize, standardCache)).
		WithIndexCacheSize(cmp.Or(c.IndexCacheSize, standardCache)).
		WithMemTableSize(memTable).
		WithNumMemtables(5).
		// What compactions write and sync is what slows the syncs of commits
		// down. These write half of what badger's defaults do: tables gather
		// longer on level 0, the next level is larger, and its files are fewer.
		WithNumCompactors(2).
		WithNumLevelZeroTables(16).
		WithNumLevelZeroTablesStall(32).
		WithBaseLevelSize(256 << 20).
		WithBaseTableSize(8 << 20).
		// No value is so large that it reaches the value log (see docCost), for
		// badger tells nobody when the sync of that log fails.
		WithValueLogFileSize(256 << 20)
	if err := unfinished.Remove(c.Dir); err != nil {
		return nil, fmt.Errorf("open %s: %w", c.Dir, err)
	}
	db, err := badger.Open(opts)
	if err == nil {
		return db, nil
	}
	// badger keeps the cause of a failed lock in the text alone.
	if strings.Contains(err.Error(), "Cannot acquire directory lock") {
		err = ErrInUse
	}
	return nil, fmt.Errorf("open %s: %w", c.Dir, err)
}

func (c Config) logf() func(string, ...any) {
	if c.Logf == nil {
		return func(string, ...any) {}
	}
	return c.Logf
}

func (c Config) committed() func(int, time.Duration) {
	if c.Committed == nil {
		return func(int, time.Duration) {}
	}
	return c.Committed
}

// logger drops what badger tells of its everyday work.
type logger struct{ logf func(string, ...any) }

func (l logger) Errorf(format string, args ...any)   { l.logf("badger: "+format, args...) }
func (l logger) Warningf(format string, args ...any) { l.logf("badger: "+format, args...) }
func (logger) Infof(string, ...any)                  {}
func (logger) Debugf(string, ...any)                 {}

// Run keeps house until ctx ends or the engine is closed, then returns nil: it
// lets badger reclaim its value log every ten minutes, and verifies what is
// stored at once and every day.
func (e *Engine) Run(ctx context.Context) error {
	reclaim, verify := time.NewTicker(10*time.Minute), time.NewTicker(24*time.Hour)
	defer reclaim.Stop()
	defer verify.Stop()
	e.examine(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.ended:
			return nil
		case <-reclaim.C:
			e.reclaim()
		case <-verify.C:
			e.examine(ctx)
		}
	}
}

// examine ends writing if what is stored is damaged. badger takes what it cannot
// read for what is not there: a device whose revocation lies in a damaged block
// would register anew.
func (e *Engine) examine(ctx context.Context) {
	if err := e.Verify(ctx); errors.Is(err, errDamagedTable) {
		_ = e.fail(err) // Err tells it
	}
}

// reclaim rewrites value log files for as long as that frees half a file.
func (e *Engine) reclaim() {
	if !e.enter() {
		return
	}
	defer e.users.Done()
	for {
		err := e.db.RunValueLogGC(0.5)
		if errors.Is(err, badger.ErrNoRewrite) {
			return
		}
		if err != nil {
			e.logf("badgerdb: value log: %v", err)
			return
		}
	}
}

// Err is nil until a commit failed or the engine was closed.
func (e *Engine) Err() error {
	if err := e.failure.Load(); err != nil {
		return *err
	}
	select {
	case <-e.closing:
		return registry.ErrClosed
	default:
		return nil
	}
}

// enter lets its caller use badger until it calls e.users.Done; false once the
// engine is closed.
func (e *Engine) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.users.Add(1)
	}
	return !e.closed
}

// Close waits for the closures that run, and closes badger. Closing again
// returns the same.
func (e *Engine) Close() error { return e.close() }

func (e *Engine) shut() error {
	close(e.closing)
	<-e.ended
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.users.Wait()
	if err := e.db.Close(); err != nil {
		return fmt.Errorf("badgerdb: close: %w", err)
	}
	return nil
}
