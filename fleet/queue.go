package fleet

import "sync"

// Bounds of what waits. A request has at most maxPayload bytes.
const (
	maxWaiting        = 1024
	maxAccountWaiting = maxWaiting / 2
	maxClientWaiting  = 8
)

// queue gives each account its turn, and in an account each client. A client has
// one request worked on at a time, in the order in which they came.
type queue struct {
	share int // of the requests worked on, that one account may have

	mu      sync.Mutex
	changed *sync.Cond // a request may be taken, or the queue is closed
	closed  bool
	waiting int
	lanes   map[string]*lane // of accounts that have requests
	turns   []*lane          // of those that have some to take, the next first
}

// lane holds the requests of an account.
type lane struct {
	account          string
	waiting, running int
	clients          map[string]*client // that have requests
	turns            []*client          // of those that have some and none worked on, the next first
}

type client struct {
	id      string
	waiting []Request
	lane    *lane
}

// task is a request that was taken. It is given back by done.
type task struct {
	Request
	client *client
}

// newQueue makes one for as many workers. One account has at most three quarters
// of them: its hook may be slow.
func newQueue(workers int) *queue {
	q := &queue{share: max(1, (3*workers+3)/4), lanes: map[string]*lane{}}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// put adds a request. It reports false when there is no room.
func (q *queue) put(r Request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lanes[r.Account]
	if l == nil {
		l = &lane{account: r.Account, clients: map[string]*client{}}
	}
	c := l.clients[r.ClientID]
	idle := c == nil
	if idle {
		c = &client{id: r.ClientID, lane: l}
	}
	if q.closed || q.waiting == maxWaiting || l.waiting == maxAccountWaiting || len(c.waiting) == maxClientWaiting {
		return false
	}
	q.lanes[r.Account], l.clients[r.ClientID] = l, c
	c.waiting = append(c.waiting, r)
	l.waiting++
	q.waiting++
	if idle {
		q.queue(c)
	}
	return true
}

// queue gives a client that has nothing worked on its place. q.mu is held.
func (q *queue) queue(c *client) {
	if len(c.lane.turns) == 0 {
		q.turns = append(q.turns, c.lane)
	}
	c.lane.turns = append(c.lane.turns, c)
	q.changed.Signal()
}

// take waits for a request; ok is false when the queue was closed.
func (q *queue) take() (t task, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed {
		for i, l := range q.turns {
			if l.running < q.share {
				q.turns = append(q.turns[:i], q.turns[i+1:]...)
				return q.takeFrom(l), true
			}
		}
		q.changed.Wait()
	}
	return task{}, false
}

// takeFrom takes the next of a lane that has left its place in turns, and gives
// it one at the end where it has more. q.mu is held.
func (q *queue) takeFrom(l *lane) task {
	c := l.turns[0]
	l.turns = l.turns[1:]
	if len(l.turns) > 0 {
		q.turns = append(q.turns, l)
	}
	r := c.waiting[0]
	c.waiting[0] = Request{} // its payload is not held any longer
	c.waiting = c.waiting[1:]
	l.waiting--
	l.running++
	q.waiting--
	return task{r, c}
}

// done gives a task back.
func (q *queue) done(t task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := t.client.lane
	l.running--
	if len(t.client.waiting) > 0 {
		q.queue(t.client)
	} else {
		delete(l.clients, t.client.id)
	}
	if len(l.clients) == 0 {
		delete(q.lanes, l.account)
	}
	q.changed.Signal() // an account may have another one worked on
}

// close has take return for good, and returns what still waited.
func (q *queue) close() []Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	var left []Request
	for _, l := range q.lanes {
		for _, c := range l.clients {
			left = append(left, c.waiting...)
			c.waiting = nil
		}
	}
	q.changed.Broadcast()
	return left
}
