package registry_test

import (
	"regexp"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

func TestCreateAccount(t *testing.T) {
	f := newFixture(t)
	for _, test := range []struct {
		name    string
		account muster.Account
		want    error
	}{
		{"short", muster.Account{ID: "123"}, muster.ErrInvalid},
		{"letters", muster.Account{ID: "12345678901x"}, muster.ErrInvalid},
		{"no host", muster.Account{ID: "111111111111", Endpoint: "a b"}, muster.ErrInvalid},
		{"a URL", muster.Account{ID: "111111111111", Endpoint: "https://a"}, muster.ErrInvalid},
		{"there already", muster.Account{ID: account}, muster.ErrExists},
		{"another's endpoint", muster.Account{ID: "111111111111", Endpoint: "A" + account + ".EXAMPLE.test"}, muster.ErrExists},
		{"no endpoint", muster.Account{ID: "111111111111"}, nil},
		{"no endpoint either", muster.Account{ID: "222222222222"}, nil},
		{"localhost", muster.Account{ID: "333333333333", Endpoint: "localhost"}, nil},
	} {
		f.is(test.name, f.CreateAccount(t.Context(), test.account), test.want)
		f.step()
	}
	if got := must(f.Accounts(t.Context()))(f); len(got) != 5 || got[0].ID != "111111111111" {
		t.Errorf("accounts %+v", got)
	}
	_, err := f.Account(t.Context(), "999999999999")
	f.is("unknown", err, muster.ErrNotFound)
}

func TestRegistrationCode(t *testing.T) {
	f := newFixture(t)
	f.is("none yet", f.DeleteRegistrationCode(t.Context(), account), muster.ErrNotFound)
	code := must(f.RegistrationCode(t.Context(), account))(f)
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(code) {
		t.Errorf("code %q", code)
	}
	if again := must(f.RegistrationCode(t.Context(), account))(f); again != code {
		t.Errorf("another code %q, was %q", again, code)
	}
	if other := must(f.RegistrationCode(t.Context(), account2))(f); other == code {
		t.Error("two accounts have one code")
	}
	f.ok(f.DeleteRegistrationCode(t.Context(), account))
	if again := must(f.RegistrationCode(t.Context(), account))(f); again == code {
		t.Error("a deleted code came back")
	}
	_, err := f.RegistrationCode(t.Context(), "999999999999")
	f.is("unknown account", err, muster.ErrNotFound)
}

func TestNew(t *testing.T) {
	for name, c := range map[string]registry.Config{
		"no engine":        {},
		"negative TTL":     {Engine: memory.New(), PendingTTL: -1},
		"negative caching": {Engine: memory.New(), CacheSize: -1},
	} {
		if _, err := registry.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
