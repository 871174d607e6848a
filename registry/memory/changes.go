package memory

import (
	"sort"
	"sync"

	"github.com/muster-mqtt/muster/registry"
)

// held is how many changes Changes can go back.
const held = 65536

type change struct {
	seq  uint64
	kind registry.Kind
	id   string
}

// changeLog holds the last changes. A change's place is its number since the
// engine was made.
type changeLog struct {
	mu      sync.Mutex
	changes []change      // the last ones, oldest first
	dropped int           // how many came before them
	floor   uint64        // sequence of the last dropped one
	wake    chan struct{} // closed when changes are added
}

func (l *changeLog) add(cs []change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes = append(l.changes, cs...)
	// Dropped in bulk, so that adding stays cheap.
	if over := len(l.changes) - held; over > held/8 {
		l.floor = l.changes[over-1].seq
		l.dropped += over
		l.changes = append([]change(nil), l.changes[over:]...)
	}
	close(l.wake)
	l.wake = make(chan struct{})
}

// find returns the place of the first change with a sequence above after.
func (l *changeLog) find(after uint64) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after < l.floor {
		return 0, registry.ErrTooOld
	}
	n := sort.Search(len(l.changes), func(i int) bool { return l.changes[i].seq > after })
	return l.dropped + n, nil
}

// at returns the change at place n; if there is none yet, a channel that is
// closed when there may be.
func (l *changeLog) at(n int) (c change, ok bool, wake <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case n < l.dropped:
		return change{}, false, nil, registry.ErrTooOld
	case n < l.dropped+len(l.changes):
		return l.changes[n-l.dropped], true, nil, nil
	}
	return change{}, false, l.wake, nil
}
