package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	sessionRounds = 12 // in which the server is killed
	roundMessages = 36 // at most, of both publishers: all of them wait for who is away
	openAtOnce    = 6  // messages of a publisher that have no answer yet
)

const anything = `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}}`

// TestSessionsSurviveKill kills the server in the middle of traffic of QoS 1 and
// 2, again and again. What was acknowledged to a publisher arrives at everyone
// who has a session, be it there or away; of QoS 2 each message once, whatever was
// sent again; what is retained is at least as new as what was acknowledged.
func TestSessionsSurviveKill(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.registered(t, "fleet", anything)
	writers := []*keeper{newKeeper("writer4", 4, c), newKeeper("writer5", 5, c)}
	readers := []*keeper{newKeeper("reader4", 4, c), newKeeper("reader5", 5, c), newKeeper("away4", 4, c), newKeeper("away5", 5, c)}
	there, away := readers[:2], readers[2:]
	for _, k := range slices.Concat(readers, writers) {
		ended := s.resume(t, k, false)
		if k.name[0] != 'w' {
			k.subscribe(t, "news/#")
		}
		k.leave(ended)
	}
	sent := 0
	for range sessionRounds {
		sent = s.killed(t, writers, there, sent)
		s.start(t)
		s.retainedStands(t, writers, c)
	}
	s.drained(t, writers, readers)
	told := 0
	for _, w := range writers {
		told += len(w.acknowledged())
		for _, r := range readers {
			w.arrived(t, r)
		}
	}
	for _, r := range away {
		r.inOrder(t)
	}
	if told < sessionRounds*roundMessages/4 {
		t.Errorf("only %d messages were acknowledged: the test shows little", told)
	}
	t.Logf("%d messages, %d acknowledged while %d servers were killed", sent, told, sessionRounds)
}

// resume connects a client to its session, which must be there unless it begins.
func (s *server) resume(t *testing.T, k *keeper, present bool) (ended <-chan struct{}) {
	t.Helper()
	ended, err := k.connect(s, false)
	if err != nil {
		t.Fatal(err)
	}
	if k.present != present {
		t.Errorf("%s: session present is %v, want %v", k.name, k.present, present)
	}
	return ended
}

// killed publishes until the server is killed, after a random number of
// acknowledgements, and returns how many messages were sent so far.
func (s *server) killed(t *testing.T, writers, readers []*keeper, sent int) int {
	t.Helper()
	var ended []<-chan struct{}
	for _, k := range slices.Concat(readers, writers) {
		ended = append(ended, s.resume(t, k, true))
	}
	var acknowledged atomic.Int32
	enough, dead := 1+rand.Int32N(roundMessages-1), make(chan struct{})
	for _, w := range writers {
		w.whenAnswered(func() { // the server has no time for anything after it answered
			if acknowledged.Add(1) == enough {
				_ = s.cmd.Process.Kill()
				close(dead)
			}
		})
	}
	for n, deadline := 0, time.Now().Add(deviceTimeout); n < roundMessages && acknowledged.Load() < enough; {
		w := writers[n%len(writers)]
		if w.pending() >= openAtOnce {
			if time.Now().After(deadline) {
				t.Fatalf("%s has %d messages without an answer", w.name, w.pending())
			}
			time.Sleep(100 * time.Microsecond)
			continue
		}
		w.publish(message(w, sent))
		n, sent = n+1, sent+1
	}
	<-dead // the last of all messages may be the one
	s.crash()
	for _, e := range ended {
		<-e
	}
	return sent
}

func message(w *keeper, number int) outgoing {
	qos := byte(1 + number/2%2)
	return outgoing{
		topic: fmt.Sprintf("news/%s/%d", w.name, qos), payload: fmt.Sprintf("%s %d %06d", w.name, qos, number),
		qos: qos, retain: true, order: number,
	}
}

// retainedStands demands that what is retained is as new as what was acknowledged.
func (s *server) retainedStands(t *testing.T, writers []*keeper, c *certificate) {
	t.Helper()
	guest := newKeeper("guest", 4, c)
	ended, err := guest.connect(s, true)
	if err != nil {
		t.Fatal(err)
	}
	guest.subscribe(t, "news/+/+")
	for _, w := range writers {
		newest := map[string]string{}
		for _, payload := range w.acknowledged() {
			topic := "news/" + strings.Join(strings.Fields(payload)[:2], "/")
			newest[topic] = max(newest[topic], payload)
		}
		for topic, payload := range newest {
			eventually(t, deviceTimeout, "the retained message of "+topic+", "+payload+" or newer", func() bool {
				for _, m := range guest.messages() {
					if m.topic == topic && m.retained && m.payload >= payload {
						return true
					}
				}
				return false
			})
		}
	}
	guest.leave(ended)
}

// drained lets everything that is open come to its end.
func (s *server) drained(t *testing.T, writers, readers []*keeper) {
	t.Helper()
	var leaving sync.WaitGroup
	for _, k := range slices.Concat(writers, readers) {
		ended := s.resume(t, k, true)
		defer leaving.Go(func() { k.leave(ended) })
	}
	defer leaving.Wait()
	eventually(t, deviceTimeout, "all messages are acknowledged", func() bool {
		for _, w := range writers {
			if w.pending() > 0 {
				return false
			}
		}
		return true
	})
	writers[0].publish(outgoing{topic: "news/last", payload: "last", qos: 1, order: 1 << 30})
	for _, r := range readers {
		eventually(t, deviceTimeout, r.name+" has the last message", func() bool {
			all := r.messages()
			return len(all) > 0 && all[len(all)-1].payload == "last"
		})
	}
}

// arrived demands that what was acknowledged arrived: QoS 1 at least once, QoS 2
// once. Retained messages of the subscription itself do not count.
func (k *keeper) arrived(t *testing.T, r *keeper) {
	t.Helper()
	got := map[string]int{}
	for _, m := range r.messages() {
		got[m.payload]++
	}
	for _, payload := range k.acknowledged() {
		switch n := got[payload]; {
		case n == 0:
			t.Errorf("%s: %q was acknowledged and is lost", r.name, payload)
		case n > 1 && strings.HasPrefix(payload, k.name+" 2 "):
			t.Errorf("%s: %q, of QoS 2, came %d times", r.name, payload, n)
		}
	}
}

// inOrder demands that the messages of each publisher and QoS came in their
// order, but for those that came again.
func (k *keeper) inOrder(t *testing.T) {
	t.Helper()
	seen, last := map[string]bool{}, map[string]string{}
	for _, m := range k.messages() {
		if seen[m.payload] {
			continue
		}
		seen[m.payload] = true
		if m.payload < last[m.topic] {
			t.Errorf("%s: %q came after %q", k.name, m.payload, last[m.topic])
		}
		last[m.topic] = m.payload
	}
}
