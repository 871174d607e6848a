package registry

import (
	"context"

	"github.com/muster-mqtt/muster"
)

// PolicyTargets lists what a policy is attached to: certificates by their IDs,
// then thing groups by their names.
func (s *Store) PolicyTargets(ctx context.Context, account, name string, p Page) (found []muster.ResourceKey, next Cursor, err error) {
	if err := s.hasPolicy(ctx, account, name); err != nil {
		return nil, nil, err
	}
	at, err := targetPlace(p.After)
	if err != nil {
		return nil, nil, err
	}
	limit := min(p.Limit, maxPage)
	if limit <= 0 {
		limit = defaultPage
	}
	err = s.engine.View(ctx, func(r Reader) error {
		found, next = nil, nil
		for {
			q := policyQuery(account, name)
			q.After, q.Limit = at.after, limit-len(found)
			docs, more, err := r.List(at.kind(), q)
			if err != nil {
				return err
			}
			kind, _ := resourceKind(at.kind())
			for _, d := range docs {
				found = append(found, muster.ResourceKey{Kind: kind, ID: documentName(at.kind(), d.ID)})
			}
			switch {
			case more != nil:
				at.after = more
			case int(at.index)+1 == len(targetKinds()):
				return nil
			default:
				at = targetCursor{index: at.index + 1}
			}
			if len(found) == limit {
				next = at.cursor()
				return nil
			}
		}
	})
	return found, next, err
}

// PolicyCertificates lists the IDs of the certificates that a policy is attached
// to.
func (s *Store) PolicyCertificates(ctx context.Context, account, name string, p Page) (ids []string, next Cursor, err error) {
	if err := s.hasPolicy(ctx, account, name); err != nil {
		return nil, nil, err
	}
	q := policyQuery(account, name)
	q.After, q.Desc, q.Limit = p.After, p.Desc, min(p.Limit, maxPage)
	err = s.engine.View(ctx, func(r Reader) error {
		docs, more, err := r.List(KindCert, q)
		ids, next = make([]string, len(docs)), more
		for i, d := range docs {
			ids[i] = documentName(KindCert, d.ID)
		}
		return err
	})
	return ids, next, err
}

// ThingPolicies returns the policies that a thing brings to the certificates it is
// attached to: those of its groups and their parents, by name.
func (s *Store) ThingPolicies(ctx context.Context, account, thing string) ([]muster.PrincipalPolicy, error) {
	if _, err := s.sharedThing(ctx, account, thing); err != nil {
		return nil, err
	}
	w := &principalWalk{store: s, account: account}
	if err := w.thing(ctx, thing, ""); err != nil {
		return nil, err
	}
	for _, name := range sortedNames(w.policies) {
		if err := w.policy(ctx, name); err != nil {
			return nil, err
		}
	}
	return w.principal.Policies, nil
}

func (s *Store) hasPolicy(ctx context.Context, account, name string) error {
	_, err := s.sharedPolicy(ctx, account, name)
	return err
}

func policyQuery(account, name string) Query {
	return Query{Index: IndexPolicy, Prefix: Key(account, name), OnlyIDs: true}
}

// targetKinds are what policies are attached to, in the order of a list.
func targetKinds() []Kind { return []Kind{KindCert, KindThingGroup} }

// targetCursor is a place in a list of two kinds: in one of them, after a
// document. As a Cursor it begins with the index of the kind.
type targetCursor struct {
	index byte
	after Cursor // nil is the start
}

func targetPlace(c Cursor) (targetCursor, error) {
	if c == nil {
		return targetCursor{}, nil
	}
	if len(c) == 0 || int(c[0]) >= len(targetKinds()) {
		return targetCursor{}, ErrCursor
	}
	at := targetCursor{index: c[0]}
	if len(c) > 1 {
		at.after = c[1:]
	}
	return at, nil
}

func (c targetCursor) kind() Kind { return targetKinds()[c.index] }

func (c targetCursor) cursor() Cursor { return append(Cursor{c.index}, c.after...) }
