package registry

import (
	"context"
	"crypto/rand"
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
