package main

import (
	"fmt"
	"syscall"

	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/config"
)

// reserved is how many file descriptors are kept for all but connections: the
// tables of the registry, whose writing ends for good when it cannot open one,
// requests to the API, questions to OCSP responders.
const reserved = 1024

// brokerLimits are those of a configuration, with no more connections than there
// are descriptors for: too few of them must not hit the registry.
func brokerLimits(c *config.Config) broker.Limits {
	return broker.Limits{
		Connections: min(c.Limits.Connections, room(descriptors())), Handshakes: c.Limits.Handshakes,
		Connects: c.Limits.Connects, ConnectsPerAddress: c.Limits.ConnectsPerAddress,
	}
}

func gateLimits(c *config.Config) admission.Limits {
	return admission.Limits{
		ConnectsPerAuthority: c.Limits.ConnectsPerAuthority, Registrations: c.Limits.Registrations,
	}
}

// descriptors is how many files this process may have open. Go has raised the
// soft limit to the hard one when it started.
func descriptors() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	return int(min(l.Cur, 1<<30)) // no limit is the largest number
}

// room is how many connections there are descriptors for.
func room(descriptors int) int { return max(descriptors-reserved, descriptors/2, 1) }

// callers is how many connections to the API may be open at once, with so many
// descriptors: what is reserved is for more than those.
func callers(descriptors int) int { return max(min(reserved/2, descriptors/4), 1) }

// watchers is the same of the probes and the metrics, and of the admin socket,
// each.
const watchers = 64

// tooFew says that there are fewer descriptors than the configuration has
// connections, and how to mend that; "" if not.
func tooFew(connections, descriptors int) string {
	if connections <= room(descriptors) {
		return ""
	}
	return fmt.Sprintf("%d connections need more than the %d file descriptors that this process may have, so that it lets in no more than %d; "+
		"give it %d (LimitNOFILE= in systemd, ulimit -n in a shell), or lower the limit",
		connections, descriptors, room(descriptors), connections+reserved)
}
