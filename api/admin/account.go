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
