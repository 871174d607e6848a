package registry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
	"github.com/muster-mqtt/muster/registry/memory"
)

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
	if err == nil || errors.Is(err, muster.ErrInvalid) || !strings.Contains(err.Error(), "another master key") {
		t.Errorf("another master key: %v, which is no mistake of who signed", err)
	}
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

// TestAccessKeyRestrictions: a key keeps what it was made with, and is not made
// with what it cannot be bound to.
func TestAccessKeyRestrictions(t *testing.T) {
	f := newFixture(t)
	made := must(f.CreateAccessKey(t.Context(), muster.AccessKey{
		Account: account, Name: "terraform@plant", ReadOnly: true, Operations: []string{"Describe*", "ListThings", "*"},
		ID: "mine", Secret: "mine", Disabled: true, // not the caller's to choose
	}))(f)
	if made.ID == "mine" || made.Secret == "mine" || made.Disabled {
		t.Errorf("made %+v", made)
	}
	if got := must(f.AccessKey(t.Context(), made.ID))(f); !reflect.DeepEqual(got, made) {
		t.Errorf("read %+v, made %+v", got, made)
	}
	f.ok(f.SetAccessKeyDisabled(t.Context(), made.ID, true))
	listed := must(f.AccessKeys(t.Context(), account))(f)
	want := made
	want.Secret, want.Disabled = "", true
	if !reflect.DeepEqual(listed, []muster.AccessKey{want}) {
		t.Errorf("listed %+v, want %+v", listed, want)
	}
	for name, k := range map[string]muster.AccessKey{
		"name of a form that no ARN has": {Name: "a b"},
		"long name":                      {Name: strings.Repeat("a", 65)},
		"no operation":                   {Operations: []string{""}},
		"operation in small letters":     {Operations: []string{"describeThing"}},
		"star within":                    {Operations: []string{"*Thing"}},
		"two stars":                      {Operations: []string{"Describe**"}},
		"of IAM":                         {Operations: []string{"iot:Describe*"}},
		"long operation":                 {Operations: []string{strings.Repeat("A", 129)}},
		"too many operations":            {Operations: strings.Split(strings.Repeat("ListThings,", 100)+"ListThings", ",")},
	} {
		k.Account = account
		_, err := f.CreateAccessKey(t.Context(), k)
		f.is(name, err, muster.ErrInvalid)
	}
	if got := must(f.AccessKeys(t.Context(), account))(f); len(got) != 1 {
		t.Errorf("%d keys, want 1", len(got))
	}
}

// TestAccessKeyUse: a list has the moment of the last use; the disk is written at
// most once an hour, and has it after a restart.
func TestAccessKeyUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		f := newFixtureOn(t, e, registry.Config{})
		busy := must(f.CreateAccessKey(t.Context(), muster.AccessKey{Account: account}))(f).ID
		idle := must(f.CreateAccessKey(t.Context(), muster.AccessKey{Account: account2}))(f).ID
		gone := must(f.CreateAccessKey(t.Context(), muster.AccessKey{Account: account2}))(f).ID
		used := func(s *registry.Store, owner string) time.Time {
			t.Helper()
			keys := must(s.AccessKeys(t.Context(), owner))(f)
			if len(keys) != 1 {
				t.Fatalf("%d keys", len(keys))
			}
			return keys[0].Used
		}
		f.ok(f.DeleteAccessKey(t.Context(), gone))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Store.Run(ctx) }()
		before := f.seq()
		var first, last time.Time
		for i := range 59 { // minutes, less than the hour that the disk may lag
			last = time.Now().UTC().Truncate(time.Microsecond)
			if i == 0 {
				first = last
			}
			f.NoteAccessKey(busy)
			f.NoteAccessKey(gone) // a request that was under way
			if got := used(f.Store, account); !got.Equal(last) {
				t.Fatalf("used at %v, want %v", got, last)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if n := f.seq() - before; n != 1 {
			t.Errorf("%d writes in the first hour, want 1", n)
		}
		again := must(registry.New(registry.Config{Engine: e}))(f)
		if got := used(again, account); !got.Equal(first) {
			t.Errorf("after a restart used at %v, want %v", got, first)
		}
		if got := used(again, account2); !got.IsZero() {
			t.Errorf("an idle key %s was used at %v", idle, got)
		}
		time.Sleep(time.Hour)
		if got := used(must(registry.New(registry.Config{Engine: e}))(f), account); !got.Equal(last) {
			t.Errorf("an hour later the disk has %v, and it was used at %v", got, last)
		}
		f.NoteAccessKey(busy)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := used(must(registry.New(registry.Config{Engine: e}))(f), account); got.Sub(first) < time.Hour {
			t.Errorf("after another hour the disk has %v", got)
		}
		f.ok(f.SetAccessKeyDisabled(t.Context(), busy, true))
		if got := used(f.Store, account); got.IsZero() {
			t.Error("a disabled key has lost its last use")
		}
		stop()
		f.ok(<-ended)
	})
}

