package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/api/admin"
)

// explainFlags is what explain is asked for.
type explainFlags struct {
	question admin.Question
	session  admin.Session
	from     string
	last     bool
	output   format
}

func explainCommand(configPath *string) *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain CERT.pem|FINGERPRINT | --from ADDRESS | --last [N]",
		Short: "Say why a device is let in or refused, and what would mend it",
		Long: `Ask every rule of admission about a certificate, in order: what it looked at,
what it says, and what would mend a refusal; then what is remembered of earlier
refusals, those of the CONNECT packet and of the policies among them.

A fingerprint is the SHA-256 of the certificate's DER in hex, as in the log and
in the AWS certificate ID. A PEM file is read for the device's certificate, which
comes first, and for what else the device sends. With --client, and --will, the
policies are asked too, and the statement is named that allows or denies.

Where the fingerprint is not known, or TLS ended before there was a certificate,
--from tells of the refusals that came from an address, and --last of the latest
refusals of all. What was refused before its authority was known is remembered by
the running server only.`,
		Example: "  muster explain device.pem\n  muster explain 4f0c…e9\n" +
			"  muster explain device.pem --client sensor-1 --will state/sensor-1\n" +
			"  muster explain --from 192.0.2.7\n  muster explain --last 5 -o json",
		Args: usageArgs(f.checkArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.from != "" || f.last {
				return explainRefusals(cmd, *configPath, &f, args)
			}
			return explainCertificate(cmd, *configPath, &f, args[0])
		},
	}
	cmd.Flags().StringVar(&f.question.SNI, "sni", "", "the server `name` that the device sends")
	cmd.Flags().StringVar(&f.session.ClientID, "client", "", "ask the policies too, whether it may connect as this client `ID`")
	cmd.Flags().StringVar(&f.session.Will, "will", "", "with --client: whether its will may go to this `topic`")
	cmd.Flags().BoolVar(&f.session.Retain, "retain", false, "with --will: the will is to be retained")
	cmd.Flags().StringVar(&f.from, "from", "", "tell of the refusals that came from this IP `address`")
	cmd.Flags().BoolVar(&f.last, "last", false, "tell of the latest refusals; a number says how many, else 20")
	f.output.add(cmd)
	return cmd
}

// checkArgs demands one certificate, or one of the flags that stand for it.
func (f *explainFlags) checkArgs(cmd *cobra.Command, args []string) error {
	asked := ""
	switch {
	case f.session.Will != "" && f.session.ClientID == "":
		return errors.New("--will needs --client: the policies judge a will by its client")
	case f.session.Retain && f.session.Will == "":
		return errors.New("--retain needs --will")
	case f.from != "" && f.last:
		return errors.New("--from and --last exclude each other")
	case f.from != "":
		asked = "--from"
	case f.last:
		asked = "--last"
	default:
		return cobra.ExactArgs(1)(cmd, args)
	}
	if asked == "--last" && len(args) == 1 {
		if n, err := strconv.Atoi(args[0]); err != nil || n < 1 {
			return fmt.Errorf("--last %s: it is a number of refusals, 1 or more", args[0])
		}
		return nil
	}
	if len(args) > 0 {
		return fmt.Errorf("%s asks about refusals, not about %s", asked, args[0])
	}
	return nil
}

func explainCertificate(cmd *cobra.Command, configPath string, f *explainFlags, what string) error {
	if text, err := os.ReadFile(what); err == nil {
		f.question.PEM = string(text)
	} else if f.question.Fingerprint = strings.ToLower(what); len(what) != 64 {
		return fmt.Errorf("certificate: %w", err)
	}
	if f.session.ClientID != "" {
		f.question.Session = &f.session
	}
	return operate(cmd, configPath, func(o *console) error {
		e, err := call[admin.Explanation](cmd.Context(), o, "explain", f.question)
		if err != nil {
			return err
		}
		return f.output.print(cmd.OutOrStdout(), e, func(b *bytes.Buffer) { printExplanation(b, e) })
	})
}

func explainRefusals(cmd *cobra.Command, configPath string, f *explainFlags, args []string) error {
	q := admin.RefusalQuestion{From: f.from}
	if len(args) == 1 {
		q.Limit, _ = strconv.Atoi(args[0]) // checkArgs has read it
	}
	return operate(cmd, configPath, func(o *console) error {
		list, err := call[admin.RefusalList](cmd.Context(), o, "refusals", q)
		if err != nil {
			return err
		}
		if len(list.Refusals) == 0 && f.output == formatText {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "no refusal is remembered")
		}
		for i, r := range list.Refusals {
			err = errors.Join(err, f.output.print(cmd.OutOrStdout(), r, func(b *bytes.Buffer) { printListed(b, i, r) }))
		}
		return err
	})
}

// printListed prints one refusal of several, with whose it was.
func printListed(b *bytes.Buffer, i int, r admin.Refusal) {
	if i > 0 {
		b.WriteByte('\n')
	}
	printRefusal(b, r)
	if r.CertificateID == "" {
		b.WriteString("  no certificate was seen\n")
		return
	}
	fmt.Fprintf(b, "  certificate %s\n  subject %s\n", r.CertificateID, printable(r.Subject))
}

func printRefusal(b *bytes.Buffer, r admin.Refusal) {
	fmt.Fprintf(b, "refused %s for %s (%d times since %s)\n  %s\n", r.Time.Format(time.RFC3339), r.Reason,
		r.Count, r.First.Format(time.RFC3339), r.Detail)
	if r.ClientID != "" {
		fmt.Fprintf(b, "  client %q from %s\n", r.ClientID, r.Remote)
	} else if r.Remote != "" {
		fmt.Fprintf(b, "  from %s\n", r.Remote)
	}
	if r.ServerName != "" {
		fmt.Fprintf(b, "  server name %q\n", r.ServerName)
	}
	if r.Mend != "" {
		fmt.Fprintf(b, "  mend: %s\n", r.Mend)
	}
}

// printExplanation writes one line a rule, for people.
func printExplanation(b *bytes.Buffer, e admin.Explanation) {
	fmt.Fprintf(b, "certificate  %s\nsubject      %s\n", e.CertificateID, printable(e.Subject))
	if e.Account != "" {
		fmt.Fprintf(b, "account      %s\n", e.Account)
	}
	if e.Remembered {
		fmt.Fprintf(b, "note         the certificate is not registered; these are the facts of its latest refusal\n")
	}
	fmt.Fprintf(b, "decision     %s\n\n", strings.TrimSpace(e.Verdict+" "+string(e.Reason)))
	for _, l := range e.Lines {
		mark, says := " ", ""
		switch {
		case l.Says == "refuse":
			mark, says = "-", "REFUSE "+string(l.Reason)
		case l.Says != "silent":
			mark, says = "+", l.Says
		}
		if l.Decides {
			mark = ">"
		}
		fmt.Fprintf(b, "%s %2s %-20s %s\n", mark, number(l.Rule), l.Name, l.Saw)
		if says != "" {
			fmt.Fprintf(b, "     %-20s %s\n", "", says)
		}
		if l.Mend != "" {
			fmt.Fprintf(b, "     %-20s mend: %s\n", "", l.Mend)
		}
	}
	for _, r := range e.Refusals {
		b.WriteByte('\n')
		printRefusal(b, r)
	}
}

func number(rule int) string {
	if rule == 0 {
		return ""
	}
	return strconv.Itoa(rule)
}
