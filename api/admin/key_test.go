package admin_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

// newKeyKeeper is an Admin that can make keys.
func newKeyKeeper(t *testing.T) *operator {
	t.Helper()
	engine := memory.New()
	sealer, err := registry.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	store, err := registry.New(registry.Config{Engine: engine, Sealer: sealer})
	o := &operator{T: t, store: store, Admin: admin.New(admin.Config{
		Registry: store, Operations: []string{"CreateThing", "DescribeThing", "GetPolicy", "ListThings", "ListThingsInThingGroup"},
	})}
	o.must(err)
	o.must(store.CreateAccount(t.Context(), muster.Account{ID: account}))
	t.Cleanup(func() { o.must(engine.Close()) })
	return o
}

func TestKeys(t *testing.T) {
	o := newKeyKeeper(t)
	made, err := o.CreateKey(t.Context(), admin.NewKey{Name: "audit", ReadOnly: true, Operations: []string{"List*", "GetPolicy"}})
	o.must(err)
	if made.Account != account || made.Secret == "" || made.Name != "audit" || !made.ReadOnly || len(made.Operations) != 2 || !made.Used.IsZero() {
		t.Errorf("made %+v", made)
	}
	o.store.NoteAccessKey(made.ID)
	_, err = o.SetKey(t.Context(), admin.KeySwitch{ID: made.ID, Disabled: true})
	o.must(err)
	keys, err := o.ListKeys(t.Context(), admin.OfAccount{})
	o.must(err)
	if len(keys) != 1 || keys[0].Secret != "" || !keys[0].Disabled || !keys[0].ReadOnly || keys[0].Used.IsZero() ||
		keys[0].Name != "audit" || !slices.Equal(keys[0].Operations, made.Operations) {
		t.Errorf("listed %+v", keys)
	}
	_, err = o.DeleteKey(t.Context(), admin.KeyName{ID: made.ID})
	o.must(err)
	if keys, err = o.ListKeys(t.Context(), admin.OfAccount{Account: account}); err != nil || len(keys) != 0 {
		t.Errorf("left are %+v, %v", keys, err)
	}
}

// TestKeyOperations: a key is bound to operations that there are; what is near to
// one is asked back.
func TestKeyOperations(t *testing.T) {
	o := newKeyKeeper(t)
	for pattern, hint := range map[string]string{
		"ListThings":      "",
		"ListThings*":     "",
		"Desc*":           "",
		"*":               "",
		"Descibe*":        "did you mean Describe*?",
		"describe*":       "did you mean Describe*?",
		"iot:Describe*":   "did you mean Describe*?",
		"ListThing":       "did you mean ListThings?",
		"iot:CreateThing": "did you mean CreateThing?",
		"CreateThings":    "did you mean CreateThing?",
		"Frobnicate":      "it is a name such as ListThings, or its beginning and *",
		"":                "it is a name such as",
		"Delete*":         "it is a name such as",
		"List**":          "did you mean List*?",
	} {
		_, err := o.CreateKey(t.Context(), admin.NewKey{Operations: []string{"GetPolicy", pattern}})
		switch {
		case hint == "" && err != nil:
			t.Errorf("%q: %v", pattern, err)
		case hint != "" && (!errors.Is(err, muster.ErrInvalid) || !strings.Contains(err.Error(), hint)):
			t.Errorf("%q: %v, want %s", pattern, err, hint)
		}
	}
}
