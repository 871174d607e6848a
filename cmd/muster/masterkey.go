package main

import (
	"context"
	"fmt"
)

// warnOfMasterKey tells of a master key that is not the one that the registry's
// secrets were sealed under: no access key works then, and those that are made
// work until the other one is back. The server runs all the same: devices need
// none of them, and who has lost the key needs new ones.
func (d *daemon) warnOfMasterKey(ctx context.Context) {
	if err := d.tryMasterKey(ctx); err != nil {
		d.log.Error().Str("event", "master_key_differs").Err(err).Msgf(
			"registry.master_key: %s does not open the access keys; put back the file that they were made under, or make new ones by muster key create",
			d.config.Registry.MasterKey)
	}
}

// tryMasterKey opens one access key of each account, if it has any.
func (d *daemon) tryMasterKey(ctx context.Context) error {
	accounts, err := d.store.Accounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		keys, err := d.store.AccessKeys(ctx, a.ID)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			continue
		}
		if _, err := d.store.AccessKey(ctx, keys[0].ID); err != nil {
			return fmt.Errorf("account %s: %w", a.ID, err)
		}
	}
	return nil
}
