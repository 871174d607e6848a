package registry_test

import (
	"bytes"
	"reflect"
	"regexp"
	"testing"
	"time"

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

func TestAccessKeys(t *testing.T) {
	e := memory.New()
	f := newFixtureOn(t, e, registry.Config{})
	k := must(f.CreateAccessKey(t.Context(), muster.AccessKey{Account: account}))(f)
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(k.ID) || len(k.Secret) != 40 {
		t.Errorf("key %s with a secret of %d", k.ID, len(k.Secret))
	}
	for range 2 {
		if got := must(f.AccessKey(t.Context(), k.ID))(f); !reflect.DeepEqual(got, k) {
			t.Errorf("read %s of %s", got.ID, got.Account)
		}
	}
	_, err := f.AccessKey(t.Context(), "AKIAAAAAAAAAAAAAAAAA")
	f.is("unknown key", err, muster.ErrNotFound)
	_, err = f.CreateAccessKey(t.Context(), muster.AccessKey{Account: "999999999999"})
	f.is("unknown account", err, muster.ErrNotFound)

	f.ok(e.View(t.Context(), func(r registry.Reader) error {
		docs, _, err := r.List(registry.KindKey, registry.Query{})
		if len(docs) != 1 || bytes.Contains(docs[0].JSON, []byte(k.Secret)) {
			t.Errorf("%d keys stored, or one of them in clear", len(docs))
		}
		return err
	}))
	other, err := registry.NewSealer(bytes.Repeat([]byte{7}, 32))
	f.ok(err)
	wrong, err := registry.New(registry.Config{Engine: e, Sealer: other})
	f.ok(err)
	_, err = wrong.AccessKey(t.Context(), k.ID)
	f.is("another master key", err, muster.ErrInvalid)
	without, err := registry.New(registry.Config{Engine: e})
	f.ok(err)
	if _, err = without.CreateAccessKey(t.Context(), muster.AccessKey{Account: account}); err == nil {
		t.Error("an access key was made without a master key")
	}
}

// TestAccessKeyLife: what disables or deletes a key is in force when it returns.
func TestAccessKeyLife(t *testing.T) {
	f := newFixture(t)
	other := must(f.CreateAccessKey(t.Context(), muster.AccessKey{Account: account2}))(f)
	var ids []string
	for range 3 {
		ids = append(ids, must(f.CreateAccessKey(t.Context(), muster.AccessKey{Account: account}))(f).ID)
		f.advance(time.Second)
	}
	keys := must(f.AccessKeys(t.Context(), account))(f)
	for i, k := range keys {
		if len(keys) != 3 || k.ID != ids[i] || k.Account != account || k.Secret != "" || k.Disabled || k.Created.IsZero() {
			t.Errorf("key %d of %d is %+v", i, len(keys), k)
		}
	}
	disabled := func(id string) bool {
		t.Helper()
		return must(f.AccessKey(t.Context(), id))(f).Disabled // from the cache, where it may be
	}
	for _, want := range []bool{false, true, true, false, true} {
		f.ok(f.SetAccessKeyDisabled(t.Context(), ids[1], want))
		if disabled(ids[1]) != want || disabled(ids[0]) || disabled(other.ID) {
			t.Errorf("disabled: %v, %v, %v", disabled(ids[0]), disabled(ids[1]), disabled(other.ID))
		}
		f.step()
	}
	before := f.seq()
	f.ok(f.SetAccessKeyDisabled(t.Context(), ids[1], true))
	if f.seq() != before {
		t.Error("to disable a disabled key writes")
	}
	f.ok(f.DeleteAccessKey(t.Context(), ids[1]))
	f.step()
	_, err := f.AccessKey(t.Context(), ids[1])
	f.is("a deleted key", err, muster.ErrNotFound)
	f.is("delete it again", f.DeleteAccessKey(t.Context(), ids[1]), muster.ErrNotFound)
	f.is("disable it", f.SetAccessKeyDisabled(t.Context(), ids[1], true), muster.ErrNotFound)
	if keys := must(f.AccessKeys(t.Context(), account))(f); len(keys) != 2 || keys[1].ID != ids[2] {
		t.Errorf("left are %+v", keys)
	}
	_, err = f.AccessKeys(t.Context(), "999999999999")
	f.is("keys of an unknown account", err, muster.ErrNotFound)
}

func TestSealer(t *testing.T) {
	f := newFixture(t)
	s, err := registry.NewSealer(make([]byte, 32))
	f.ok(err)
	one, two := s.Seal([]byte("secret"), "a"), s.Seal([]byte("secret"), "a")
	if bytes.Equal(one, two) {
		t.Error("the nonce is not random")
	}
	if plain := must(s.Open(one, "a"))(f); string(plain) != "secret" {
		t.Errorf("opened %q", plain)
	}
	_, err = s.Open(one, "b")
	f.is("another context", err, muster.ErrInvalid)
	one[len(one)-1] ^= 1
	_, err = s.Open(one, "a")
	f.is("altered", err, muster.ErrInvalid)
	_, err = s.Open(nil, "a")
	f.is("empty", err, muster.ErrInvalid)
	_, err = registry.NewSealer(make([]byte, 16))
	f.is("short key", err, muster.ErrInvalid)
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
