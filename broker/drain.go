package broker

import (
	"context"
	"fmt"
	"time"
)

// leastFarewells is how many clients a second are told at least that the server
// stops: a spread serves the herd, and a few clients are none.
const leastFarewells = 100

// settleTimeout bounds the wait for connections to end after the last was told;
// those that are left are cut off, and have as long again.
const settleTimeout = 3 * time.Second

// SetDrain changes over how long goodbyes are spread when Serve stops. A drain
// under way keeps its pace.
func (b *Broker) SetDrain(d time.Duration) { b.drainTime.Store(int64(d)) }

// Drain is over how long goodbyes are spread.
func (b *Broker) Drain() time.Duration { return time.Duration(b.drainTime.Load()) }

// Hurry has a drain, under way or to come, take leave of all clients at once.
func (b *Broker) Hurry() { b.hurry.Do(func() { close(b.hurried) }) }

// drain tells every client that the server stops, one after another, waits for
// the connections to end, cuts off those that do not, and stops the servers of
// the accounts. It ends within the time of the drain and twice settleTimeout.
func (b *Broker) drain() error {
	conns := b.live.close()
	gone := make(chan struct{})
	go func() {
		b.conns.Wait()
		close(gone)
	}()
	b.takeLeave(conns, gone)
	if !within(gone, settleTimeout) {
		left := b.live.all()
		b.log.Warn().Int("connections", len(left)).Msg("connections did not end in time and are cut off")
		for _, c := range left {
			_ = c.NetConn().Close()
		}
		if !within(gone, settleTimeout) { // mochi's Close would wait for them without end
			return fmt.Errorf("stopping: %d connections did not end", len(b.live.all()))
		}
	}
	return b.servers.close()
}

// takeLeave sends the connections away, at an even pace, in no order: devices
// that came together shall not come back together. Who has no session yet was
// promised nothing, and goes first. It does not wait for who has gone already.
func (b *Broker) takeLeave(conns []*conn, gone <-chan struct{}) {
	var sessions []*conn
	for _, c := range conns {
		if c.attached() == nil {
			c.shutdown()
			continue
		}
		sessions = append(sessions, c)
	}
	if len(sessions) == 0 {
		return
	}
	pace, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		defer stop()
		select {
		case <-b.hurried:
		case <-gone:
		case <-pace.Done():
		}
	}()
	pause := min(b.Drain()/time.Duration(len(sessions)), time.Second/leastFarewells)
	b.log.Info().Str("event", "draining").Int("connections", len(sessions)).
		Dur("over", pause*time.Duration(len(sessions))).Msg("clients are told that the server stops")
	start := time.Now()
	for i, c := range sessions {
		sleepUntil(pace, start.Add(time.Duration(i)*pause)) // at once, when pace has ended
		c.shutdown()
	}
}

func within(done <-chan struct{}, d time.Duration) bool {
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}
