package badgerdb

import (
	"context"
	"fmt"

	"github.com/muster-mqtt/muster/registry"
)

// Verify is specified by registry.Engine. It reads every block of every table;
// what badger still has in memory was checked when it was opened. ctx counts
// until it begins.
func (e *Engine) Verify(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !e.enter() {
		return registry.ErrClosed
	}
	defer e.users.Done()
	// badger means to tell which block is damaged, and takes its offset from the
	// block that it could not read.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("badgerdb: %w: a block cannot be read (%v)", errDamagedTable, r)
		}
	}()
	if err := e.db.VerifyChecksum(); err != nil {
		return fmt.Errorf("badgerdb: %w: %w", errDamagedTable, err)
	}
	return nil
}
