package webhook

import (
	"bytes"
	"sync"
)

// Bounds of what waits for one receiver, and of one request.
const (
	maxQueued     = 10_000   // events
	maxQueuedSize = 16 << 20 // their bytes
	maxBatch      = 100      // events
	maxBatchSize  = 64 << 10 // their bytes, unless the first alone has more
)

// queue holds the events that wait for one receiver, as JSON.
type queue struct {
	observer Observer
	ready    chan struct{} // holds a token after a put

	mu    sync.Mutex
	texts [][]byte // the oldest first
	size  int      // their bytes
	lost  int      // dropped since the last take
}

func newQueue(o Observer) *queue { return &queue{observer: o, ready: make(chan struct{}, 1)} }

// put adds an event. The oldest make room: what happened last tells best how
// things stand.
func (q *queue) put(text []byte) {
	q.mu.Lock()
	dropped := 0
	for len(q.texts) > 0 && (len(q.texts) >= maxQueued || q.size+len(text) > maxQueuedSize) {
		q.drop()
		dropped++
	}
	q.lost += dropped
	q.texts = append(q.texts, text)
	q.size += len(text)
	q.observer.Dropped(dropped)
	q.observer.Queued(1 - dropped) // before anybody can take it: fewer than none never wait
	q.mu.Unlock()

	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// drop removes the oldest. It is called with mu held.
func (q *queue) drop() {
	q.size -= len(q.texts[0])
	q.texts[0] = nil
	q.texts = q.texts[1:]
}

// take removes what fits into one request, and returns its body and how many
// events are in it: 0 if none waits. They count as waiting until the request is
// done, which is for who takes them to tell. lost is how many were dropped since
// the last time.
func (q *queue) take() (body []byte, events, lost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lost, q.lost = q.lost, 0
	if len(q.texts) == 0 {
		return nil, 0, lost
	}
	var b bytes.Buffer
	b.WriteString(`{"events":[`)
	for events < maxBatch && len(q.texts) > 0 && (events == 0 || b.Len()+len(q.texts[0]) <= maxBatchSize) {
		if events > 0 {
			b.WriteByte(',')
		}
		b.Write(q.texts[0])
		q.drop()
		events++
	}
	b.WriteString("]}\n")
	return b.Bytes(), events, lost
}

// clear drops all that waits and returns how many that were.
func (q *queue) clear() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.texts)
	q.texts, q.size = nil, 0
	q.observer.Queued(-n)
	q.observer.Dropped(n)
	return n
}
