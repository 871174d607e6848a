package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/api/admin"
)

func templateListCommand(configPath *string) *cobra.Command {
	var (
		of  admin.OfAccount
		out format
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the templates that are registered",
		Long: `List the templates that are registered, by name: the type, whether it is enabled,
the version in force and the others. With -o json each is one JSON object on a line
of its own.`,
		Example: "  muster template list\n  muster template list -o json | jq -r 'select(.enabled | not) | .name'",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return operate(cmd, *configPath, func(o *console) error {
				p := &templatePrinter{out: cmd.OutOrStdout(), format: out}
				if err := follow(cmd.Context(), o, "template/list", of, p.print); err != nil {
					return err
				}
				if !p.begun && out == formatText {
					fmt.Fprintln(cmd.ErrOrStderr(), "There is no template yet: aws iot create-provisioning-template makes one.")
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&of.Account, "account", "", "only those of the account of this `id`")
	out.add(cmd)
	return cmd
}

// templatePrinter prints templates as they come.
type templatePrinter struct {
	out    io.Writer
	format format
	begun  bool
}

const templateRow = "%-36s  %-12s  %-18s  %-7s  %7s  %s\n"

func (p *templatePrinter) print(t admin.Template) error {
	if p.format == formatJSON {
		return json.NewEncoder(p.out).Encode(t)
	}
	var b bytes.Buffer
	if !p.begun {
		fmt.Fprintf(&b, templateRow, "NAME", "ACCOUNT", "TYPE", "ENABLED", "VERSION", "OF")
		p.begun = true
	}
	fmt.Fprintf(&b, templateRow, t.Name, t.Account, t.Type, onOff(t.Enabled), fmt.Sprint(t.Default), versionNumbers(t))
	_, err := p.out.Write(b.Bytes())
	return err
}

func versionNumbers(t admin.Template) string {
	var b bytes.Buffer
	for i, v := range t.Versions {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, v.ID)
	}
	return b.String()
}

func templateShowCommand(configPath *string) *cobra.Command {
	var (
		name admin.TemplateName
		body bool
		out  format
	)
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a template that is registered, with its versions",
		Long: `Show a template that is registered: its versions, the one that is in force, and
which authorities have it bound. With --body the text of a version is printed and
nothing else, as it was given.`,
		Example: `  muster template show sensor
  muster template show sensor --version 2 --body > sensor.json`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("version") && name.Version < 1 {
				return &usageError{errors.New("--version must be at least 1")}
			}
			if body && out == formatJSON {
				return &usageError{errors.New("--body is not JSON; leave -o json out")}
			}
			name.Name = args[0]
			return operate(cmd, *configPath, func(o *console) error {
				t, err := call[admin.Template](cmd.Context(), o, "template/show", name)
				if err != nil {
					return err
				}
				if body {
					_, err := io.WriteString(cmd.OutOrStdout(), t.Body)
					return err
				}
				return out.print(cmd.OutOrStdout(), t, func(b *bytes.Buffer) { writeTemplate(b, t) })
			})
		},
	}
	cmd.Flags().IntVar(&name.Version, "version", 0, "the `number` of the version whose text is meant; the one in force, if it is not given")
	cmd.Flags().BoolVar(&body, "body", false, "print the text of the version, and nothing else")
	addAccountFlag(cmd, &name.Account)
	out.add(cmd)
	return cmd
}

// writeTemplate writes a line for each thing known, for people.
func writeTemplate(b *bytes.Buffer, t admin.Template) {
	line := func(name, form string, args ...any) {
		fmt.Fprintf(b, "%-12s "+form+"\n", append([]any{name}, args...)...)
	}
	line("template", "%s", t.Name)
	line("account", "%s", t.Account)
	line("type", "%s", t.Type)
	if t.Description != "" {
		line("description", "%s", printable(t.Description))
	}
	line("enabled", "%s", onOff(t.Enabled))
	for _, v := range t.Versions {
		force := ""
		if v.ID == t.Default {
			force = ", in force"
		}
		line("version", "%d, %s%s", v.ID, v.Created.Format(time.RFC3339), force)
	}
	if t.Hook != nil {
		line("hook", "%s", printable(t.Hook.TargetARN))
	}
	for _, id := range t.Authorities {
		line("authority", "%s", id)
	}
	for _, tag := range t.Tags {
		line("tag", "%s=%s", printable(tag.Key), printable(tag.Value))
	}
}

func templateSetCommand(configPath *string) *cobra.Command {
	var (
		change  admin.TemplateChange
		version int
		enabled string
		out     format
	)
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Put a version of a template in force, or disable all of them",
		Long: `Set which version of a template is in force, and whether the template may be used,
all of it or nothing, and print the template as it is then. It counts from the next
connect on; devices that are registered stay as they are.

While a template is disabled, devices that connect for the first time stay pending,
and none provisions itself by a claim.`,
		Example: `  muster template set sensor --default 3
  muster template set sensor --enabled off`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			change.Name = args[0]
			if cmd.Flags().Changed("default") {
				change.Default = &version
			}
			if cmd.Flags().Changed("enabled") {
				on := enabled == "on"
				if change.Enabled = &on; !on && enabled != "off" {
					return &usageError{fmt.Errorf("--enabled %s: want on or off", cmp.Or(enabled, "''"))}
				}
			}
			if change.Default == nil && change.Enabled == nil {
				return &usageError{errors.New("nothing to set: give --default or --enabled")}
			}
			return operate(cmd, *configPath, func(o *console) error {
				t, err := call[admin.Template](cmd.Context(), o, "template/set", change)
				if err != nil {
					return err
				}
				return out.print(cmd.OutOrStdout(), t, func(b *bytes.Buffer) { writeTemplate(b, t) })
			})
		},
	}
	cmd.Flags().IntVar(&version, "default", 0, "the `number` of the version that is to be in force")
	cmd.Flags().StringVar(&enabled, "enabled", "", "whether the template may be used: on or off")
	addAccountFlag(cmd, &change.Account)
	out.add(cmd)
	return cmd
}
