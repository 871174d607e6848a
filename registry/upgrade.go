package registry

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/muster-mqtt/muster"
)

// Upgrade brings what an engine holds to the form of this program: registries of
// earlier ones do not say in which groups and of which type things are in any
// index, nor what stands above a thing group. Until that is done lists lack them
// and what is in use could be deleted. Nothing else may use the engine meanwhile.
//
// It may be stopped at any moment and run again, and does nothing where nothing is
// to be done, which costs few reads. What is damaged or breaks a rule otherwise
// stays as it is: that is CheckInvariants' to tell.
func Upgrade(ctx context.Context, e Engine) error {
	u := &upgrade{ctx: ctx, engine: e, batch: batch{ctx: ctx, engine: e, what: "upgrade"}}
	if err := u.groups(); err != nil {
		return err
	}
	return u.things()
}

type upgrade struct {
	ctx    context.Context
	engine Engine
	batch  batch
}

// groups writes each thing group that does not stand as it should. They are few.
func (u *upgrade) groups() error {
	var stale []Doc
	err := u.engine.View(u.ctx, func(r Reader) error {
		stale = nil
		placed := map[string]bool{}
		err := each(u.ctx, r, KindThingGroup, Query{Index: IndexParent, OnlyIDs: true}, func(d Doc) error {
			placed[d.ID] = true
			return nil
		})
		if err != nil {
			return err
		}
		return each(u.ctx, r, KindThingGroup, Query{}, func(d Doc) error {
			var g muster.ThingGroup
			if json.Unmarshal(d.JSON, &g) != nil {
				return nil
			}
			above, err := climb(r, &g)
			if err != nil || placed[d.ID] && slices.Equal(above, g.Ancestors) {
				return err
			}
			g.Ancestors, d.Index = above, nil
			if d.JSON, err = json.Marshal(&g); err == nil {
				_, _, d.Index = identify(&g)
				stale = append(stale, d)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	return u.write(KindThingGroup, stale)
}

// climb returns the names of the groups above one, from the root on, by what each
// says of its own parent; what the group itself says, where they do not lead to a
// root.
func climb(r Reader, g *muster.ThingGroup) (above []string, err error) {
	for name := g.Parent; name != ""; {
		parent, _, err := read[muster.ThingGroup](r, KindThingGroup, docID(KindThingGroup, g.Account, name))
		if errors.Is(err, muster.ErrNotFound) || slices.Contains(above, name) {
			return g.Ancestors, nil
		}
		if err != nil {
			return nil, err
		}
		above = append(above, name)
		name = parent.Parent
	}
	slices.Reverse(above)
	return above, nil
}

// things writes all things anew if the first one that an index has to list is not
// there. It begins with the last, so that a run which was stopped is seen by that.
func (u *upgrade) things() error {
	stale := false
	err := u.engine.View(u.ctx, func(r Reader) (err error) {
		stale, err = u.unlisted(r)
		return err
	})
	if err != nil || !stale {
		return err
	}
	for q := (Query{Desc: true, Limit: checkPage}); ; {
		var page []Doc
		err := u.engine.View(u.ctx, func(r Reader) (err error) {
			page, q.After, err = r.List(KindThing, q)
			return err
		})
		if err != nil {
			return err
		}
		var things []Doc
		for _, d := range page {
			if v, err := decode(KindThing, d.JSON); err == nil {
				_, _, d.Index = identify(v)
				things = append(things, d)
			}
		}
		if err := u.write(KindThing, things); err != nil || q.After == nil {
			return err
		}
	}
}

// unlisted reports whether the first thing that has a type or is in a group is not
// the first of that index.
func (u *upgrade) unlisted(r Reader) (bool, error) {
	for _, k := range []Kind{KindThingType, KindThingGroup} {
		docs, _, err := r.List(k, Query{Limit: 1})
		if err != nil {
			return false, err
		}
		if len(docs) > 0 {
			return firstUnlisted(u.ctx, r)
		}
	}
	return false, nil
}

func firstUnlisted(ctx context.Context, r Reader) (bool, error) {
	for q := (Query{Limit: checkPage}); ; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		docs, next, err := r.List(KindThing, q)
		if err != nil {
			return false, err
		}
		for _, d := range docs {
			v, err := decode(KindThing, d.JSON)
			if err != nil {
				continue
			}
			if _, _, entries := identify(v); len(entries) > 0 {
				first, _, err := r.List(KindThing, Query{Index: entries[0].Index, Prefix: entries[0].Key, Limit: 1, OnlyIDs: true})
				return err == nil && (len(first) == 0 || first[0].ID != d.ID), err
			}
		}
		if q.After = next; next == nil {
			return false, nil
		}
	}
}

func (u *upgrade) write(k Kind, docs []Doc) error {
	for _, d := range docs {
		if err := u.batch.add(k, d); err != nil {
			return err
		}
	}
	return u.batch.flush()
}
