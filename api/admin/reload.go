package admin

import (
	"context"
	"fmt"

	"github.com/muster-mqtt/muster"
)

// Reload asks the server to read its configuration again.
type Reload struct{}

// Reloaded is what came of it.
type Reloaded struct {
	Problem  string   `json:"problem,omitempty"` // why nothing changed, a line for each reason
	Changed  []string `json:"changed"`           // keys whose new value, or new file, is in force
	Restart  []string `json:"restart"`           // keys whose new value needs a restart
	Warnings []string `json:"warnings"`          // what is wrong, but keeps no server from running
}

// ReloadBy names who reads the configuration again: the server that runs. It is
// called before any request comes.
func (a *Admin) ReloadBy(reload func() Reloaded) { a.reload = reload }

// Reload has the server read its configuration again. It wraps muster.ErrState
// where none runs.
func (a *Admin) Reload(context.Context, Reload) (Reloaded, error) {
	if a.reload == nil {
		return Reloaded{}, fmt.Errorf("no server runs that could read its configuration again: %w", muster.ErrState)
	}
	return a.reload(), nil
}
