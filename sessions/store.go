package sessions

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster/internal/unfinished"
)

// Limits bound what the devices of one account can make grow. Zero is the
// default.
type Limits struct {
	Sessions int // that outlive their connection; default 100,000
	Retained int // messages; default 100,000
	Waiting  int // bytes of messages in sessions; default 1 GiB. A message costs 1 KiB beside its own
}

// Observer counts what the store does. Its methods must not block.
type Observer interface {
	// Committed tells of a transaction, of how many changes and how long it took.
	Committed(changes int, took time.Duration)
	// Dropped counts messages that a limit kept from the store: "waiting" were not
	// kept for a client that is away, "retained" were delivered and not retained.
	Dropped(limit string)
}

// The limits that an Observer is told of.
const (
	LimitWaiting  = "waiting"
	LimitRetained = "retained"
)

// Config is what a Store is made of.
type Config struct {
	// Dir is the folder of the store, which is made when it is missing. "" keeps
	// everything in memory alone: the rules and limits hold, and nothing outlives
	// the process.
	Dir      string
	Limits   Limits
	Observer Observer // nil for none
	Log      zerolog.Logger
}

// Store holds the sessions and retained messages of all accounts. Make it with
// Open, run it with Run, and close it when Run has ended.
type Store struct {
	dir      string
	db       *badger.DB // nil: in memory
	journal  *journal
	limits   Limits
	observer Observer
	log      zerolog.Logger
	seen     time.Time // when the last process that had the store open was last alive

	mu    sync.Mutex
	hooks map[string]*Hook // by account
}

// aliveKey holds when the store was last open, Unix seconds: where a crash ended
// connections, sessions expire from then on. No account begins with a dot.
var aliveKey = []byte(".alive")

// Open opens the store of a folder, or makes it.
func Open(c Config) (*Store, error) {
	s := &Store{dir: c.Dir, limits: c.Limits.orDefaults(), observer: c.Observer, log: c.Log, hooks: map[string]*Hook{}}
	if s.observer == nil {
		s.observer = unobserved{}
	}
	if c.Dir == "" {
		s.journal = newJournal(nil)
		return s, nil
	}
	s.journal = newJournal(s.commit)
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	if err := unfinished.Remove(c.Dir); err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	db, err := badger.Open(tuned(c))
	if err == nil {
		s.db = db
		if s.seen, err = s.lastSeen(); err == nil {
			return s, nil
		}
		err = errors.Join(err, db.Close())
	}
	// badger keeps the cause of a failed lock in the text alone.
	if strings.Contains(err.Error(), "Cannot acquire directory lock") {
		return nil, fmt.Errorf("sessions: %s is in use by another process", c.Dir)
	}
	if strings.Contains(err.Error(), syscall.EACCES.Error()) {
		return nil, fmt.Errorf("sessions: the store in %s cannot be opened: the user that runs the server must own the folder and all files in it: %w", c.Dir, err)
	}
	return nil, fmt.Errorf("sessions: the store in %s cannot be read: move the folder away to start without the sessions "+
		"and retained messages in it (the registry is not concerned): %w", c.Dir, err)
}

func (l Limits) orDefaults() Limits {
	if l.Sessions == 0 {
		l.Sessions = 100_000
	}
	if l.Retained == 0 {
		l.Retained = 100_000
	}
	if l.Waiting == 0 {
		l.Waiting = 1 << 30
	}
	return l
}

// tuned returns options for small values that soon go again.
func tuned(c Config) badger.Options {
	return badger.DefaultOptions(c.Dir).
		WithLogger(logger{c.Log}).
		WithSyncWrites(false). // what a killed process wrote stays; Run syncs for power cuts
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithMetricsEnabled(false).
		WithChecksumVerificationMode(options.OnTableAndBlockRead).
		WithCompression(options.Snappy).
		WithBlockCacheSize(16 << 20).
		WithIndexCacheSize(32 << 20).
		WithMemTableSize(32 << 20).
		WithNumMemtables(3).
		WithNumCompactors(2).
		WithValueThreshold(64 << 10).
		WithValueLogFileSize(256 << 20)
}

// logger passes on what badger warns of.
type logger struct{ log zerolog.Logger }

func (l logger) Errorf(format string, args ...any)   { l.log.Error().Msgf("sessions: "+format, args...) }
func (l logger) Warningf(format string, args ...any) { l.log.Warn().Msgf("sessions: "+format, args...) }
func (logger) Infof(string, ...any)                  {}
func (logger) Debugf(string, ...any)                 {}

// lastSeen reads when the store was last open; now, if it never was.
func (s *Store) lastSeen() (t time.Time, err error) {
	t = time.Now()
	err = s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(aliveKey)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(b []byte) error {
			if len(b) != 8 {
				return errRecord
			}
			t = time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
			return nil
		})
	})
	return t, err
}

