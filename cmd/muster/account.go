package main

import (
	"bytes"
	"fmt"
	"time"

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

func keyCommand(configPath *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "List, make, disable and delete access keys of the API",
		Long: `List, make, disable and delete access keys. A key signs requests to the API for one
account. Its secret is shown once, when it is made; the registry keeps it sealed.`,
		Example: "  muster key list\n  muster key create --account 210987654321 > plant-2.credentials",
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		keyListCommand(configPath), keyCreateCommand(configPath),
		keySwitchCommand(configPath, "disable", true), keySwitchCommand(configPath, "enable", false), keyDeleteCommand(configPath),
	)
	return cmd
}

func keyListCommand(configPath *string) *cobra.Command {
	var (
		of  admin.OfAccount
		out format
	)
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List access keys, without their secrets",
		Long:    "List access keys, without their secrets. With -o json each is a JSON object on a line of its own.",
		Example: "  muster key list --account 210987654321",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return operate(cmd, *configPath, func(o *console) error {
				keys, err := call[[]admin.Key](cmd.Context(), o, "key/list", of)
				if err != nil {
					return err
				}
				for _, k := range keys {
					state := "enabled"
					if k.Disabled {
						state = "disabled"
					}
					text := func(b *bytes.Buffer) {
						fmt.Fprintf(b, "%s  %s  %-8s  made %s\n", k.ID, k.Account, state, k.Created.Format(time.RFC3339))
					}
					if err := out.print(cmd.OutOrStdout(), k, text); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&of.Account, "account", "", "only those of the account of this `id`")
	out.add(cmd)
	return cmd
}

func keyCreateCommand(configPath *string) *cobra.Command {
	var (
		of  admin.OfAccount
		out format
	)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make an access key, and show its secret this once",
		Long: `Make an access key of an account, and print it in the form of the credentials file
of the AWS tools. The secret is shown this once.`,
		Example: `  (umask 077; muster key create > key.credentials)
  AWS_SHARED_CREDENTIALS_FILE=key.credentials aws iot list-certificates --endpoint-url "$AWS_ENDPOINT_URL"`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return operate(cmd, *configPath, func(o *console) error {
				k, err := call[admin.Key](cmd.Context(), o, "key/create", of)
				if err != nil {
					return err
				}
				return out.print(cmd.OutOrStdout(), k, func(b *bytes.Buffer) {
					fmt.Fprintf(b, "# account %s\n[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", k.Account, k.ID, k.Secret)
				})
			})
		},
	}
	addAccountFlag(cmd, &of.Account)
	out.add(cmd)
	return cmd
}

// keySwitchCommand disables access keys, or enables them.
func keySwitchCommand(configPath *string, verb string, disabled bool) *cobra.Command {
	effects := map[bool]string{
		true:  "Disable an access key. When the command returns, the key signs no request any more.",
		false: "Enable an access key that was disabled.",
	}
	return &cobra.Command{
		Use:     verb + " ID",
		Short:   effects[disabled],
		Long:    effects[disabled],
		Example: "  muster key " + verb + " AKIAIOSFODNN7EXAMPLE",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return operate(cmd, *configPath, func(o *console) error {
				_, err := call[admin.Nothing](cmd.Context(), o, "key/set", admin.KeySwitch{ID: args[0], Disabled: disabled})
				if err == nil {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is %sd\n", args[0], verb)
				}
				return err
			})
		},
	}
}

func keyDeleteCommand(configPath *string) *cobra.Command {
	return &cobra.Command{
		Use:     "delete ID",
		Short:   "Delete an access key",
		Long:    "Delete an access key. When the command returns, the key signs no request any more.",
		Example: "  muster key delete AKIAIOSFODNN7EXAMPLE",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return operate(cmd, *configPath, func(o *console) error {
				_, err := call[admin.Nothing](cmd.Context(), o, "key/delete", admin.KeyName{ID: args[0]})
				if err == nil {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is deleted\n", args[0])
				}
				return err
			})
		},
	}
}
