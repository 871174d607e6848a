// Package unfinished mends the folder of a badger store whose process was killed
// while it made a file, for the stores of package sessions and of
// registry/badgerdb.
package unfinished

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Remove removes the logs of a folder that are empty: badger makes a log and then
// gives it its size, and where it finds one without, it does not open the store.
// Nothing was ever written to such a file. A folder that another process has open
// is left as it is, and so is one that cannot be opened: badger says so.
func Remove(dir string) error {
	names, err := empty(dir)
	if err != nil || len(names) == 0 {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close() // unlocks it
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil // badger locks in the same way; the log may be one that is being made
	}
	if names, err = empty(dir); err != nil { // now that nobody else makes any
		return err
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, os.Remove(name))
	}
	return errors.Join(errs...)
}

// empty returns the empty logs, of memory tables and of values.
func empty(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".mem" && ext != ".vlog" || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		if info.Size() == 0 {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	return names, nil
}
