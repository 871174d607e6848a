package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/muster-mqtt/muster/config"
)

// sessionsApart returns why sessions cannot lie where a configuration has them:
// two stores in one folder spoil each other, and who moves one away, or copies it,
// must not take the other along.
func sessionsApart(c *config.Config) error {
	if c.Sessions.Store == config.SessionStoreMemory {
		return nil
	}
	sessions, registry := resolve(c.Sessions.Path), resolve(c.Registry.Path)
	var where string
	switch {
	case sessions == registry:
		where = "is"
	case within(sessions, registry):
		where = "lies in"
	case within(registry, sessions):
		where = "holds"
	default:
		return nil
	}
	return fmt.Errorf("%s %s the folder of the registry, %s; sessions need one of their own, such as %s",
		c.Sessions.Path, where, c.Registry.Path, filepath.Join(filepath.Dir(c.Registry.Path), "sessions"))
}

// resolve returns a path without links, as far as it exists.
func resolve(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	if above := filepath.Dir(path); above != path {
		return filepath.Join(resolve(above), filepath.Base(path))
	}
	return path
}

func within(path, dir string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// sessions looks at the folder of the sessions, or where it would be made.
func (f *findings) sessions(c *config.Config) {
	if c.Sessions.Store == config.SessionStoreMemory {
		return
	}
	err := sessionsApart(c)
	if err == nil {
		err = couldMake(c.Sessions.Path)
	}
	if err != nil {
		f.problem("sessions.path", err)
	}
}

// couldMake reports why a folder neither is there to be written to nor could be
// made.
func couldMake(dir string) error {
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir:
		return couldMake(filepath.Dir(dir))
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no folder", dir)
	}
	return writable(dir)
}
