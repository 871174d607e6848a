package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/api/admin"
)

func explainCommand(configPath *string) *cobra.Command {
	var q admin.Question
	cmd := &cobra.Command{
		Use:   "explain CERT.pem|FINGERPRINT",
		Short: "Say why a device is let in or refused, and what would mend it",
		Long: `Ask every rule of admission about a certificate, in order: what it looked at,
what it says, and what would mend a refusal; then what is remembered of earlier
refusals, those of the CONNECT packet and of the policies among them.

A fingerprint is the SHA-256 of the certificate's DER in hex, as in the log and
in the AWS certificate ID. A PEM file is read for its first certificate.`,
		Example: "  muster explain device.pem\n  muster explain 4f0c…e9",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if text, err := os.ReadFile(args[0]); err == nil {
				q.PEM = string(text)
			} else if q.Fingerprint = strings.ToLower(args[0]); len(args[0]) != 64 {
				return fmt.Errorf("certificate: %w", err)
			}
			return operate(cmd, *configPath, func(o *console) error {
				e, err := call[admin.Explanation](cmd.Context(), o, "explain", q)
				if err != nil {
					return err
				}
				return printExplanation(cmd.OutOrStdout(), e)
			})
		},
	}
	cmd.Flags().StringVar(&q.SNI, "sni", "", "the server `name` that the device sends")
	return cmd
}

// printExplanation writes one line a rule, for people.
func printExplanation(w io.Writer, e admin.Explanation) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "certificate  %s\nsubject      %s\n", e.CertificateID, e.Subject)
	if e.Account != "" {
		fmt.Fprintf(&b, "account      %s\n", e.Account)
	}
	if e.Remembered {
		fmt.Fprintf(&b, "note         the certificate is not registered; these are the facts of its latest refusal\n")
	}
	fmt.Fprintf(&b, "decision     %s\n\n", strings.TrimSpace(e.Verdict+" "+string(e.Reason)))
	for _, l := range e.Lines {
		mark, says := " ", "ok"
		switch {
		case l.Says == "refuse":
			mark, says = "-", "REFUSE "+string(l.Reason)
		case l.Says != "silent":
			mark, says = "+", l.Says
		}
		if l.Decides {
			mark = ">"
		}
		fmt.Fprintf(&b, "%s %2d %-20s %s\n", mark, l.Rule, l.Name, l.Saw)
		if says != "ok" {
			fmt.Fprintf(&b, "     %-20s %s\n", "", says)
		}
		if l.Mend != "" {
			fmt.Fprintf(&b, "     %-20s mend: %s\n", "", l.Mend)
		}
	}
	for _, r := range e.Refusals {
		fmt.Fprintf(&b, "\nrefused %s for %s (%d times since %s)\n  %s\n", r.Time.Format(time.RFC3339), r.Reason,
			r.Count, r.First.Format(time.RFC3339), r.Detail)
		if r.ClientID != "" || r.Remote != "" {
			fmt.Fprintf(&b, "  client %q from %s\n", r.ClientID, r.Remote)
		}
		if r.Mend != "" {
			fmt.Fprintf(&b, "  mend: %s\n", r.Mend)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
