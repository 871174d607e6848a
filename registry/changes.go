package registry

import (
	"context"

	"github.com/muster-mqtt/muster"
)

// Changes calls fn for every change to a resource with a sequence above after,
// in commit order, until ctx ends or fn fails. A tombstone is a change of its
// certificate. It returns ErrTooOld when changes after that point are not held
// any more: drop what was derived and begin again at Seq. fn never reads what
// the change replaced.
func (s *Store) Changes(ctx context.Context, after uint64, fn func(muster.Change) error) error {
	return s.engine.Changes(ctx, after, func(seq uint64, k Kind, id string) error {
		// The engine may tell of a change before the Update that made it has
		// returned, and so before update dropped the replaced value.
		s.forget(k, id, writeIsDone)
		kind, ok := resourceKind(k)
		if !ok {
			return nil
		}
		change := muster.Change{Seq: seq, Kind: kind, Account: id, ID: id}
		if k != KindAccount {
			change.Account, change.ID = split(k, id)
		}
		return fn(change)
	})
}

func resourceKind(k Kind) (muster.ResourceKind, bool) {
	switch k {
	case KindAccount:
		return muster.KindAccount, true
	case KindAuthority:
		return muster.KindAuthority, true
	case KindIssuer:
		return muster.KindIssuer, true
	case KindCert, KindTombstone:
		return muster.KindCertificate, true
	case KindThing:
		return muster.KindThing, true
	case KindThingType:
		return muster.KindThingType, true
	case KindThingGroup:
		return muster.KindThingGroup, true
	case KindPolicy:
		return muster.KindPolicy, true
	case KindTemplate:
		return muster.KindTemplate, true
	}
	return "", false
}
