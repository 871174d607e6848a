package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A writer that takes no turn hangs after a minute, and no earlier.
func TestWriterHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &daemon{}
		if err := d.alive(); err != nil {
			t.Errorf("before it runs: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended, stuck := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			d.writer.feel(ctx, func(ctx context.Context) error {
				select {
				case <-stuck:
					<-ctx.Done()
					return ctx.Err()
				default:
					return nil
				}
			})
		}()
		time.Sleep(10 * time.Minute) // of the bubble, which does not wait
		if err := d.alive(); err != nil {
			t.Errorf("while it takes turns: %v", err)
		}
		close(stuck)
		time.Sleep(hangsAfter - beatEvery)
		if err := d.alive(); err != nil {
			t.Errorf("when it hangs for less than %v: %v", hangsAfter, err)
		}
		time.Sleep(2 * beatEvery)
		if err := d.alive(); err == nil || !strings.Contains(err.Error(), "registry: no sign of life for ") {
			t.Errorf("when it hangs: %v", err)
		}
		cancel()
		<-ended
	})
}

// One that answers with errors, and does not say that it writes no more, hangs
// as well.
func TestWriterFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &daemon{}
		d.writer.beat()
		ctx, cancel := context.WithTimeout(t.Context(), hangsAfter+beatEvery)
		defer cancel()
		d.writer.feel(ctx, func(context.Context) error { return errors.New("no turn") })
		if d.alive() == nil {
			t.Error("it lives")
		}
	})
}

// queue is a listener that accepts what the test sends.
type queue struct {
	net.Listener
	next chan error
}

func (q queue) Accept() (net.Conn, error) { return nil, <-q.next }
func (q queue) Addr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8883} }
func (q queue) Close() error              { return nil }

func TestLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue{next: make(chan error)}
		d := &daemon{}
		if got := text(d.loops.accepting()); got != "none is open yet" {
			t.Errorf("at first: %q", got)
		}
		l := d.loops.watch("mqtt", q)[0]
		is := func(when, ready, alive string) {
			t.Helper()
			if got := text(d.loops.accepting()); got != ready {
				t.Errorf("%s: accepting is %q, want %q", when, got, ready)
			}
			if got := text(d.alive()); got != alive {
				t.Errorf("%s: alive is %q, want %q", when, got, alive)
			}
		}
		accept := func() {
			go func() { _, _ = l.Accept() }()
			synctest.Wait()
		}
		is("before it began", "", "")
		accept()
		time.Sleep(time.Hour)
		is("while it waits for devices", "", "")
		q.next <- nil
		synctest.Wait()
		is("with one in hand", "", "")
		time.Sleep(beatEvery + time.Second)
		is("with one in hand for long", "mqtt at 127.0.0.1:8883: no connection was taken for 6s", "")
		time.Sleep(hangsAfter)
		is("with one in hand for too long", "mqtt at 127.0.0.1:8883: no connection was taken for 1m6s",
			"listeners: mqtt at 127.0.0.1:8883: no connection was taken for 1m6s")
		accept()
		q.next <- errors.New("too many open files")
		synctest.Wait()
		is("after an error", "mqtt at 127.0.0.1:8883: too many open files", "")
		accept()
		is("when it tries again", "", "")
		_ = l.Close()
		q.next <- net.ErrClosed
		synctest.Wait()
		time.Sleep(time.Hour)
		is("closed on purpose", "mqtt at 127.0.0.1:8883: use of closed network connection", "")
	})
}
