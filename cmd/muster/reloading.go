package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/api/admin"
)

func reloadCommand(configPath *string) *cobra.Command {
	var output format
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the server read its configuration again",
		Long: `Have the running server read its configuration again, and the certificates that
it names, and say what came of it, as SIGHUP does. If anything is wrong, all stays
as it was, and the command exits 1 with what muster config check would say.
Certificates and their keys, the log level, mqtt.drain and the limits of
connections, connects and requests change while the server runs; other keys are
named, and take force when it is started again. The server also looks at the files
by itself, every two seconds.`,
		Example: "  muster reload --config /etc/muster/muster.yaml",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(*configPath)
			if err != nil {
				return err
			}
			path := filepath.Join(c.Admin.Path, socketFile)
			first, err := dialSocket(cmd.Context(), path)
			if err != nil {
				return fmt.Errorf("no server runs that could read its configuration again: %w", err)
			}
			out, err := call[admin.Reloaded](cmd.Context(), serverConsole(path), "reload", admin.Reload{})
			if err := errors.Join(err, first.Close()); err != nil {
				return err
			}
			for _, w := range out.Warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "muster: warning: %s\n", printable(w))
			}
			if err := output.print(cmd.OutOrStdout(), out, func(b *bytes.Buffer) { printReloaded(b, out) }); err != nil || out.Problem == "" {
				return err
			}
			return errors.New(out.Problem)
		},
	}
	output.add(cmd)
	return cmd
}

func printReloaded(b *bytes.Buffer, out admin.Reloaded) {
	switch {
	case out.Problem != "": // told as an error
	case len(out.Changed) == 0:
		fmt.Fprintln(b, "Nothing that is in force has changed.")
	default:
		fmt.Fprintf(b, "In force now: %s\n", strings.Join(out.Changed, ", "))
	}
	if len(out.Restart) > 0 {
		fmt.Fprintf(b, "After a restart: %s\n", strings.Join(out.Restart, ", "))
	}
}
