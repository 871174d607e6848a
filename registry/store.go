package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/muster-mqtt/muster"
)

const (
	defaultPendingTTL = 30 * 24 * time.Hour
	defaultCacheSize  = 50_000
	defaultPage       = 100
	maxPage           = 1000
)

// Config is what New takes.
type Config struct {
	Engine     Engine
	Sealer     *Sealer          // seals the secrets of access keys; nil: no access keys
	Now        func() time.Time // default time.Now
	PendingTTL time.Duration    // how long a certificate may stay PENDING_ACTIVATION; default 30 days
	CacheSize  int              // hot records per cache; default 50,000
	// Tell learns what happened to certificates, once each change is on disk and in
	// the order of the changes, on the goroutine of who made one; it must neither
	// block nor change the registry. nil for none.
	Tell func(muster.Event)
	// TellRegistry is Tell for changes of things, their types and groups, where
	// their account has such events switched on. nil for none.
	TellRegistry func(muster.RegistryEvent)
}

// Store is the registry. Its methods may be called concurrently; each change is
// one transaction, on disk when the method returns, and no cache answers with
// what it replaced.
type Store struct {
	engine     Engine
	sealer     *Sealer
	clock      func() time.Time
	pendingTTL time.Duration
	telling    telling
	pending    pendingFigures
	issuing    issuing

	certificates     certificateFigures
	authorityFigures authorityFigures
	keyUses          keyUses

	accounts    *cache[[]muster.Account] // one value, under ""
	keys        *cache[muster.AccessKey]
	authorities *cache[muster.Authority]
	enrollers   *cache[enroller] // by ID and version
	subjects    *cache[[]muster.Authority]
	issuers     *cache[muster.Issuer]
	holders     *cache[holders] // by fingerprint
	things      *cache[muster.Thing]
	groups      *cache[muster.ThingGroup]
	policies    *cache[muster.Policy]
	templates   *cache[muster.Template]
}

// New returns a Store on an engine. It starts nothing; Run sweeps.
func New(c Config) (*Store, error) {
	if c.Engine == nil {
		return nil, fmt.Errorf("registry: Engine is missing: %w", muster.ErrInvalid)
	}
	if c.PendingTTL < 0 || c.CacheSize < 0 {
		return nil, fmt.Errorf("registry: PendingTTL and CacheSize cannot be negative: %w", muster.ErrInvalid)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.PendingTTL == 0 {
		c.PendingTTL = defaultPendingTTL
	}
	if c.CacheSize == 0 {
		c.CacheSize = defaultCacheSize
	}
	return &Store{
		engine:      c.Engine,
		sealer:      c.Sealer,
		clock:       c.Now,
		pendingTTL:  c.PendingTTL,
		telling:     telling{tell: c.Tell, tellRegistry: c.TellRegistry, ended: map[uint64]told{}},
		issuing:     newIssuing(c.CacheSize),
		accounts:    newCache[[]muster.Account](1),
		keys:        newCache[muster.AccessKey](c.CacheSize),
		authorities: newCache[muster.Authority](c.CacheSize),
		enrollers:   newCache[enroller](c.CacheSize),
		subjects:    newCache[[]muster.Authority](c.CacheSize),
		issuers:     newCache[muster.Issuer](c.CacheSize),
		holders:     newCache[holders](c.CacheSize),
		things:      newCache[muster.Thing](c.CacheSize),
		groups:      newCache[muster.ThingGroup](c.CacheSize),
		policies:    newCache[muster.Policy](c.CacheSize),
		templates:   newCache[muster.Template](c.CacheSize),
	}, nil
}

// Err is nil until the engine can write no more.
func (s *Store) Err() error { return s.engine.Err() }

// Seq is the sequence of the last change.
func (s *Store) Seq(ctx context.Context) (uint64, error) {
	var seq uint64
	err := s.engine.View(ctx, func(r Reader) error {
		seq = r.Seq()
		return nil
	})
	return seq, err
}

// now has the precision that documents and index keys can both hold.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// tx is the transaction of one run of a closure, with what has to be told once
// it is on disk.
type tx struct {
	Tx
	written []writtenDoc
	now     time.Time // when the closure began
	pending map[pendingKey]int64
	status  byStatus // what it did to the figures of certificates
	told
	watched watched
}

type writtenDoc struct {
	kind Kind
	id   string
}

// update runs fn as one transaction. fn may run more than once and has to set
// what it returns by captured variables anew each time.
//
// What fn wrote leaves the caches before anybody can see it, and stays out until
// update returns: whoever was told that a certificate is revoked can rely on it,
// also if it was another update that revoked it, in the same group as one that
// found nothing left to do.
func (s *Store) update(ctx context.Context, fn func(*tx) error) error {
	watched, err := s.watched(ctx)
	if err != nil {
		return err
	}
	var turns []uint64
	var tell told
	defer func() { s.telling.end(turns, tell) }() // with nothing of the registry held any more
	s.pending.begin()
	defer s.pending.end()
	var last *tx
	var written []writtenDoc // by all runs of fn
	err = s.engine.Update(ctx, func(e Tx) error {
		last = &tx{Tx: e, now: s.now(), watched: watched}
		err := fn(last)
		for _, w := range last.written {
			s.forget(w.kind, w.id, writeBegins)
		}
		written = append(written, last.written...)
		if last.told = s.telling.heard(last.told); len(last.events)+len(last.changes) > 0 {
			turns = append(turns, s.telling.begin())
		}
		return err
	})
	// Also after an error: a failed sync leaves open what is on disk.
	for _, w := range written {
		s.forget(w.kind, w.id, writeEnds)
	}
	if err == nil {
		s.pending.apply(last.pending)
		if s.certificates.kept {
			s.certificates.add(last.status)
		}
		tell = last.told
	}
	return err
}

// forget drops a document from the caches.
func (s *Store) forget(k Kind, id string, at moment) {
	switch k {
	case KindAccount:
		s.accounts.clear(at)
	case KindKey:
		s.keys.drop(id, at)
	case KindIssuing:
		s.issuing.authorities.drop(id, at)
	case KindAuthority:
		s.authorities.drop(id, at)
		s.subjects.clear(at) // the ID does not tell the subject; authorities change seldom
		s.authorityFigures.written.Add(1)
	case KindIssuer:
		s.issuers.drop(id, at)
	case KindCert, KindTombstone:
		_, fingerprint := split(k, id)
		s.holders.drop(fingerprint, at)
	case KindThing:
		s.things.drop(id, at)
	case KindThingGroup:
		s.groups.drop(id, at)
	case KindPolicy:
		s.policies.drop(id, at)
	case KindTemplate:
		s.templates.drop(id, at)
	}
}

// put writes a document: version 0 creates it.
func (t *tx) put(version uint64, v any) error {
	kind, id, entries := identify(v)
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, id, err)
	}
	if err := t.observe(kind, id, v); err != nil {
		return err
	}
	t.written = append(t.written, writtenDoc{kind, id})
	return translate(kind, id, t.Put(kind, Doc{ID: id, Version: version, JSON: text, Index: entries}))
}

