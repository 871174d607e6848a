package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// What hangs for so long will not come back by itself. A disk may stall for half
// a minute, and a restart would not make it faster.
const (
	hangsAfter = time.Minute
	beatEvery  = 5 * time.Second
)

// alive returns what hangs, nil if nothing does: the registry's writer, or a loop
// that accepts connections. What fails, and says so, does not hang.
func (d *daemon) alive() error {
	found, passed := examine(context.Background(), d.vital())
	if passed {
		return nil
	}
	var errs []error
	for _, f := range found {
		if f.wrong != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.name, f.wrong))
		}
	}
	return errors.Join(errs...)
}

// vital are the checks of alive, and of /livez.
func (d *daemon) vital() []check {
	return []check{
		{name: "registry", find: func(context.Context) error { return d.writer.hangs() }},
		{name: "listeners", find: func(context.Context) error { return d.loops.hang() }},
	}
}

// pulse is when something last showed that it lives.
type pulse struct {
	mu sync.Mutex
	at time.Time
}

func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = time.Now()
}

func (p *pulse) hangs() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if since := time.Since(p.at); !p.at.IsZero() && since > hangsAfter {
		return fmt.Errorf("no sign of life for %v", since.Round(time.Second))
	}
	return nil
}

// feel takes the pulse of the registry's writer until ctx ends.
func (p *pulse) feel(ctx context.Context, writer func(context.Context) error) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		if writer(ctx) == nil {
			p.beat()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// loops are the loops that accept connections.
type loops struct {
	mu  sync.Mutex
	all []*loop
}

// watch returns listeners that tell how their loops are.
func (l *loops) watch(name string, listeners ...net.Listener) []net.Listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	watched := make([]net.Listener, len(listeners))
	for i, listener := range listeners {
		one := &loop{Listener: listener, name: name, away: time.Now()}
		l.all, watched[i] = append(l.all, one), one
	}
	return watched
}

// accepting returns the loops that take no connections.
func (l *loops) accepting() error { return l.each((*loop).idle) }

// hang returns the loops that have not come back to Accept.
func (l *loops) hang() error {
	if err := l.each((*loop).hangs); !errors.Is(err, errNoLoop) {
		return err
	}
	return nil
}

var errNoLoop = errors.New("none is open yet")

func (l *loops) each(find func(*loop) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return errNoLoop
	}
	var errs []error
	for _, one := range l.all {
		if err := find(one); err != nil {
			errs = append(errs, fmt.Errorf("%s at %s: %w", one.name, one.Addr(), err))
		}
	}
	return errors.Join(errs...)
}

// loop is a listener that knows whether somebody waits in its Accept.
type loop struct {
	net.Listener
	name string

	mu     sync.Mutex
	away   time.Time // since when nobody does; zero while one does
	err    error     // of the last Accept
	closed bool
}

// Accept notes when the loop comes and goes.
func (l *loop) Accept() (net.Conn, error) {
	l.note(time.Time{}, nil)
	c, err := l.Listener.Accept()
	l.note(time.Now(), err)
	return c, err
}

func (l *loop) note(away time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away, l.err = away, err
}

// Close ends the loop on purpose.
func (l *loop) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	return l.Listener.Close()
}

// idle returns why no connection is taken at present.
func (l *loop) idle() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return net.ErrClosed
	case l.away.IsZero():
		return nil
	case l.err != nil: // it waits before it tries again
		return l.err
	case time.Since(l.away) > beatEvery:
		return fmt.Errorf("no connection was taken for %v", time.Since(l.away).Round(time.Second))
	}
	return nil
}

func (l *loop) hangs() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := time.Since(l.away); !l.closed && !l.away.IsZero() && since > hangsAfter {
		return fmt.Errorf("no connection was taken for %v", since.Round(time.Second))
	}
	return nil
}
