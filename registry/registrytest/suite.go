// Package registrytest holds every registry.Engine to its contract. Run is the
// suite that an engine's tests call, Simulate compares two engines over a random
// history, and CheckEngine looks from outside whether documents and indexes
// agree.
package registrytest

import (
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

// Open makes an empty engine, which it closes when the test ends. The second
// result closes that engine and opens it again over the same documents; it is
// nil for an engine that keeps none.
type Open func(t *testing.T) (e registry.Engine, reopen func() registry.Engine)

// Run runs the whole suite, each test on an engine of its own.
func Run(t *testing.T, open Open) {
	for _, group := range []struct {
		name  string
		tests map[string]func(*testing.T, registry.Engine)
	}{
		{"Documents", documentTests},
		{"Unique", uniqueTests},
		{"Pages", pageTests},
		{"Updates", updateTests},
		{"Limits", limitTests},
		{"Concurrent", concurrentTests},
		{"Changes", changeTests},
		{"Close", closeTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for name, test := range group.tests {
				t.Run(name, func(t *testing.T) {
					e, _ := open(t)
					test(t, e)
				})
			}
		})
	}
	t.Run("Reopen", func(t *testing.T) {
		if e, reopen := open(t); reopen != nil {
			testReopen(t, e, reopen)
		}
	})
}