// TestStolenDisk: neither a backup nor the registry's folder gives away the secret
// of an access key, the key of an account's issuing authority, or one that was made
// for a device, in the forms in which somebody would look for it.
func TestStolenDisk(t *testing.T) {
	f := newFixture(t)
	dir := t.TempDir()
	f.ok(badgerdb.Create(badgerdb.Config{Dir: dir}))
	e := openBadger(t, dir)
	store := must(registry.New(registry.Config{Engine: e, Sealer: testSealer(t, testMaster)}))(f)
	f.ok(store.CreateAccount(t.Context(), muster.Account{ID: account}))
	key := must(store.CreateAccessKey(t.Context(), muster.AccessKey{Account: account, Name: "stolen"}))(f)
	device := must(store.IssueCertificate(t.Context(), muster.Issuance{Account: account, Status: muster.Active}))(f)
	f.ok(store.SetAccessKeyDisabled(t.Context(), key.ID, true)) // a second version on disk
	block, _ := pem.Decode([]byte(device.PrivateKey))
	secrets := map[string][]byte{
		"secret of the access key": []byte(key.Secret),
		// Parts that begin where a line of PEM does: of the private exponent in
		// PKCS #1, of the scalar in PKCS #8.
		"private key of the device":            block.Bytes[480:498],
		"private key of the issuing authority": f.issuingKey(e)[48:66],
	}

	var backup bytes.Buffer
	must(store.Backup(t.Context(), &backup, "test"))(f)
	f.ok(e.Close()) // what was in memory is in files
	files := map[string][]byte{"backup": must(io.ReadAll(must(gzip.NewReader(&backup))(f)))(f)}
	f.ok(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files[path], err = os.ReadFile(path)
		}
		return err
	}))
	found := 0
	for name, content := range files {
		if bytes.Contains(content, []byte(key.ID)) {
			found++ // so that what is there is seen
		}
		for what, secret := range secrets {
			for form, needle := range map[string][]byte{
				"clear": secret, "hex": []byte(hex.EncodeToString(secret)), "base64": []byte(base64.StdEncoding.EncodeToString(secret)),
			} {
				if bytes.Contains(content, needle) {
					t.Errorf("%s has the %s in %s", name, what, form)
				}
			}
		}
	}
	if found < 2 {
		t.Errorf("the ID of the key is seen in %d of %d files, the backup among them, want 2 at least", found, len(files))
	}
}

// issuingKey unseals the key of the account's issuing authority: PKCS #8 DER.
func (f *fixture) issuingKey(e registry.Engine) (key []byte) {
	f.Helper()
	f.ok(e.View(f.Context(), func(r registry.Reader) error {
		doc, err := r.Get(registry.KindIssuing, account)
		if err != nil {
			return err
		}
		var stored struct{ Sealed []byte }
		if err := json.Unmarshal(doc.JSON, &stored); err != nil {
			return err
		}
		key, err = testSealer(f, testMaster).Open(stored.Sealed, "issuing authority of account "+account)
		return err
	}))
	return key
}
