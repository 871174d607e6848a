package registrytest

import (
	"context"
	"slices"
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

// Check walks everything that an engine holds, as registry.CheckInvariants does,
// and reports each document that breaks a rule of the registry. Beyond that it
// looks for each document under each of its index keys. Tests of the registry
// call it after every step.
func Check(tb testing.TB, e registry.Engine) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	broken, err := registry.CheckInvariants(ctx, e)
	if err != nil {
		tb.Errorf("invariants: %v", err)
	}
	for _, b := range broken {
		tb.Errorf("%v", b)
	}
	err = e.View(ctx, func(r registry.Reader) error {
		for _, k := range registry.Kinds() {
			docs, err := walk(r, k, registry.Query{Limit: 500})
			if err != nil {
				return err
			}
			for _, d := range docs {
				if err := found(tb, r, k, d); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		tb.Errorf("indexes: %v", err)
	}
}

// found demands that a document is listed under each of its entries.
func found(tb testing.TB, r registry.Reader, k registry.Kind, d registry.Doc) error {
	tb.Helper()
	_, entries, err := registry.Index(k, d.JSON)
	if err != nil {
		return err
	}
	for _, e := range entries {
		docs, err := walk(r, k, registry.Query{Index: e.Index, Prefix: e.Key, Limit: 500})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(docs, func(f registry.Doc) bool { return f.ID == d.ID }) {
			tb.Errorf("%s %s: not found by index %s, key %q", k, d.ID, e.Index, e.Key)
		}
		if e.Unique && len(docs) != 1 {
			tb.Errorf("%s %s: %d documents share the unique key %q of %s", k, d.ID, len(docs), e.Key, e.Index)
		}
	}
	return nil
}
