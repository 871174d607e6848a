package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
	"github.com/muster-mqtt/muster/registry/registrytest"
)

// aged makes what the registry holds be as earlier programs left it: things in no
// index, thing groups in that of their policies, without what is above them.
func (f *fixture) aged(last int) {
	f.Helper()
	f.ok(f.engine.Update(f.Context(), func(tx registry.Tx) error {
		for _, k := range []registry.Kind{registry.KindThing, registry.KindThingGroup} {
			docs, _, err := tx.List(k, registry.Query{Limit: 900})
			if err != nil {
				return err
			}
			for _, d := range docs[:min(last, len(docs))] {
				var members map[string]any
				if err := json.Unmarshal(d.JSON, &members); err != nil {
					return err
				}
				delete(members, "ancestors")
				if d.JSON, err = json.Marshal(members); err != nil {
					return err
				}
				if d.Index = nil; members["policies"] != nil {
					d.Index = []registry.Entry{{Index: registry.IndexPolicy, Key: registry.Key(account, "all")}}
				}
				if err := tx.Put(k, d); err != nil {
					return err
				}
			}
		}
		return nil
	}))
}

func upgradable(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	ctx := t.Context()
	must(f.CreateThingType(ctx, muster.ThingType{Account: account, Name: "pump"}))(f)
	for _, g := range [][2]string{{"z-root", ""}, {"m-branch", "z-root"}, {"a-leaf", "m-branch"}} {
		must(f.CreateThingGroup(ctx, muster.ThingGroup{Account: account, Name: g[0], Parent: g[1]}))(f)
	}
	f.policy("all")
	f.ok(f.AttachPolicy(ctx, account, "all", muster.KindThingGroup, "m-branch"))
	for i := range 300 {
		thing := muster.Thing{Account: account, Name: fmt.Sprintf("thing-%03d", i)}
		if i%2 == 1 {
			thing.Type = "pump"
		}
		must(f.CreateThing(ctx, thing))(f)
	}
	f.ok(f.AddThingToGroup(ctx, account, "thing-002", "a-leaf"))
	return f
}

// TestUpgrade opens registries that earlier programs left, and one whose upgrade
// was stopped half-way.
func TestUpgrade(t *testing.T) {
	for _, stale := range []int{0, 2, 150, 900} {
		f := upgradable(t)
		f.aged(stale)
		if broken := must(registry.CheckInvariants(t.Context(), f.engine))(f); (len(broken) > 0) != (stale > 0) {
			t.Fatalf("%d stale: broken %v", stale, broken)
		}
		f.ok(registry.Upgrade(t.Context(), f.engine))
		registrytest.Check(t, f.engine)
		at := f.seq()
		f.ok(registry.Upgrade(t.Context(), f.engine))
		if f.seq() != at {
			t.Errorf("%d stale: an upgrade of what is up to date wrote something", stale)
		}
		f.is("delete a type in use", f.DeleteThingType(t.Context(), account, "pump"), muster.ErrInvalid)
	}
}

// TestRestoreUpgrades takes a backup that an earlier program wrote.
func TestRestoreUpgrades(t *testing.T) {
	f := upgradable(t)
	f.aged(900)
	var file bytes.Buffer
	must(registry.Backup(t.Context(), f.engine, &file, ""))(f)
	f.ok(registry.Upgrade(t.Context(), f.engine))
	sealer := must(registry.NewSealer([]byte("0123456789abcdef0123456789abcdef")))(f)
	e := memory.New()
	defer e.Close()
	if report := must(registry.Restore(t.Context(), e, &file, sealer))(f); len(report.Broken) > 0 {
		t.Errorf("broken: %q", report.Broken)
	}
}
