package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/api/admin"
)

func policyVersionsCommand(configPath *string) *cobra.Command {
	var (
		in  admin.PolicyID
		out format
	)
	cmd := &cobra.Command{
		Use:   "versions NAME",
		Short: "List the versions of a policy, with the one that is in force",
		Long: `List the versions of a policy, oldest first, with the one that is in force. -o json
prints one object, with the documents.`,
		Example: "  muster policy versions device\n  muster policy versions device -o json | jq -r '.versions[] | select(.default).document'",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Name = args[0]
			return operate(cmd, *configPath, func(o *console) error {
				r, err := call[admin.PolicyVersions](cmd.Context(), o, "policy/versions", in)
				if err != nil {
					return err
				}
				return out.print(cmd.OutOrStdout(), r, func(b *bytes.Buffer) { writePolicyVersions(b, r) })
			})
		},
	}
	addPolicyAccount(cmd, &in)
	out.add(cmd)
	return cmd
}

func policyDefaultCommand(configPath *string) *cobra.Command {
	var (
		in  admin.PolicyDefault
		out format
	)
	cmd := &cobra.Command{
		Use:   "default NAME VERSION",
		Short: "Put a version of a policy in force",
		Long: `Put a version of a policy in force. Live sessions are judged by it at once: one that
may not be connected any more is closed, and a subscription that may not be made
any more is taken away.`,
		Example: "  muster policy default device 1",
		Args:    usageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Name, in.Version = args[0], args[1]
			return operate(cmd, *configPath, func(o *console) error {
				r, err := call[admin.PolicyVersions](cmd.Context(), o, "policy/default", in)
				if err != nil {
					return err
				}
				return out.print(cmd.OutOrStdout(), r, func(b *bytes.Buffer) { writePolicyVersions(b, r) })
			})
		},
	}
	addPolicyAccount(cmd, &in.PolicyID)
	out.add(cmd)
	return cmd
}

func addPolicyAccount(cmd *cobra.Command, in *admin.PolicyID) {
	cmd.Flags().StringVar(&in.Account, "account", "", "the account's `id`; needed where there are several")
}

func writePolicyVersions(b *bytes.Buffer, r admin.PolicyVersions) {
	for _, v := range r.Versions {
		mark := ""
		if v.Default {
			mark = "  in force"
		}
		fmt.Fprintf(b, "%s  %s%s\n", v.ID, v.Created.UTC().Format(time.RFC3339), mark)
	}
}
