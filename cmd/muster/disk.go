package main

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/muster-mqtt/muster/config"
)

// What has to be free where the registry lies, and where the sessions do. badger writes to files that it
// has mapped into memory and that are mostly holes: where the disk has no block
// for one, the kernel ends the process by SIGBUS. Five tables of 32 MiB may wait
// in memory, each with a log, beside one that is being written.
const (
	diskNeeded = 256 << 20 // bytes; with less the server is not ready
	diskWanted = 1 << 30   // with less it says so
)

// diskFree returns how many bytes an ordinary user may still write where a folder
// lies.
func diskFree(folder string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, fmt.Errorf("%s: %w", folder, err)
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}

// enough returns an error unless so many bytes are free wherever the server
// writes.
func (d *daemon) enough(bytes uint64) error {
	err := enough(d.config.Registry.Path, bytes)
	if s := d.config.Sessions; s.Store == config.SessionStoreDisk {
		err = errors.Join(err, enough(s.Path, bytes))
	}
	return err
}

// enough returns an error unless so many bytes are free.
func enough(folder string, bytes uint64) error {
	free, err := diskFree(folder)
	if err == nil && free < bytes {
		err = fmt.Errorf("%d MiB are free where %s lies, of %d that it takes", free>>20, folder, bytes>>20)
	}
	return err
}
