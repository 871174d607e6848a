package main

import (
	"bytes"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/api/admin"
)

func accountCommand(configPath *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "account",
		Short: "List accounts and make further ones",
		Long: `List accounts and make further ones. Each account has its own authorities, devices,
topics, client IDs and access keys. A device that names an account's endpoint (SNI)
when it connects is of that account.`,
		Example: "  muster account list\n  muster account create 210987654321 --endpoint plant-2.example.com",
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(accountListCommand(configPath), accountCreateCommand(configPath))
	return cmd
}

func accountListCommand(configPath *string) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the accounts with their endpoints",
		Long:    "List the accounts with their endpoints. With -o json each is a JSON object on a line of its own.",
		Example: "  muster account list -o json",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return operate(cmd, *configPath, func(o *console) error {
				accounts, err := call[[]admin.Account](cmd.Context(), o, "account/list", admin.Nothing{})
				if err != nil {
					return err
				}
				for _, a := range accounts {
					text := func(b *bytes.Buffer) { fmt.Fprintf(b, "%s  %s\n", a.ID, a.Endpoint) }
					if err := out.print(cmd.OutOrStdout(), a, text); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	out.add(cmd)
	return cmd
}

func accountCreateCommand(configPath *string) *cobra.Command {
	var (
		a   admin.Account
		out format
	)
	cmd := &cobra.Command{
		Use:   "create ID",
		Short: "Make an account of 12 digits",
		Long: `Make an account of 12 digits. The server's certificate (mqtt.certificate) has to hold
the name of its endpoint, or devices will not trust the server under that name.`,
		Example: "  muster account create 210987654321 --endpoint plant-2.example.com",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.ID = args[0]
			return operate(cmd, *configPath, func(o *console) error {
				made, err := call[admin.Account](cmd.Context(), o, "account/create", a)
				if err != nil {
					return err
				}
				return out.print(cmd.OutOrStdout(), made, func(b *bytes.Buffer) {
					fmt.Fprintf(b, "Made account %s.\nNext: muster key create --account %[1]s\n", made.ID)
				})
			})
		},
	}
	cmd.Flags().StringVar(&a.Endpoint, "endpoint", "", "the host `name` that devices of the account connect to; no other account may have it")
	out.add(cmd)
	return cmd
}
