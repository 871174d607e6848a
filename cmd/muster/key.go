package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/api/admin"
)

func keyCommand(configPath *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "List, make, disable and delete access keys of the API",
		Long: `List, make, disable and delete access keys. A key signs requests to the API for one
account, which may have any number of them. It may be read-only, or bound to
operations. Its secret is shown once, when it is made; the registry keeps it sealed.`,
		Example: "  muster key list\n  muster key create --account 210987654321 --name terraform > terraform.credentials",
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
		Use:   "list",
		Short: "List access keys, without their secrets",
		Long: `List access keys, without their secrets, with what they are bound to and when they
were last used. What a key signed within the hour before the server was stopped may
be missing there. With -o json each is a JSON object on a line of its own.`,
		Example: "  muster key list --account 210987654321",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return operate(cmd, *configPath, func(o *console) error {
				keys, err := call[[]admin.Key](cmd.Context(), o, "key/list", of)
				if err != nil {
					return err
				}
				for _, k := range keys {
					if err := out.print(cmd.OutOrStdout(), k, func(b *bytes.Buffer) { printKey(b, k) }); err != nil {
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

// printKey writes a line whose columns stand below one another.
func printKey(b *bytes.Buffer, k admin.Key) {
	state, name, may, used := "enabled", "-", "all", "never used"
	if k.Disabled {
		state = "disabled"
	}
	if k.Name != "" {
		name = k.Name
	}
	if len(k.Operations) > 0 {
		may = strings.Join(k.Operations, ",")
	}
	if k.ReadOnly {
		may = strings.TrimSuffix("read-only,"+may, ",all")
	}
	if !k.Used.IsZero() {
		used = "used " + k.Used.Format(time.RFC3339)
	}
	fmt.Fprintf(b, "%s  %s  %-8s  %-12s  %-9s  made %s  %s\n", k.ID, k.Account, state, name, may, k.Created.Format(time.RFC3339), used)
}

func keyCreateCommand(configPath *string) *cobra.Command {
	var (
		in  admin.NewKey
		out format
	)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make an access key, and show its secret this once",
		Long: `Make an access key of an account, and print it in the form of the credentials file
of the AWS tools. The secret is shown this once.

A read-only key may call what changes nothing: Describe…, Get… and List…, but not
GetRegistrationCode, which makes a code where there is none, and TestAuthorization.
A key with --operations may call those and no others; with both, what both allow.
These stay as they are: to change them, make another key and delete this one.`,
		Example: `  (umask 077; muster key create --name audit --read-only > audit.credentials)
  muster key create --name line-7 --operations 'RegisterCertificate,Describe*'
  AWS_SHARED_CREDENTIALS_FILE=audit.credentials aws iot list-certificates --endpoint-url "$AWS_ENDPOINT_URL"`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			// An unset variable of a script must not make a key that may call all.
			if cmd.Flags().Changed("operations") && len(in.Operations) == 0 {
				return &usageError{errors.New("--operations is empty; name one, or leave it away for a key that may call all")}
			}
			return operate(cmd, *configPath, func(o *console) error {
				k, err := call[admin.Key](cmd.Context(), o, "key/create", in)
				if err != nil {
					return err
				}
				return out.print(cmd.OutOrStdout(), k, func(b *bytes.Buffer) {
					fmt.Fprintf(b, "# account %s\n[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", k.Account, k.ID, k.Secret)
				})
			})
		},
	}
	addAccountFlag(cmd, &in.Account)
	cmd.Flags().StringVar(&in.Name, "name", "", "what people call the key, shown in lists and in refusals")
	cmd.Flags().BoolVar(&in.ReadOnly, "read-only", false, "let it call only what changes nothing")
	cmd.Flags().StringSliceVar(&in.Operations, "operations", nil, "let it call only these `names`, each an operation of the API or its beginning and *")
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