// Accounts returns the accounts of which anything is stored. Their servers are to
// be started before the first device connects.
func (s *Store) Accounts() (accounts []string, err error) {
	if s.db == nil {
		return nil, nil
	}
	err = s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); {
			account, _, found := strings.Cut(string(it.Item().Key()), "/")
			if !found { // ours, not an account's
				it.Next()
				continue
			}
			accounts = append(accounts, account)
			it.Seek([]byte(account + "0")) // '0' follows '/'
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sessions: %s: %w", s.dir, err)
	}
	return accounts, nil
}

// The rhythm of Run.
const (
	syncInterval    = time.Second
	reclaimInterval = 5 * time.Minute
)

// minFree is how many bytes of the disk the store leaves alone. badger writes to
// mapped files: where the disk has no room for a page, the kernel ends the
// process.
const minFree = 256 << 20

// Run writes what the hooks queue, until ctx ends or a write fails, of which Err
// tells. Nothing is acknowledged unless it runs.
func (s *Store) Run(ctx context.Context) {
	if s.db == nil {
		<-ctx.Done()
		return
	}
	writing, stop := context.WithCancel(ctx)
	var kept sync.WaitGroup
	kept.Go(func() { s.keep(writing) })
	if err := s.journal.run(ctx); err != nil && !errors.Is(err, ErrClosed) {
		s.log.Error().Err(err).Msg("sessions: nothing is stored any more, and what would have to be is not acknowledged; restart the server when that is mended")
	}
	stop()
	kept.Wait()
}

// keep syncs to the disk, and lets badger reclaim its value log.
func (s *Store) keep(ctx context.Context) {
	sync, reclaim := time.NewTicker(syncInterval), time.NewTicker(reclaimInterval)
	defer sync.Stop()
	defer reclaim.Stop()
	for {
		select {
		case <-ctx.Done():
			s.alive()
			return
		case <-reclaim.C:
			for s.db.RunValueLogGC(0.5) == nil {
				continue // until no file has half of it to give
			}
		case <-sync.C:
			s.alive()
			if err := errors.Join(s.roomLeft(), s.db.Sync()); err != nil {
				s.journal.fail(fmt.Errorf("sessions: %s: %w", s.dir, err))
			}
		}
	}
}

// alive queues the time of day.
func (s *Store) alive() *batch {
	return s.journal.queue(op{aliveKey, binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()))})
}

func (s *Store) roomLeft() error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &fs); err != nil {
		return nil // where nobody can tell, nobody does
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < minFree {
		return fmt.Errorf("the disk is full: %d MiB are free, %d are needed", free>>20, minFree>>20)
	}
	return nil
}

// commit writes units in as few transactions as they fit into. One that does not
// fit into any, of tens of thousands of sessions, is spread over several.
func (s *Store) commit(units []unit) error {
	start, changes, size, count := time.Now(), 0, int64(0), int64(0)
	txn := s.db.NewTransaction(true)
	defer func() { txn.Discard() }()
	next := func() error {
		err := txn.Commit()
		txn, size, count = s.db.NewTransaction(true), 0, 0
		return err
	}
	for _, u := range units {
		ours := int64(0)
		for _, o := range u {
			ours += int64(o.size()) + perEntry
		}
		if count > 0 && (size+ours > s.db.MaxBatchSize()/2 || count+int64(len(u)) > s.db.MaxBatchCount()/2) {
			if err := next(); err != nil {
				return fmt.Errorf("sessions: %s: %w", s.dir, err)
			}
		}
		size, count, changes = size+ours, count+int64(len(u)), changes+len(u)
		for _, o := range u {
			err := o.put(txn)
			if errors.Is(err, badger.ErrTxnTooBig) {
				if err = next(); err == nil {
					err = o.put(txn)
				}
			}
			if err != nil {
				return fmt.Errorf("sessions: %s: %w", s.dir, err)
			}
		}
	}
	if err := txn.Commit(); err != nil {
		return fmt.Errorf("sessions: %s: %w", s.dir, err)
	}
	s.observer.Committed(changes, time.Since(start))
	return nil
}

// perEntry is about what badger adds to an entry, in bytes.
const perEntry = 32

func (o op) put(txn *badger.Txn) error {
	if o.value == nil {
		return txn.Delete(o.key)
	}
	return txn.Set(o.key, o.value)
}

// Err is nil while what is promised is stored.
func (s *Store) Err() error {
	if err := s.journal.err(); err != nil && !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

// Close closes the store, after Run has ended.
func (s *Store) Close() error {
	if s.db == nil {
		return nil
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("sessions: %s: %w", s.dir, err)
	}
	return nil
}

// Figures are what an account, or all, have in the store.
type Figures struct {
	Sessions int   // that outlive their connection, whose connection may be open
	Retained int   // messages
	Waiting  int64 // bytes of messages that are not acknowledged
}

// Figures returns the figures of all accounts together.
func (s *Store) Figures() (f Figures) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hooks {
		f.Sessions += int(h.count.Load())
		f.Retained += h.retained.len()
		f.Waiting += h.waiting.Load()
	}
	return f
}

type unobserved struct{}

func (unobserved) Committed(int, time.Duration) {}
func (unobserved) Dropped(string)               {}
