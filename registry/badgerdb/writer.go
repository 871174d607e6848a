package badgerdb

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/muster-mqtt/muster/registry"
)

// maxGroup bounds the closures of one commit, and so how long the first of them
// waits.
const maxGroup = 256

var errWriter = errors.New("an update closure ended the writer's goroutine (runtime.Goexit)")

// call is one Update that waits.
type call struct {
	ctx  context.Context
	fn   func(registry.Tx) error
	done chan error // has room for the answer
}

// Update hands fn to the writer and waits for the group's sync. A panic in fn is
// returned as an error that holds the stack. An error of fn, too, is returned
// after the sync, for it may come of what an earlier closure of the group wrote.
func (e *Engine) Update(ctx context.Context, fn func(registry.Tx) error) error {
	// While no closure runs, nothing can be nested, and looking is not free.
	if e.running.Load() && goroutine() == e.writerID {
		return registry.ErrNested
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &call{ctx, fn, make(chan error, 1)}
	select {
	case e.calls <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.ended:
		return e.Err()
	}
	select {
	case err := <-c.done:
		return err
	case <-e.ended:
	}
	select {
	case err := <-c.done: // answered just before the end
		return err
	default:
		return e.Err()
	}
}

// write is the writer: it runs groups until the engine is closed.
func (e *Engine) write() {
	closing := false
	defer func() {
		if !closing {
			e.fail(errWriter)
		}
		close(e.ended)
	}()
	e.writerID = goroutine()
	for !closing {
		select {
		case c := <-e.calls:
			e.group(c)
		case <-e.closing:
			closing = true
		}
	}
}

// group is what one commit makes durable.
type group struct {
	txn     *badger.Txn // the stored state
	over    overlay     // what the group's closures wrote over it
	seq     uint64      // of the last closure that wrote
	changes []change
	answers []answer
}

type answer struct {
	call *call
	err  error
}

// group runs the first call and what has queued, commits, and answers all.
func (e *Engine) group(first *call) {
	g := &group{txn: e.db.NewTransaction(false), seq: e.seq}
	defer g.txn.Discard()
	for c := first; c != nil; c = e.nextOf(g) {
		e.runCall(g, c)
	}
	var err error
	if len(g.changes) > 0 {
		begun := time.Now()
		if err = e.commit(g); err != nil {
			err = e.fail(err)
		} else {
			e.told(len(g.answers), time.Since(begun))
			e.seq = g.seq
			e.changes.add(g.changes)
		}
	}
	for _, a := range g.answers {
		if err != nil {
			a.err = err
		}
		a.call.done <- a.err
	}
}

// nextOf returns a call that waits, nil if none does or the group is full.
func (e *Engine) nextOf(g *group) *call {
	if len(g.answers) >= maxGroup || !e.share(groupShare).fits(&g.over) {
		return nil
	}
	for range 2 {
		select {
		case c := <-e.calls:
			return c
		default:
			// Those whom the last commit answered are about to come back.
			runtime.Gosched()
		}
	}
	return nil
}

// Sixteenths of what badger takes in one transaction: a group that has filled
// groupShare takes no further closure, and a closure may fill closureShare. The
// rest is badger's own marks, so that no commit is ever too big for it.
const (
	groupShare   = 4
	closureShare = 11
)

func (e *Engine) share(sixteenths int64) budget {
	return budget{
		writes: int(e.db.MaxBatchCount() * sixteenths / 16),
		bytes:  e.db.MaxBatchSize() * sixteenths / 16,
	}
}

func (e *Engine) runCall(g *group, c *call) {
	err := c.ctx.Err()
	if err == nil {
		err = e.Err()
	}
	if err != nil {
		g.answers = append(g.answers, answer{c, err})
		return
	}
	room := e.share(closureShare)
	room.writes += len(g.over.writes)
	room.bytes += g.over.size
	t := &tx{reader: reader{txn: g.txn, over: &g.over}, next: g.seq + 1, room: room}

	e.running.Store(true)
	defer e.running.Store(false)
	err = t.run(c.fn)
	if err != nil {
		g.over.drop()
	} else if len(t.changes) > 0 {
		g.over.keep()
		g.seq = t.next
		g.changes = append(g.changes, t.changes...)
	}
	g.answers = append(g.answers, answer{c, err})
}

// commitGroup writes the group in one badger transaction, which is synced.
func (e *Engine) commitGroup(g *group) error {
	txn := e.db.NewTransaction(true)
	defer txn.Discard()
	for _, w := range g.over.writes {
		var err error
		if w.deleted {
			err = txn.Delete(w.key)
		} else {
			err = txn.Set(w.key, w.value)
		}
		if err != nil {
			return err
		}
	}
	if err := txn.Set(seqKey, encodeSeq(g.seq)); err != nil {
		return err
	}
	return txn.Commit()
}

// fail ends writing for good: after a failed sync nobody knows what is on disk.
func (e *Engine) fail(cause error) error {
	err := fmt.Errorf("%w: %w", registry.ErrFailed, cause)
	e.failure.CompareAndSwap(nil, &err)
	e.logf("badgerdb: no more writes until a restart: %v", cause)
	return err
}

// goroutine names the calling goroutine. The runtime offers no other way to
// tell an Update made within a closure from one that another goroutine makes at
// the same time.
func goroutine() string {
	var buf [64]byte
	stack := strings.TrimPrefix(string(buf[:runtime.Stack(buf[:], false)]), "goroutine ")
	id, _, _ := strings.Cut(stack, " ")
	return id
}