func (t *tx) remove(k Kind, id string) error {
	if err := t.observe(k, id, nil); err != nil {
		return err
	}
	t.written = append(t.written, writtenDoc{k, id})
	return translate(k, id, t.Delete(k, id))
}

// read returns a document and its version.
func read[T any](r Reader, k Kind, id string) (v T, version uint64, err error) {
	doc, err := r.Get(k, id)
	if err != nil {
		return v, 0, translate(k, id, err)
	}
	if err := json.Unmarshal(doc.JSON, &v); err != nil {
		return v, 0, fmt.Errorf("%s %s: damaged document: %w", k, id, err)
	}
	return v, doc.Version, nil
}

// exists reports whether there is such a document.
func exists(r Reader, k Kind, id string) (bool, error) {
	_, err := r.Get(k, id)
	if errors.Is(err, ErrNoDoc) {
		return false, nil
	}
	return err == nil, err
}

// require fails with ErrNotFound unless there is such a document.
func require(r Reader, k Kind, id string) error {
	_, err := r.Get(k, id)
	return translate(k, id, err)
}

// optional turns ErrNotFound into a version of 0.
func optional(version uint64, err error) (uint64, error) {
	if errors.Is(err, muster.ErrNotFound) {
		return 0, nil
	}
	return version, err
}

// all returns every document of a query, page by page.
func all[T any](r Reader, k Kind, q Query) ([]T, error) {
	var out []T
	q.Limit = maxPage
	for {
		page, next, err := readPage[T](r, k, q)
		if err != nil {
			return nil, err
		}
		out = append(out, page...)
		if next == nil {
			return out, nil
		}
		q.After = next
	}
}

func readPage[T any](r Reader, k Kind, q Query) ([]T, Cursor, error) {
	docs, next, err := r.List(k, q)
	if err != nil {
		return nil, nil, err
	}
	out := make([]T, len(docs))
	for i, d := range docs {
		if err := json.Unmarshal(d.JSON, &out[i]); err != nil {
			return nil, nil, fmt.Errorf("%s %s: damaged document: %w", k, d.ID, err)
		}
	}
	return out, next, nil
}

// get reads one document in a view of its own.
func get[T any](ctx context.Context, s *Store, k Kind, id string) (T, error) {
	var v T
	err := s.engine.View(ctx, func(r Reader) (err error) {
		v, _, err = read[T](r, k, id)
		return err
	})
	return v, err
}

// list reads one page in a view of its own.
func list[T any](ctx context.Context, s *Store, k Kind, index string, prefix []byte, p Page) ([]T, Cursor, error) {
	q := Query{Index: index, Prefix: prefix, After: p.After, Desc: p.Desc, Limit: min(p.Limit, maxPage)}
	var out []T
	var next Cursor
	err := s.engine.View(ctx, func(r Reader) (err error) {
		out, next, err = readPage[T](r, k, q)
		return err
	})
	return out, next, err
}

// translate says what an engine's error means, and of which document.
func translate(k Kind, id string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNoDoc):
		err = muster.ErrNotFound
	case errors.Is(err, ErrDocExists):
		err = muster.ErrExists
	case errors.Is(err, ErrDocConflict):
		err = muster.ErrConflict
	}
	return fmt.Errorf("%s %s: %w", noun(k), documentName(k, id), err)
}

// noun is the kind in a reader's words.
func noun(k Kind) string {
	switch k {
	case KindKey:
		return "access key"
	case KindIssuing:
		return "issuing authority of account"
	case KindCert:
		return "certificate"
	case KindThingType:
		return "thing type"
	case KindThingGroup:
		return "thing group"
	}
	return string(k)
}

func documentName(k Kind, id string) string {
	switch k {
	case KindAccount, KindKey, KindIssuing, KindAnswer, KindRefusal:
		return id
	}
	_, name := split(k, id)
	return name
}

// with returns a sorted list with name in it, and whether it was added.
func with(names []string, name string) ([]string, bool) {
	i, found := slices.BinarySearch(names, name)
	if found {
		return names, false
	}
	return slices.Insert(slices.Clone(names), i, name), true
}

// without returns a sorted list without name, and whether it was removed.
func without(names []string, name string) ([]string, bool) {
	i, found := slices.BinarySearch(names, name)
	if !found {
		return names, false
	}
	return slices.Delete(slices.Clone(names), i, i+1), true
}
