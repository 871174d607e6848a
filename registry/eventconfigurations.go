package registry

import (
	"context"
	"fmt"
	"maps"

	"github.com/muster-mqtt/muster"
)

// SetEvents switches kinds of events of the account on and off, by the names of
// AWS's eventConfigurations. Kinds that are not given stay as they are.
func (s *Store) SetEvents(ctx context.Context, account string, events map[muster.EventKind]bool) error {
	for kind := range events {
		if !kind.Valid() {
			return fmt.Errorf("event type %.40q: want one of %v: %w", kind, muster.EventKinds(), muster.ErrInvalid)
		}
	}
	now := s.now()
	return s.update(ctx, func(t *tx) error {
		a, version, err := read[muster.Account](t, KindAccount, account)
		if err != nil {
			return err
		}
		changed := map[muster.EventKind]bool{}
		maps.Copy(changed, a.Events)
		for kind, on := range events {
			if changed[kind] = on; !on {
				delete(changed, kind)
			}
		}
		if maps.Equal(changed, a.Events) {
			return nil
		}
		a.Events, a.EventsModified = changed, now
		return t.put(version, &a)
	})
}
