package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster"
)

// revocable are the states that a certificate is revoked from, those first whose
// devices may be connected.
var revocable = []muster.Status{muster.Active, muster.Inactive, muster.PendingActivation}

// revokeCommand revokes certificates for good: an authority's, after its key was
// lost, as a rule.
func revokeCommand(configPath *string) *cobra.Command {
	s := &settleCommand{verb: "revoke", past: "revoked", become: muster.Revoked, from: revocable}
	var states []string
	cmd := s.command(configPath)
	cmd.Short = "Revoke certificates: those of an authority, or some"
	cmd.Long = `Set certificates to REVOKED, which is final: those that are named, or all of a
selection, such as all that an authority signed. Connections that use them are
closed at once.

An authority that is still ACTIVE goes on to register devices: deactivate it before.
What is being transferred is left as it is; cancel the transfer before.

The work is done in small steps between which others go on; Ctrl-C ends after the
present one, and the same command goes on with the rest.`
	cmd.Example = `  muster cert revoke --authority 5fb0d412 --dry-run
  muster cert revoke --authority 5fb0d412 --status ACTIVE --yes --progress
  muster cert revoke device.pem`
	cmd.Flags().StringArrayVar(&states, "status", nil, "only those in this `status`, ACTIVE, INACTIVE or PENDING_ACTIVATION; may be given several times")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if len(states) == 0 {
			return nil
		}
		s.from = nil
		for _, state := range states {
			from := muster.Status(strings.ToUpper(state))
			if !slices.Contains(revocable, from) {
				return &usageError{fmt.Errorf("--status %.40q: want %s", state, listed(revocable))}
			}
			if !slices.Contains(s.from, from) {
				s.from = append(s.from, from)
			}
		}
		return nil
	}
	return cmd
}

// listed names states for people: "ACTIVE, INACTIVE or PENDING_ACTIVATION".
func listed(states []muster.Status) string {
	var names []string
	for _, s := range states {
		names = append(names, string(s))
	}
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}
