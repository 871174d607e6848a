package main

import (
	"fmt"
	"syscall"
)

// What has to be free where the registry lies. badger writes to files that it
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

// enough returns an error unless so many bytes are free.
func enough(folder string, bytes uint64) error {
	free, err := diskFree(folder)
	if err == nil && free < bytes {
		err = fmt.Errorf("%d MiB are free where %s lies, of %d that it takes", free>>20, folder, bytes>>20)
	}
	return err
}
