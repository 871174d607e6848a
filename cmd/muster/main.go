// Command muster is the broker and its command line. It is the only package
// that knows all others: it reads the configuration, makes each part, joins
// them and runs them until a signal ends it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1 // it did not work; one sentence on standard error says why
	exitUsage = 2 // the command line makes no sense
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without the process, so that tests run it as it is.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := newCommand(stdout, stderr)
	cmd.SetArgs(args)
	if path := os.Getenv(configVariable); path != "" {
		_ = cmd.PersistentFlags().Set("config", path) // a string takes any; the command line wins over it
	}
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var text []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		text = append(text, printable(strings.ReplaceAll(line, "\t", "  "))) // it may quote a certificate, or what somebody pasted
	}
	fmt.Fprintf(stderr, "muster: %s\n", strings.Join(text, "\n"))
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitError
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

const defaultConfig = ".muster/muster.yaml"

func newCommand(stdout, stderr io.Writer) *cobra.Command {
	var configPath string
	root := &cobra.Command{
		Use:   "muster",
		Short: "An MQTT broker that registers devices the first time they connect",
		Long: `Muster is an MQTT broker that registers devices the first time they connect.

A device shows its certificate over mutual TLS. If an authority that you
registered signed it, Muster registers it, asks the issuer by OCSP whether it
still stands, applies the authority's provisioning template, and admits it, or
refuses it and says why. The AWS IoT tools that you have are its control plane.`,
		Example: `  muster demo                       watch the whole story, with no set-up
  muster init && muster serve       a server of your own
  eval "$(muster env)"              point the AWS tools at it
  muster explain device.pem         why is this device refused?`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.PersistentFlags().StringVar(&configPath, "config", defaultConfig, "the configuration `file`; MUSTER_CONFIG stands for it")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(
		initCommand(), serveCommand(&configPath), envCommand(&configPath), healthCommand(&configPath), reloadCommand(&configPath),
		explainCommand(&configPath), demoCommand(), manCommand(), versionCommand(), configCommand(&configPath),
		certCommand(&configPath), caCommand(&configPath), accountCommand(&configPath), keyCommand(&configPath),
		templateCommand(&configPath), policyCommand(&configPath),
		backupCommand(&configPath), restoreCommand(),
	)
	return root
}

// usageArgs makes a violation of a command's arguments a usageError.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
		}
		return nil
	}
}
