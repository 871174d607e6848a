package memory_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
	"github.com/muster-mqtt/muster/registry/registrytest"
)

var _ registry.Engine = (*memory.Engine)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) (registry.Engine, func() registry.Engine) {
		e := memory.New()
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		return e, nil
	})
}

func TestFail(t *testing.T) {
	e := memory.New()
	put := func(tx registry.Tx) error { return tx.Put("k", registry.Doc{ID: "a"}) }
	if err := e.Update(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("disk gone")
	e.Fail(cause)
	for name, err := range map[string]error{"Update": e.Update(t.Context(), put), "Err": e.Err()} {
		if !errors.Is(err, registry.ErrFailed) || !errors.Is(err, cause) {
			t.Errorf("%s = %v, want ErrFailed for %v", name, err, cause)
		}
	}
	err := e.View(t.Context(), func(r registry.Reader) error {
		_, err := r.Get("k", "a")
		return err
	})
	if err != nil {
		t.Errorf("View after Fail: %v", err)
	}
}

// TestSimulation runs one history on two engines of this kind: whatever differs
// is a fault of the simulation.
func TestSimulation(t *testing.T) {
	e := memory.New()
	registrytest.Simulate(t, 1, 2000, e, memory.New(), func() registry.Engine { return e })
}
