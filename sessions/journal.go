package sessions

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed is what is left of the journal when Run has ended.
var ErrClosed = errors.New("sessions: the store is closed")

// op sets a key, or deletes it where value is nil.
type op struct{ key, value []byte }

func (o op) size() int { return len(o.key) + len(o.value) }

// unit is what is written wholly or not at all.
type unit []op

// batch is what one commit writes. Whoever queued some of it may wait for it.
type batch struct {
	seq  uint64
	done chan struct{} // closed when it is written, or lost
	err  error         // why it was lost; read it after done
}

// wait returns nil when the batch is written. Nothing to write is written.
func (b *batch) wait() error {
	if b == nil {
		return nil
	}
	<-b.done
	return b.err
}

// maxQueued is how many bytes may wait for the writer before those who publish
// have to wait, too.
const maxQueued = 4 << 20

// journal gathers the changes of all sessions for one writer. Queueing never
// blocks, for it happens on goroutines that deliver to others; enter does.
type journal struct {
	write func([]unit) error // nil: nothing is written, and all is well
	ready chan struct{}      // holds a token while units wait

	mu     sync.Mutex
	room   *sync.Cond // on mu; told when the writer has taken what waited
	units  []unit
	size   int    // bytes of units
	next   *batch // takes what is queued now
	failed error  // the first error; nothing is written after it
}

func newJournal(write func([]unit) error) *journal {
	j := &journal{write: write, ready: make(chan struct{}, 1), next: &batch{seq: 1, done: make(chan struct{})}}
	j.room = sync.NewCond(&j.mu)
	return j
}

// enter waits while too much is queued. Call it before what cannot wait.
func (j *journal) enter() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.size > maxQueued && j.failed == nil {
		j.room.Wait()
	}
}

// queue returns the batch in which u is going to be written. After a failure it
// returns one that is lost already, and holds on to nothing.
func (j *journal) queue(u ...op) *batch {
	if j.write == nil || len(u) == 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	b := j.next
	if j.failed != nil {
		return b
	}
	j.units = append(j.units, u)
	for _, o := range u {
		j.size += o.size()
	}
	select {
	case j.ready <- struct{}{}:
	default:
	}
	return b
}

// run writes until ctx ends or a write fails, and writes what is queued then.
func (j *journal) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			err := j.flush()
			j.fail(errors.Join(err, ErrClosed))
			return err
		case <-j.ready:
		}
		if err := j.flush(); err != nil {
			return err
		}
	}
}

// flush writes what is queued in one go.
func (j *journal) flush() error {
	j.mu.Lock()
	units, b := j.units, j.next
	if j.failed != nil || len(units) == 0 {
		defer j.mu.Unlock()
		return j.failed
	}
	j.units, j.size = nil, 0
	j.next = &batch{seq: b.seq + 1, done: make(chan struct{})}
	j.room.Broadcast()
	j.mu.Unlock()
	if b.err = j.write(units); b.err != nil {
		j.fail(b.err)
	}
	close(b.done)
	return b.err
}

// fail loses what is queued, and all that would be.
func (j *journal) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return
	}
	j.failed, j.units, j.size = err, nil, 0
	j.next.err = err
	close(j.next.done)
	j.room.Broadcast()
	select {
	case j.ready <- struct{}{}: // run ends, and tells why
	default:
	}
}

func (j *journal) err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// group gathers what one message of QoS 2 causes, so that it is written together
// with the fact that the message was received.
type group struct {
	sealed chan struct{} // closed when the group is queued

	mu    sync.Mutex
	ops   []op
	over  bool   // it is sealed
	batch *batch // in which it is written
}

func newGroup() *group { return &group{sealed: make(chan struct{})} }

// add reports false when the group is sealed already.
func (g *group) add(o op) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return false
	}
	g.ops = append(g.ops, o)
	return true
}

// cancel takes out what is over before it was written; it reports false when the
// group is sealed already.
func (g *group) cancel(key []byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return false
	}
	for i, o := range g.ops {
		if string(o.key) == string(key) {
			g.ops = append(g.ops[:i], g.ops[i+1:]...)
			break
		}
	}
	return true
}

// seal queues the group.
func (g *group) seal(j *journal, more ...op) *batch {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.over {
		g.over, g.batch = true, j.queue(append(g.ops, more...)...)
		close(g.sealed)
	}
	return g.batch
}

// queued reports whether the group is on its way to the store.
func (g *group) queued() bool {
	select {
	case <-g.sealed:
		return true
	default:
		return false
	}
}

// wait returns nil when the group is written.
func (g *group) wait() error {
	<-g.sealed
	return g.batch.wait()
}
