package registry

import (
	"context"
	"errors"
	"slices"

	"github.com/muster-mqtt/muster"
)

// Principal returns what a connection with this certificate may act as: the
// policies attached to it and to the groups of its things, up to the seventh
// parent, each once and by name; and the thing that the connection is: the one
// that has the certificate exclusively, or else the one that is named as the client
// ID, if the certificate is attached to it. Watch names everything that was looked
// at, so that a change of one of these, and of nothing else, asks for a new
// answer. It is read from the caches, not from one state: ask again at a change. A
// claim has one policy of its own.
func (s *Store) Principal(ctx context.Context, account, certificateID, clientID string) (muster.Principal, error) {
	c, err := s.current(ctx, account, certificateID)
	if err != nil {
		return muster.Principal{}, err
	}
	if c.Claim != "" {
		return claimPrincipal(c), nil
	}
	w := &principalWalk{store: s, account: account, policies: slices.Clone(c.Policies)}
	w.principal.Certificate = c
	w.watch(muster.KindCertificate, c.ID)
	if c.AuthorityID != "" {
		w.watch(muster.KindIssuer, c.AuthorityID) // for its OCSP settings, by which the session stands
	}
	for _, name := range c.Things {
		if c.Exclusive {
			clientID = name // it is that thing, whatever it calls itself
		}
		if err := w.thing(ctx, name, clientID); err != nil {
			return muster.Principal{}, err
		}
	}
	for _, name := range sortedNames(w.policies) {
		if err := w.policy(ctx, name); err != nil {
			return muster.Principal{}, err
		}
	}
	return w.principal, nil
}

// principalWalk gathers a principal. What a name refers to may be deleted since
// the name was read: it is watched and otherwise passed over.
type principalWalk struct {
	store     *Store
	account   string
	policies  []string // names found so far
	principal muster.Principal
	watched   map[muster.ResourceKey]bool // what Watch has; a hundred things may have thousands of groups
}

// watch reports whether it is the first to watch a resource.
func (w *principalWalk) watch(kind muster.ResourceKind, id string) bool {
	key := muster.ResourceKey{Kind: kind, ID: id}
	if w.watched[key] {
		return false
	}
	if w.watched == nil {
		w.watched = make(map[muster.ResourceKey]bool)
	}
	w.watched[key] = true
	w.principal.Watch = append(w.principal.Watch, key)
	return true
}

func (w *principalWalk) thing(ctx context.Context, name, clientID string) error {
	w.watch(muster.KindThing, name)
	thing, err := w.store.sharedThing(ctx, w.account, name)
	if err != nil {
		return unlessGone(err)
	}
	if name == clientID {
		own := unsharedThing(thing)
		w.principal.Thing = &own
	}
	for _, group := range thing.Groups {
		if err := w.group(ctx, group); err != nil {
			return err
		}
	}
	return nil
}

// group adds the policies of a group and its parents, up to one that it has
// looked at before.
func (w *principalWalk) group(ctx context.Context, name string) error {
	for level := 0; name != "" && level < maxGroupLevels; level++ {
		if !w.watch(muster.KindThingGroup, name) {
			return nil
		}
		g, err := w.store.sharedGroup(ctx, w.account, name)
		if err != nil {
			return unlessGone(err)
		}
		w.policies = append(w.policies, g.Policies...)
		name = g.Parent
	}
	return nil
}

func (w *principalWalk) policy(ctx context.Context, name string) error {
	w.watch(muster.KindPolicy, name)
	p, err := w.store.sharedPolicy(ctx, w.account, name)
	if err != nil {
		return unlessGone(err)
	}
	w.principal.Policies = append(w.principal.Policies, muster.PrincipalPolicy{Name: name, Version: p.Default, Document: p.Document()})
	return nil
}

func unlessGone(err error) error {
	if errors.Is(err, muster.ErrNotFound) {
		return nil
	}
	return err
}
