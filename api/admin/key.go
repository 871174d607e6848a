package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/muster-mqtt/muster"
)

// keyRoutes serves what key.go answers.
func (a *Admin) keyRoutes(mux *http.ServeMux) {
	mux.Handle("POST /key/list", answers(a, a.ListKeys))
	mux.Handle("POST /key/create", answers(a, a.CreateKey))
	mux.Handle("POST /key/set", answers(a, a.SetKey))
	mux.Handle("POST /key/delete", answers(a, a.DeleteKey))
}

// Key is an access key. Secret is there once: in the answer that creates it.
type Key struct {
	ID         string    `json:"id"`
	Account    string    `json:"account"`
	Name       string    `json:"name,omitempty"`
	ReadOnly   bool      `json:"readOnly,omitempty"`
	Operations []string  `json:"operations,omitempty"` // that it may call; none are all
	Disabled   bool      `json:"disabled"`
	Created    time.Time `json:"created"`
	// Used is when it last signed a request. What it signed within the hour before
	// the server was stopped may be missing.
	Used   time.Time `json:"used,omitzero"`
	Secret string    `json:"secret,omitempty"`
}

func shownKey(k muster.AccessKey) Key {
	return Key{
		ID: k.ID, Account: k.Account, Name: k.Name, ReadOnly: k.ReadOnly, Operations: k.Operations,
		Disabled: k.Disabled, Created: k.Created, Used: k.Used, Secret: k.Secret,
	}
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
			out = append(out, shownKey(k))
		}
	}
	return out, nil
}

// NewKey asks for a key.
type NewKey struct {
	Account  string `json:"account,omitempty"` // "" is the only one
	Name     string `json:"name,omitempty"`    // for people
	ReadOnly bool   `json:"readOnly,omitempty"`
	// Operations are names of the API, or their beginnings and *; none are all.
	Operations []string `json:"operations,omitempty"`
}

// CreateKey makes a key of an account.
func (a *Admin) CreateKey(ctx context.Context, in NewKey) (Key, error) {
	account, err := a.account(ctx, in.Account)
	if err != nil {
		return Key{}, err
	}
	for _, o := range in.Operations {
		if err := a.checkOperation(o); err != nil {
			return Key{}, err
		}
	}
	k, err := a.config.Registry.CreateAccessKey(ctx, muster.AccessKey{
		Account: account, Name: in.Name, ReadOnly: in.ReadOnly, Operations: in.Operations,
	})
	return shownKey(k), err
}

// checkOperation refuses what no operation is called: a key that is bound to it
// could do nothing, and its owner would learn that late.
func (a *Admin) checkOperation(pattern string) error {
	beginning, open := strings.CutSuffix(pattern, "*")
	if slices.ContainsFunc(a.config.Operations, func(name string) bool {
		return name == pattern || open && strings.HasPrefix(name, beginning)
	}) {
		return nil
	}
	hint := "it is a name such as ListThings, or its beginning and *, as in Describe*"
	if near := a.nearOperation(pattern); near != "" {
		hint = "did you mean " + near + "?"
	}
	return fmt.Errorf("there is no operation %.128q; %s: %w", pattern, hint, muster.ErrInvalid)
}

// nearOperation returns the operation, or verb and *, that differs from a pattern
// by three letters at most, and by not more than a third of them.
func (a *Admin) nearOperation(pattern string) (near string) {
	pattern = strings.ToLower(strings.TrimPrefix(pattern, "iot:")) // as policies of IAM have it
	least := min(3, len(pattern)/3)
	for _, name := range a.config.Operations {
		verb := name
		if i := strings.IndexFunc(name[1:], unicode.IsUpper); i >= 0 {
			verb = name[:i+1]
		}
		for _, known := range []string{name, verb + "*"} {
			if d := distance(pattern, strings.ToLower(known), least); d < least || d == least && near == "" {
				near, least = known, d
			}
		}
	}
	return near
}

// distance is Levenshtein's, in bytes, or more than most.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0] // of the row before
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
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
