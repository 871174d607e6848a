package registry

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/muster-mqtt/muster"
)

const (
	// maxGroups is how many groups a thing may be put into directly, as in AWS.
	maxGroups = 10
	// maxMoves is how many groups one change of memberships may name.
	maxMoves = 100
)

// crowded says that a thing would be put into more groups than it may be in, or
// returns "". had is how many it is in already.
func crowded(thing string, groups []string, had int) string {
	if n := len(groups); n > max(maxGroups, had) {
		return fmt.Sprintf("the thing %q would be in %d groups, at most %d may be", thing, n, maxGroups)
	}
	return ""
}

// AddThingToGroup puts a thing into a group, of at most ten: what connects as
// that thing has the policies of the group and of its parents. To put it there
// again changes nothing.
func (s *Store) AddThingToGroup(ctx context.Context, account, thing, group string) error {
	return s.MoveThing(ctx, account, thing, []string{group}, nil)
}

// RemoveThingFromGroup undoes AddThingToGroup, and what a template did. A thing
// that is not in the group is no error.
func (s *Store) RemoveThingFromGroup(ctx context.Context, account, thing, group string) error {
	return s.MoveThing(ctx, account, thing, nil, []string{group})
}

// MoveThing puts a thing into some groups and takes it out of others, all of which
// must exist, at once. Whoever follows the changes of the thing, as live sessions
// do, is told. Its Revision stays: it is that of what the thing says of itself.
func (s *Store) MoveThing(ctx context.Context, account, thing string, into, outOf []string) error {
	if n := len(into) + len(outOf); n > maxMoves {
		return fmt.Errorf("thing %s: %d groups at once, want at most %d: %w", thing, n, maxMoves, muster.ErrInvalid)
	}
	for _, group := range into {
		if slices.Contains(outOf, group) {
			return fmt.Errorf("thing %s: group %s is to be joined and left: %w", thing, group, muster.ErrInvalid)
		}
	}
	return s.update(ctx, func(t *tx) error {
		for _, group := range slices.Concat(into, outOf) {
			if err := require(t, KindThingGroup, docID(KindThingGroup, account, group)); err != nil {
				return err
			}
		}
		found, version, err := read[muster.Thing](t, KindThing, docID(KindThing, account, thing))
		if err != nil {
			return err
		}
		groups := sortedNames(slices.Concat(found.Groups, into))
		groups = slices.DeleteFunc(groups, func(name string) bool { return slices.Contains(outOf, name) })
		if slices.Equal(groups, found.Groups) {
			return nil
		}
		if len(groups) > max(maxGroups, len(found.Groups)) {
			return fmt.Errorf("thing %s: more than %d groups: %w", thing, maxGroups, muster.ErrLimit)
		}
		found.Groups = groups
		return t.put(version, &found)
	})
}

// ListThingsInGroup lists the things in a group by name; or, if recursive, those in
// it and then those in each group below it, by the names of these, each thing once.
func (s *Store) ListThingsInGroup(ctx context.Context, account, group string, recursive bool, p Page) ([]muster.Thing, Cursor, error) {
	if _, err := s.sharedGroup(ctx, account, group); err != nil {
		return nil, nil, err
	}
	if !recursive {
		return list[muster.Thing](ctx, s, KindThing, IndexGroup, Key(account, group), p)
	}
	var out []muster.Thing
	var next Cursor
	err := s.engine.View(ctx, func(r Reader) (err error) {
		w := &subtreeWalk{r: r, account: account, root: group, within: map[string]bool{group: true}}
		out, next, err = w.page(ctx, p)
		return err
	})
	return out, next, err
}

// subtreeWalk lists the things of a group and of all below it.
type subtreeWalk struct {
	r             Reader
	account, root string
	within        map[string]bool // whether a group is in the subtree, once that was asked
}

// page goes on from a cursor of its own: the group that it is in, and the engine's
// cursor within that. It takes no more steps than a filtered page does, for groups
// may be empty and things may have been listed with an earlier group.
func (w *subtreeWalk) page(ctx context.Context, p Page) (out []muster.Thing, next Cursor, err error) {
	limit := p.limit()
	group, after := w.root, Cursor(nil)
	if len(p.After) > 0 {
		name, rest, found := bytes.Cut(p.After, []byte{0})
		if !found {
			return nil, nil, ErrCursor
		}
		group, after = string(name), Cursor(rest)
	}
	for steps := 0; steps < maxScanned && len(out) < limit; steps++ {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		q := Query{Index: IndexGroup, Prefix: Key(w.account, group), After: after, Limit: limit - len(out)}
		things, more, err := readPage[muster.Thing](w.r, KindThing, q)
		if err != nil {
			return nil, nil, err
		}
		steps += len(things)
		for _, thing := range things {
			first, err := w.first(thing, group)
			if err != nil {
				return nil, nil, err
			}
			if first {
				out = append(out, thing)
			}
		}
		if after = more; more != nil {
			continue
		}
		if group, err = w.following(group); err != nil || group == "" {
			return out, nil, err
		}
	}
	return out, append(Key(group), after...), nil
}

// following returns the group that is listed after one; "" after the last.
func (w *subtreeWalk) following(group string) (string, error) {
	prefix := Key(w.account, w.root)
	q := Query{Index: IndexAncestor, Prefix: prefix, Limit: 1, OnlyIDs: true}
	if group != w.root {
		q.From = append(slices.Clone(prefix), group+"\x00"...) // no name is between
	}
	docs, _, err := w.r.List(KindThingGroup, q)
	if err != nil || len(docs) == 0 {
		return "", err
	}
	return documentName(KindThingGroup, docs[0].ID), nil
}

// first reports whether no group that is listed before this one has the thing.
func (w *subtreeWalk) first(thing muster.Thing, group string) (bool, error) {
	if group == w.root {
		return true, nil
	}
	for _, other := range thing.Groups {
		if other != w.root && other >= group {
			continue
		}
		if earlier, err := w.contains(other); earlier || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (w *subtreeWalk) contains(group string) (bool, error) {
	if inside, known := w.within[group]; known {
		return inside, nil
	}
	g, _, err := read[muster.ThingGroup](w.r, KindThingGroup, docID(KindThingGroup, w.account, group))
	if err != nil {
		return false, err
	}
	w.within[group] = slices.Contains(g.Ancestors, w.root)
	return w.within[group], nil
}
