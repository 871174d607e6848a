package registry

import (
	"context"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/muster-mqtt/muster"
)

// maxKeyOperations bounds the patterns of one access key.
const maxKeyOperations = 100

var (
	keyName = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`) // AWS's form of a user's name
	// keyOperation is a word of the API, or its beginning. That there is such an
	// operation is for dialects to know.
	keyOperation = regexp.MustCompile(`^([A-Z][A-Za-z]*\*?|\*)$`)
)

// CreateAccessKey makes a key that signs API requests for k.Account, with its
// Name, ReadOnly and Operations; the rest is made here. This is the one moment to
// hand out the secret, which is stored sealed.
func (s *Store) CreateAccessKey(ctx context.Context, k muster.AccessKey) (muster.AccessKey, error) {
	if s.sealer == nil {
		return muster.AccessKey{}, errNoSealer
	}
	if err := checkKey(k); err != nil {
		return muster.AccessKey{}, err
	}
	made := muster.AccessKey{
		// The forms of AWS, which signers and secret scanners know.
		ID:      "AKIA" + base32.StdEncoding.EncodeToString(randomBytes(10)),
		Account: k.Account,
		Secret:  base64.StdEncoding.EncodeToString(randomBytes(30)),
		Created: s.now(),
		Name:    k.Name, ReadOnly: k.ReadOnly, Operations: slices.Clone(k.Operations),
	}
	doc := &keyDoc{
		ID: made.ID, Account: made.Account, Sealed: s.sealer.Seal([]byte(made.Secret), made.ID), Created: made.Created,
		Name: made.Name, ReadOnly: made.ReadOnly, Operations: made.Operations,
	}
	err := s.update(ctx, func(t *tx) error {
		if err := require(t, KindAccount, made.Account); err != nil {
			return err
		}
		return t.put(0, doc)
	})
	if err != nil {
		return muster.AccessKey{}, err
	}
	return made, nil
}

func checkKey(k muster.AccessKey) error {
	if k.Name != "" && !keyName.MatchString(k.Name) {
		return fmt.Errorf("access key: name %q must match %s: %w", k.Name, keyName, muster.ErrInvalid)
	}
	if len(k.Operations) > maxKeyOperations {
		return fmt.Errorf("access key: %d operations, and there may be %d: %w", len(k.Operations), maxKeyOperations, muster.ErrInvalid)
	}
	for _, o := range k.Operations {
		if len(o) > 128 || !keyOperation.MatchString(o) {
			return fmt.Errorf("access key: %.128q is no operation; it is a name such as ListThings, or its beginning and *, as in Describe*: %w",
				o, muster.ErrInvalid)
		}
	}
	return nil
}

// AccessKey returns a key with its secret in clear, for the verifier of
// signatures. Its Used may be long past.
func (s *Store) AccessKey(ctx context.Context, id string) (muster.AccessKey, error) {
	k, err := s.keys.load(id, func() (muster.AccessKey, error) {
		doc, err := get[keyDoc](ctx, s, KindKey, id)
		if err != nil {
			return muster.AccessKey{}, err
		}
		if s.sealer == nil {
			return muster.AccessKey{}, errNoSealer
		}
		secret, err := s.sealer.Open(doc.Sealed, doc.ID)
		if err != nil {
			// Not ErrInvalid: that would blame who signed a request.
			return muster.AccessKey{}, errors.New("access key " + err.Error())
		}
		k := doc.withoutSecret()
		k.Secret = string(secret)
		return k, nil
	})
	k.Operations = slices.Clone(k.Operations) // the cache shares it
	return k, err
}

func (d keyDoc) withoutSecret() muster.AccessKey {
	return muster.AccessKey{
		ID: d.ID, Account: d.Account, Disabled: d.Disabled, Created: d.Created,
		Name: d.Name, ReadOnly: d.ReadOnly, Operations: d.Operations, Used: d.Used,
	}
}

// AccessKeys returns the keys of an account, oldest first, without their
// secrets.
func (s *Store) AccessKeys(ctx context.Context, account string) ([]muster.AccessKey, error) {
	if _, err := s.Account(ctx, account); err != nil {
		return nil, err
	}
	var docs []keyDoc
	err := s.engine.View(ctx, func(r Reader) (err error) {
		docs, err = all[keyDoc](r, KindKey, Query{})
		return err
	})
	var keys []muster.AccessKey
	for _, d := range docs {
		if d.Account == account {
			k := d.withoutSecret()
			k.Used = s.keyUses.latest(k.ID, k.Used)
			keys = append(keys, k)
		}
	}
	slices.SortStableFunc(keys, func(a, b muster.AccessKey) int { return a.Created.Compare(b.Created) })
	return keys, err
}

// SetAccessKeyDisabled disables a key, or enables it again. When it returns, a
// disabled key signs no request any more.
func (s *Store) SetAccessKeyDisabled(ctx context.Context, id string, disabled bool) error {
	return s.update(ctx, func(t *tx) error {
		doc, version, err := read[keyDoc](t, KindKey, id)
		if err != nil || doc.Disabled == disabled {
			return err
		}
		doc.Disabled = disabled
		return t.put(version, &doc)
	})
}

// DeleteAccessKey deletes a key. When it returns, the key signs no request any
// more.
func (s *Store) DeleteAccessKey(ctx context.Context, id string) error {
	err := s.update(ctx, func(t *tx) error {
		if err := require(t, KindKey, id); err != nil {
			return err
		}
		return t.remove(KindKey, id)
	})
	if err == nil {
		s.keyUses.forget(id)
	}
	return err
}

var errNoSealer = errors.New("access keys need a master key: Config.Sealer is not set")

// keyUseEvery is how long the time of a key's last use may lag behind on disk:
// about one write an hour for a key that is busy.
const keyUseEvery = time.Hour

// keyUses remembers when keys were used. It holds those that exist, or did when
// they were last used, and no others: strangers do not make it grow.
type keyUses struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// NoteAccessKey remembers that a key has signed a request now. It writes
// nothing; Run does, once an hour at most.
func (s *Store) NoteAccessKey(id string) {
	now := s.now()
	s.keyUses.mu.Lock()
	defer s.keyUses.mu.Unlock()
	if s.keyUses.last == nil {
		s.keyUses.last = map[string]time.Time{}
	}
	s.keyUses.last[id] = now
}

// latest returns the later of what is remembered and what is stored.
func (u *keyUses) latest(id string, stored time.Time) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if last := u.last[id]; last.After(stored) {
		return last
	}
	return stored
}

func (u *keyUses) forget(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.last, id)
}

// saveKeyUses writes the last use of each key whose stored one lags behind.
func (s *Store) saveKeyUses(ctx context.Context) error {
	s.keyUses.mu.Lock()
	last := maps.Clone(s.keyUses.last)
	s.keyUses.mu.Unlock()
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(last)), sweepBatch) {
		if err := s.saveLastUses(ctx, ids, last); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) saveLastUses(ctx context.Context, ids []string, last map[string]time.Time) error {
	var gone []string
	now := s.now()
	err := s.update(ctx, func(t *tx) error {
		gone = nil
		for _, id := range ids {
			doc, version, err := read[keyDoc](t, KindKey, id)
			switch {
			case errors.Is(err, muster.ErrNotFound):
				gone = append(gone, id) // used while it was deleted
				continue
			case err != nil:
				return err
			case !last[id].After(doc.Used) || now.Sub(doc.Used) < keyUseEvery:
				continue
			}
			doc.Used = last[id]
			if err := t.put(version, &doc); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range gone {
		s.keyUses.forget(id)
	}
	return nil
}
