// Package memory is a registry.Engine that keeps everything in memory. It is
// the model that other engines are compared with, and the engine of tests: each
// state is an immutable tree, a closure that fails is a tree that nobody keeps,
// and a reader is a tree that nobody changes. It shares no code with
// registry/badgerdb, so that the two check each other.
package memory

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"github.com/muster-mqtt/muster/registry"
)

// Engine is a registry.Engine in memory. Its methods may be called
// concurrently, and View from within any closure.
type Engine struct {
	turn   chan struct{}           // holds one value while an Update runs
	holder atomic.Pointer[string]  // goroutine that holds the turn, while it runs a closure
	now    atomic.Pointer[state]   // the last committed state
	log    changeLog               // what Changes tells
	failed atomic.Pointer[failure] // set by Fail
	closed chan struct{}           // closed by Close
	ending atomic.Bool             // Close has been called
}

// state is one committed state. It is never changed.
type state struct {
	root *node
	seq  uint64
}

type failure struct{ err error }

// New returns an empty engine.
func New() *Engine {
	e := &Engine{turn: make(chan struct{}, 1), closed: make(chan struct{})}
	e.now.Store(&state{})
	e.log.wake = make(chan struct{})
	return e
}

// View runs fn on the last committed state.
func (e *Engine) View(ctx context.Context, fn func(registry.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.ending.Load() {
		return registry.ErrClosed
	}
	r := &reader{state: *e.now.Load()}
	defer func() { r.ended = true }()
	return fn(r)
}

// Update runs fn on its caller's goroutine. A panic in fn is returned as an
// error that holds the stack.
func (e *Engine) Update(ctx context.Context, fn func(registry.Tx) error) error {
	self := goroutine()
	if holder := e.holder.Load(); holder != nil && *holder == self {
		return registry.ErrNested
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.closed:
		return registry.ErrClosed
	}
	defer func() { <-e.turn }()
	// The turn may have come at the very moment that something else ended.
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := e.Err(); err != nil {
		return err
	}

	e.holder.Store(&self)
	defer e.holder.Store(nil)
	t := &tx{reader: reader{state: *e.now.Load()}}
	if err := t.run(fn); err != nil {
		return err
	}
	if len(t.changes) > 0 {
		e.now.Store(&state{root: t.root, seq: t.seq})
		e.log.add(t.changes)
	}
	return nil
}

func (t *tx) run(fn func(registry.Tx) error) (err error) {
	defer func() {
		t.ended = true
		if r := recover(); r != nil {
			err = fmt.Errorf("memory: update closure panicked: %v\n%s", r, debug.Stack())
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	return t.tooLarge
}

// Changes is specified by registry.Engine; the last 65,536 changes are held.
func (e *Engine) Changes(ctx context.Context, after uint64, fn func(uint64, registry.Kind, string) error) error {
	next, err := e.log.find(after)
	if err != nil {
		return err
	}
	for {
		c, ok, wake, err := e.log.at(next)
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if ok {
			if err := fn(c.seq, c.kind, c.id); err != nil {
				return err
			}
			next++
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-e.closed:
			return registry.ErrClosed
		}
	}
}

// Verify has no disk to read.
func (e *Engine) Verify(ctx context.Context) error {
	if e.ending.Load() {
		return registry.ErrClosed
	}
	return ctx.Err()
}

// Fail makes the engine behave as one whose disk failed: every later Update
// returns registry.ErrFailed, and reads go on. It is there for tests of what
// stands on an engine.
func (e *Engine) Fail(cause error) {
	e.failed.Store(&failure{fmt.Errorf("%w: %w", registry.ErrFailed, cause)})
}

// Err is nil until Fail or Close.
func (e *Engine) Err() error {
	if e.ending.Load() {
		return registry.ErrClosed
	}
	if f := e.failed.Load(); f != nil {
		return f.err
	}
	return nil
}

// Close ends the engine and drops what it held. Closing twice is harmless.
func (e *Engine) Close() error {
	if e.ending.CompareAndSwap(false, true) {
		close(e.closed)
		e.now.Store(&state{})
	}
	return nil
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
