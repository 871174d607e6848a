package broker_test

import (
	"context"
	"sync"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/sessions"
)

// keeping has the broker keep sessions in a store, as the program does.
func keeping(t *testing.T) options {
	store, err := sessions.Open(sessions.Config{Dir: t.TempDir(), Log: zerolog.Nop()})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { store.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		must(t, store.Close())
	})
	return options{broker: func(c *broker.Config) {
		unlimited(c)
		alone := c.NewHooks
		c.NewHooks = func(account string, s *mqtt.Server) ([]mqtt.Hook, error) {
			all, err := alone(account, s)
			return append(all, store.Hook(account, s)), err
		}
	}}
}
