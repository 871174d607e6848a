package registry

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/muster-mqtt/muster"
)

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

// CreateAccount adds an account; Created is set here and the registration code
// made later. Its Endpoint, unless empty, is a host name that no other account
// has, whatever the case.
func (s *Store) CreateAccount(ctx context.Context, a muster.Account) error {
	if !muster.ValidAccountID(a.ID) {
		return fmt.Errorf("account %q: want 12 digits: %w", a.ID, muster.ErrInvalid)
	}
	if a.Endpoint != "" && (len(a.Endpoint) > 253 || !hostName.MatchString(a.Endpoint)) {
		return fmt.Errorf("account %s: endpoint %q is no host name: %w", a.ID, a.Endpoint, muster.ErrInvalid)
	}
	a.Created, a.RegistrationCode = s.now(), ""
	return s.update(ctx, func(t *tx) error {
		found, err := exists(t, KindAccount, a.ID)
		if err != nil {
			return err
		}
		if found {
			return &muster.ExistsError{Resource: "account/" + a.ID}
		}
		err = t.put(0, &a)
		if errors.Is(err, muster.ErrExists) { // the ID is free, so it is the endpoint
			return &muster.ExistsError{Resource: "endpoint/" + a.Endpoint, Foreign: true}
		}
		return err
	})
}

// Account returns an account.
func (s *Store) Account(ctx context.Context, id string) (muster.Account, error) {
	accounts, err := s.sharedAccounts(ctx)
	if err != nil {
		return muster.Account{}, err
	}
	i := slices.IndexFunc(accounts, func(a muster.Account) bool { return a.ID == id })
	if i < 0 {
		return muster.Account{}, fmt.Errorf("account %s: %w", id, muster.ErrNotFound)
	}
	return accounts[i], nil
}

// Accounts returns all accounts by ID.
func (s *Store) Accounts(ctx context.Context) ([]muster.Account, error) {
	accounts, err := s.sharedAccounts(ctx)
	return slices.Clone(accounts), err
}

// sharedAccounts returns a slice that others read.
func (s *Store) sharedAccounts(ctx context.Context) ([]muster.Account, error) {
	return s.accounts.load("", func() (accounts []muster.Account, err error) {
		err = s.engine.View(ctx, func(r Reader) (err error) {
			accounts, err = all[muster.Account](r, KindAccount, Query{})
			return err
		})
		return accounts, err
	})
}

// RegistrationCode returns the code that proves possession of an authority's
// key to this account. It is made when it is first asked for.
func (s *Store) RegistrationCode(ctx context.Context, account string) (string, error) {
	a, err := s.Account(ctx, account)
	if err != nil || a.RegistrationCode != "" {
		return a.RegistrationCode, err
	}
	fresh := hex.EncodeToString(randomBytes(32))
	var code string
	err = s.update(ctx, func(t *tx) error {
		a, version, err := read[muster.Account](t, KindAccount, account)
		if err != nil {
			return err
		}
		if code = a.RegistrationCode; code != "" {
			return nil
		}
		code, a.RegistrationCode = fresh, fresh
		return t.put(version, &a)
	})
	return code, err
}

// DeleteRegistrationCode makes the code void; the next one is another.
func (s *Store) DeleteRegistrationCode(ctx context.Context, account string) error {
	return s.update(ctx, func(t *tx) error {
		a, version, err := read[muster.Account](t, KindAccount, account)
		if err != nil {
			return err
		}
		if a.RegistrationCode == "" {
			return fmt.Errorf("registration code of account %s: %w", account, muster.ErrNotFound)
		}
		a.RegistrationCode = ""
		return t.put(version, &a)
	})
}

// CreateAccessKey makes a key that signs API requests for the account. This is
// the one moment to hand out its secret; it is stored sealed.
func (s *Store) CreateAccessKey(ctx context.Context, account string) (muster.AccessKey, error) {
	if s.sealer == nil {
		return muster.AccessKey{}, errNoSealer
	}
	k := muster.AccessKey{
		// The forms of AWS, which signers and secret scanners know.
		ID:      "AKIA" + base32.StdEncoding.EncodeToString(randomBytes(10)),
		Account: account,
		Secret:  base64.StdEncoding.EncodeToString(randomBytes(30)),
		Created: s.now(),
	}
	doc := &keyDoc{ID: k.ID, Account: account, Sealed: s.sealer.Seal([]byte(k.Secret), k.ID), Created: k.Created}
	err := s.update(ctx, func(t *tx) error {
		if err := require(t, KindAccount, account); err != nil {
			return err
		}
		return t.put(0, doc)
	})
	if err != nil {
		return muster.AccessKey{}, err
	}
	return k, nil
}

// AccessKey returns a key with its secret in clear, for the verifier of
// signatures.
func (s *Store) AccessKey(ctx context.Context, id string) (muster.AccessKey, error) {
	return s.keys.load(id, func() (muster.AccessKey, error) {
		doc, err := get[keyDoc](ctx, s, KindKey, id)
		if err != nil {
			return muster.AccessKey{}, err
		}
		if s.sealer == nil {
			return muster.AccessKey{}, errNoSealer
		}
		secret, err := s.sealer.Open(doc.Sealed, doc.ID)
		if err != nil {
			return muster.AccessKey{}, fmt.Errorf("access key %w", err)
		}
		k := doc.withoutSecret()
		k.Secret = string(secret)
		return k, nil
	})
}

func (d keyDoc) withoutSecret() muster.AccessKey {
	return muster.AccessKey{ID: d.ID, Account: d.Account, Disabled: d.Disabled, Created: d.Created}
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
			keys = append(keys, d.withoutSecret())
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
	return s.update(ctx, func(t *tx) error {
		if err := require(t, KindKey, id); err != nil {
			return err
		}
		return t.remove(KindKey, id)
	})
}

var errNoSealer = errors.New("access keys need a master key: Config.Sealer is not set")

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails since Go 1.24: it ends the process instead
	return b
}

// randomUUID returns a version 4 UUID (RFC 9562 §5.4).
func randomUUID() string {
	b := randomBytes(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
