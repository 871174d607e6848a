package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/muster-mqtt/muster"
)

// accountRoutes serves what account.go answers.
func (a *Admin) accountRoutes(mux *http.ServeMux) {
	mux.Handle("POST /account/list", answers(a, a.ListAccounts))
	mux.Handle("POST /account/create", answers(a, a.CreateAccount))
	mux.Handle("POST /key/list", answers(a, a.ListKeys))
	mux.Handle("POST /key/create", answers(a, a.CreateKey))
	mux.Handle("POST /key/set", answers(a, a.SetKey))
	mux.Handle("POST /key/delete", answers(a, a.DeleteKey))
}

// Nothing is a request or an answer that says nothing.
type Nothing struct{}

// Account is an account as the command line shows it.
type Account struct {
	ID       string    `json:"id"`
	Endpoint string    `json:"endpoint,omitempty"`
	Created  time.Time `json:"created,omitzero"`
}

// ListAccounts returns all accounts by their IDs.
func (a *Admin) ListAccounts(ctx context.Context, _ Nothing) ([]Account, error) {
	accounts, err := a.config.Registry.Accounts(ctx)
	out := make([]Account, len(accounts))
	for i, x := range accounts {
		out[i] = Account{ID: x.ID, Endpoint: x.Endpoint, Created: x.Created}
	}
	return out, err
}

// CreateAccount adds an account. Created is not the caller's to set.
func (a *Admin) CreateAccount(ctx context.Context, in Account) (Account, error) {
	if err := a.config.Registry.CreateAccount(ctx, muster.Account{ID: in.ID, Endpoint: in.Endpoint}); err != nil {
		return Account{}, err
	}
	made, err := a.config.Registry.Account(ctx, in.ID)
	return Account{ID: made.ID, Endpoint: made.Endpoint, Created: made.Created}, err
}

// account returns the ID of the account that is meant: the only one, if none is
// named.
func (a *Admin) account(ctx context.Context, named string) (string, error) {
	if named != "" {
		x, err := a.config.Registry.Account(ctx, named)
		return x.ID, err
	}
	accounts, err := a.config.Registry.Accounts(ctx)
	switch {
	case err != nil:
		return "", err
	case len(accounts) == 0:
		return "", fmt.Errorf("there is no account yet; make one with muster account create: %w", muster.ErrNotFound)
	case len(accounts) == 1:
		return accounts[0].ID, nil
	}
	var ids []string
	for _, x := range accounts {
		ids = append(ids, x.ID)
	}
	return "", fmt.Errorf("which account? There are %s; name one with --account: %w", strings.Join(ids, ", "), muster.ErrAmbiguous)
}

// OfAccount names an account; "" is the only one.
type OfAccount struct {
	Account string `json:"account,omitempty"`
}

// Key is an access key. Secret is there once: in the answer that creates it.
type Key struct {
	ID       string    `json:"id"`
	Account  string    `json:"account"`
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created"`
	Secret   string    `json:"secret,omitempty"`
}

// ListKeys returns the keys of an account, or of all, oldest first.
func (a *Admin) ListKeys(ctx context.Context, in OfAccount) ([]Key, error) {
	accounts, err := a.config.Registry.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	if in.Account != "" {
		accounts = []muster.Account{{ID: in.Account}}
	}
	out := []Key{}
	for _, x := range accounts {
		keys, err := a.config.Registry.AccessKeys(ctx, x.ID)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			out = append(out, Key{ID: k.ID, Account: k.Account, Disabled: k.Disabled, Created: k.Created})
		}
	}
	return out, nil
}

// CreateKey makes a key of an account.
func (a *Admin) CreateKey(ctx context.Context, in OfAccount) (Key, error) {
	account, err := a.account(ctx, in.Account)
	if err != nil {
		return Key{}, err
	}
	k, err := a.config.Registry.CreateAccessKey(ctx, muster.AccessKey{Account: account})
	return Key{ID: k.ID, Account: k.Account, Created: k.Created, Secret: k.Secret}, err
}

// KeySwitch disables a key, or enables it.
type KeySwitch struct {
	ID       string `json:"id"`
	Disabled bool   `json:"disabled"`
}

// SetKey disables or enables a key. It is in force when this returns.
func (a *Admin) SetKey(ctx context.Context, in KeySwitch) (Nothing, error) {
	return Nothing{}, a.config.Registry.SetAccessKeyDisabled(ctx, in.ID, in.Disabled)
}

// KeyName names a key.
type KeyName struct {
	ID string `json:"id"`
}

// DeleteKey deletes a key. It is in force when this returns.
func (a *Admin) DeleteKey(ctx context.Context, in KeyName) (Nothing, error) {
	return Nothing{}, a.config.Registry.DeleteAccessKey(ctx, in.ID)
}
