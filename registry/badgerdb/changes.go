package badgerdb

import (
	"context"
	"sort"
	"sync"

	"github.com/muster-mqtt/muster/registry"
)

// ringSize is how many changes Changes can go back.
const ringSize = 65536

type change struct {
	seq  uint64
	kind registry.Kind
	id   string
}

// changeRing holds the last changes. A change's place is its number since the
// engine was opened; place n is in slots[n % ringSize].
type changeRing struct {
	mu    sync.Mutex
	slots []change
	end   int           // the place after the newest change
	floor uint64        // sequence of the newest change that is not held any more
	wake  chan struct{} // closed when changes are added
}

func newChangeRing(seq uint64) *changeRing {
	return &changeRing{floor: seq, wake: make(chan struct{})}
}

func (r *changeRing) add(changes []change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range changes {
		if len(r.slots) < ringSize {
			r.slots = append(r.slots, c)
		} else {
			slot := &r.slots[r.end%ringSize]
			r.floor = slot.seq
			*slot = c
		}
		r.end++
	}
	close(r.wake)
	r.wake = make(chan struct{})
}

// find returns the place of the first change with a sequence above after.
func (r *changeRing) find(after uint64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if after < r.floor {
		return 0, registry.ErrTooOld
	}
	start := r.end - len(r.slots)
	n := sort.Search(len(r.slots), func(i int) bool { return r.slots[(start+i)%ringSize].seq > after })
	return start + n, nil
}

// read fills buf with the changes from place n on, and returns how many; if
// there are none, wake is closed when there are.
func (r *changeRing) read(n int, buf []change) (count int, wake <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n < r.end-len(r.slots) {
		return 0, nil, registry.ErrTooOld
	}
	for count < len(buf) && n+count < r.end {
		buf[count] = r.slots[(n+count)%ringSize]
		count++
	}
	return count, r.wake, nil
}

// Changes is specified by registry.Engine; the last 65,536 changes since Open
// are held.
func (e *Engine) Changes(ctx context.Context, after uint64, fn func(uint64, registry.Kind, string) error) error {
	place, err := e.changes.find(after)
	if err != nil {
		return err
	}
	buf := make([]change, 256)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, wake, err := e.changes.read(place, buf)
		if err != nil {
			return err
		}
		place += n
		if err := tell(ctx, after, buf[:n], fn); err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
		case <-e.ended:
			return e.Err()
		}
	}
}

// tell skips what the caller has seen: a view may show a commit a moment before
// its changes are in the ring.
func tell(ctx context.Context, after uint64, changes []change, fn func(uint64, registry.Kind, string) error) error {
	for _, c := range changes {
		if c.seq <= after {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(c.seq, c.kind, c.id); err != nil {
			return err
		}
	}
	return nil
}
