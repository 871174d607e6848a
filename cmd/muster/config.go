package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/config"
)

// configVariable names the configuration where --config does not.
const configVariable = "MUSTER_CONFIG"

// configSource is where every command reads its configuration from. A file that
// nobody named may be absent, if the environment says enough.
func configSource(path string) config.Source {
	return config.Source{File: path, Optional: path == defaultConfig, Environ: os.Environ()}
}

func loadConfig(path string) (*config.Config, error) { return config.Load(configSource(path)) }

func configCommand(configPath *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and print the configuration",
		Long: `Check and print the configuration: the file that --config names, and the
variables of the environment that win over it. A key such as mqtt.address is the
variable MUSTER_MQTT_ADDRESS, and MUSTER_CONFIG stands for --config.`,
		Example: "  muster config check\n  muster config print --effective",
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(configCheckCommand(configPath), configPrintCommand(configPath), configSchemaCommand())
	return cmd
}

// checked is what config check prints for programs.
type checked struct {
	Good     bool     `json:"good"`
	Problems []string `json:"problems"` // what keeps a server from starting
	Warnings []string `json:"warnings"`
}

func configCheckCommand(configPath *string) *cobra.Command {
	var output format
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with the configuration, before a server is started",
		Long: `Say what is wrong with the configuration: keys and values, and whether the files
that it names are there, fit each other and are closed to others. Each problem is
a line with its place, its key and its mend. It needs no server, opens no
registry and changes nothing. Exits 1 if a server could not start; a warning, such
as an expired certificate, leaves 0.`,
		Example: "  muster config check --config /etc/muster/muster.yaml\n  muster config check -o json",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var found findings
			c, settings, err := config.Read(configSource(*configPath))
			if err == nil {
				found = checkConfig(c, settings)
				err = errors.Join(found.problems...)
			}
			if output == formatJSON {
				return errors.Join(printChecked(cmd.OutOrStdout(), found.warnings, err), err)
			}
			for _, f := range found.warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "muster: warning: %s\n", f)
			}
			if err != nil {
				return err
			}
			place := *configPath
			if _, err := os.Stat(place); err != nil {
				place = "environment" // it stands for a file that is not there
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: the configuration is good\n", place)
			return err
		},
	}
	output.add(cmd)
	return cmd
}

// printChecked prints one line of JSON; err has a line for each problem.
func printChecked(out io.Writer, warnings []string, err error) error {
	all := checked{Good: err == nil, Problems: []string{}, Warnings: append([]string{}, warnings...)}
	if err != nil {
		all.Problems = strings.Split(err.Error(), "\n")
	}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(all)
}

func configPrintCommand(configPath *string) *cobra.Command {
	var effective bool
	var output string
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the values of the file, or those in force",
		Long: `Print the values that the file gives, or with --effective the value of every key
as a server would take it, each with where it comes from: FILE:LINE, a variable
of the environment, or the default. What is printed is a configuration itself.
No key takes a secret, only the path of one, so that none is printed.`,
		Example: "  muster config print\n  muster config print --effective -o json",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "yaml" && output != "json" {
				return &usageError{fmt.Errorf("--output %q: it is yaml or json", output)}
			}
			settings, err := configSettings(*configPath, effective)
			if err != nil {
				return err
			}
			return printSettings(cmd.OutOrStdout(), settings, output)
		},
	}
	cmd.Flags().BoolVar(&effective, "effective", false, "every key, as the environment and the defaults make it")
	cmd.Flags().StringVarP(&output, "output", "o", "yaml", "the `form`: yaml or json")
	return cmd
}

func configSettings(path string, effective bool) (config.Settings, error) {
	if !effective {
		return config.Written(path)
	}
	_, settings, err := config.Read(configSource(path))
	return settings, err
}

func printSettings(out io.Writer, settings config.Settings, output string) error {
	if output == "yaml" {
		_, err := out.Write(settings.Document())
		return err
	}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(settings)
}

func configSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration",
		Long: `Print the JSON Schema (draft 2020-12) of the configuration, for editors that
complete and check while you write. It accepts all that Muster accepts; muster
config check knows more that is wrong.`,
		Example: "  muster config schema > muster.schema.json",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			schema, err := config.Schema()
			if err == nil {
				_, err = cmd.OutOrStdout().Write(schema)
			}
			return err
		},
	}
}
