package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/muster-mqtt/muster/config"
	"github.com/muster-mqtt/muster/hooks"
	"github.com/muster-mqtt/muster/internal/metrics"
	"github.com/muster-mqtt/muster/sessions"
)

// openSessions opens the store of sessions and retained messages. It is apart
// from the registry, and in no backup: who restores one begins with none.
func (d *daemon) openSessions() (err error) {
	c := d.config
	dir := c.Sessions.Path
	if c.Sessions.Store == config.SessionStoreMemory {
		dir = ""
	}
	if err := sessionsApart(c); err != nil {
		return fmt.Errorf("sessions.path: %w", err)
	}
	d.sessions, err = sessions.Open(sessions.Config{
		Dir:      dir,
		Limits:   sessions.Limits{Sessions: c.Limits.Sessions, Retained: c.Limits.Retained, Waiting: c.Limits.Waiting},
		Observer: sessionObserver{d.metrics}, Log: d.log,
	})
	if err != nil {
		return err
	}
	d.metrics.Sessions(func() metrics.Kept { return metrics.Kept(d.sessions.Figures()) })
	if dir != "" {
		d.metrics.DiskFree(metrics.FolderSessions, func() (uint64, error) { return diskFree(dir) })
	}
	return nil
}

// withSessions adds what keeps sessions to the hook that authenticates. Devices
// that belong to no account are refused, and have none.
func (d *daemon) withSessions(account string, c hooks.Config) ([]mqtt.Hook, error) {
	if account == "" {
		h, err := hooks.New(c)
		return []mqtt.Hook{h}, err
	}
	keeper := d.sessions.Hook(account, c.Server)
	c.Keeper = keeper
	h, err := hooks.New(c)
	return []mqtt.Hook{h, keeper}, err
}

// sessionsCheck is one of readiness.
func (d *daemon) sessionsCheck() check {
	return check{name: "sessions", find: func(context.Context) error { return d.sessions.Err() }}
}

// close closes the stores, after everything that uses them has ended.
func (d *daemon) close() error {
	var err error
	if d.sessions != nil {
		err = d.sessions.Close()
	}
	return errors.Join(err, d.state.close())
}

// sessionObserver joins what package sessions tells to the metrics.
type sessionObserver struct{ m *metrics.Metrics }

func (o sessionObserver) Committed(_ int, took time.Duration) { o.m.SessionCommit(took) }
func (o sessionObserver) Dropped(limit string) {
	o.m.SessionMessageDropped(metrics.SessionLimit(limit))
}
