package registry

import (
	"context"

	"github.com/muster-mqtt/muster"
)

// Provision applies what a fleet provisioning template made to a certificate
// that fleet provisioning issued, whole or not at all.
func (s *Store) Provision(ctx context.Context, p muster.Provisioning) (muster.Provisioned, error) {
	return muster.Provisioned{}, ctx.Err()
}
