package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
)

// supervisor tells systemd how the server fares, by the protocol of sd_notify(3).
// Where no systemd started it, there is no NOTIFY_SOCKET, and nobody is told.
type supervisor struct{ log zerolog.Logger }

func (s supervisor) tell(lines ...string) {
	if _, err := systemd.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		s.log.Warn().Err(err).Msg("systemd could not be told")
	}
}

const statusServing = "serving"

// ready tells that the server serves, at its start and after a reload.
func (s supervisor) ready(status string) { s.tell(systemd.SdNotifyReady, "STATUS="+status) }

// reloading begins a reload; ready ends it, with or without success. systemd
// takes READY=1 for the end of this reload by the time that stands here.
func (s supervisor) reloading() {
	s.tell(systemd.SdNotifyReloading, strings.TrimSpace(systemd.SdNotifyMonotonicUsec()))
}

// stopping begins the end. It asks for the time that the drain may take, in case
// mqtt.drain is longer than the unit's TimeoutStopSec.
func (s supervisor) stopping(drain time.Duration) {
	s.tell(systemd.SdNotifyStopping, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (drain+stopSlack).Microseconds()),
		"STATUS=stopping: clients are told, spread over "+drain.String())
}

// stopSlack is more than a stop takes besides its drain: what settles then in
// package broker, requests to the API, and the registry that closes.
const stopSlack = 30 * time.Second

// watch tells systemd's watchdog that the server lives, twice in each of its
// intervals, for as long as that is so: who hangs is restarted.
func (s supervisor) watch(ctx context.Context, alive func() error) {
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn().Err(err).Msg("the watchdog of systemd is not told that the server lives")
	}
	if err != nil || interval == 0 {
		return
	}
	ticker := time.NewTicker(interval / 2)
	defer ticker.Stop()
	for {
		if err := alive(); err != nil {
			s.log.Error().Str("event", "hanging").Err(err).Msg("the server hangs; the watchdog of systemd is not told that it lives")
		} else {
			s.tell(systemd.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
