package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/admin"
)

func certCommand(configPath *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "List, approve, refuse and look into device certificates",
		Long: `List device certificates, decide on those that wait for activation, and look into
one of them.

A certificate is named by its PEM file, which is read for its first certificate,
or by its ID, the SHA-256 of its DER in hex. The first eight digits are enough
where no other certificate of the account begins so.`,
		Example: `  muster cert list --status PENDING_ACTIVATION
  muster cert approve --authority 5fb0d412 --policy device
  muster cert show device.pem`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		certListCommand(configPath), approveCommand(configPath), refuseCommand(configPath), revokeCommand(configPath),
		certShowCommand(configPath), certSetCommand(configPath), certForgetCommand(configPath),
	)
	return cmd
}

// selectionFlags say which certificates of an account are meant.
type selectionFlags struct {
	account, authority string
	older, newer       age
}

func (f *selectionFlags) add(cmd *cobra.Command) {
	addAccountFlag(cmd, &f.account)
	cmd.Flags().StringVar(&f.authority, "authority", "", "only those that the authority of this `id` or PEM file signed")
	cmd.Flags().Var(&f.older, "older", "only those that were registered longer ago than this `age`, such as 36h or 7d")
	cmd.Flags().Var(&f.newer, "newer", "only those that were registered within this `age`, such as 36h or 7d")
}

func addAccountFlag(cmd *cobra.Command, account *string) {
	cmd.Flags().StringVar(account, "account", "", "the account's `id`; needed where there are several")
}

func (f *selectionFlags) selection(now time.Time) (s admin.Selection, err error) {
	if f.newer.given && f.newer.d <= f.older.d {
		return s, &usageError{fmt.Errorf("nothing is both within --newer %s and longer ago than --older %s", &f.newer, &f.older)}
	}
	s.Account = f.account
	if f.older.given {
		s.To = now.Add(-f.older.d)
	}
	if f.newer.given {
		s.From = now.Add(-f.newer.d)
	}
	if f.authority != "" {
		s.Authority, err = certificateName(f.authority)
	}
	return s, err
}

// certificateName turns what was typed, a PEM file or an ID, into an ID or its
// first digits.
func certificateName(typed string) (string, error) {
	text, err := os.ReadFile(typed)
	if err != nil {
		if strings.Trim(strings.ToLower(typed), "0123456789abcdef") == "" {
			return typed, nil
		}
		return "", fmt.Errorf("certificate: %w", err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" { // a key may stand before it
			return muster.Fingerprint(block.Bytes), nil
		}
	}
	return "", fmt.Errorf("certificate: %s holds no PEM block of type CERTIFICATE", typed)
}

func certListCommand(configPath *string) *cobra.Command {
	var (
		selected selectionFlags
		l        admin.Listing
		status   string
		oldest   bool
		out      format
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List certificates, the newest first",
		Long: `List certificates in the order in which they were registered, the newest first.
With -o json each is one JSON object on a line of its own.`,
		Example: `  muster cert list --status PENDING_ACTIVATION --authority 5fb0d412 --older 24h
  muster cert list -o json | jq -r 'select(.provisioningFailure) | .id'`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if l.Limit < 0 {
				return &usageError{errors.New("--limit cannot be negative")}
			}
			if l.Selection, err = selected.selection(time.Now()); err != nil {
				return err
			}
			l.Status, l.NewestFirst = muster.Status(strings.ToUpper(status)), !oldest
			return operate(cmd, *configPath, func(o *console) error {
				p := &recordPrinter{out: cmd.OutOrStdout(), format: out, now: time.Now()}
				if err := follow(cmd.Context(), o, "cert/list", l, p.print); err != nil {
					return err
				}
				if !p.begun && out == formatText {
					fmt.Fprintln(cmd.ErrOrStderr(), "There is no such certificate.")
				}
				return nil
			})
		},
	}
	selected.add(cmd)
	cmd.Flags().StringVar(&status, "status", "", "only those in this `status`, such as PENDING_ACTIVATION")
	cmd.Flags().BoolVar(&oldest, "oldest-first", false, "begin with the one that was registered first")
	cmd.Flags().IntVar(&l.Limit, "limit", 0, "list at most `n`; 0 lists all")
	out.add(cmd)
	return cmd
}

// recordPrinter prints certificates as they come.
type recordPrinter struct {
	out    io.Writer
	format format
	now    time.Time
	begun  bool
}

const recordRow = "%-16s  %-18s  %4s  %-16s  %s\n"

func (p *recordPrinter) print(r admin.Record) error {
	if p.format == formatJSON {
		return json.NewEncoder(p.out).Encode(r)
	}
	var b bytes.Buffer
	if !p.begun {
		fmt.Fprintf(&b, recordRow, "ID", "STATUS", "AGE", "AUTHORITY", "SUBJECT")
		p.begun = true
	}
	subject := printable(r.Subject)
	if len(r.Things) > 0 {
		subject += "  things: " + strings.Join(r.Things, ", ")
	}
	if len(r.Policies) > 0 {
		subject += "  policies: " + strings.Join(r.Policies, ", ")
	}
	fmt.Fprintf(&b, recordRow, short(r.ID), r.Status, ageText(p.now.Sub(r.Registered)), short(r.AuthorityID), subject)
	if r.ProvisioningFailure != "" {
		fmt.Fprintf(&b, "%18sthe template failed: %s\n", "", printable(r.ProvisioningFailure))
	}
	_, err := p.out.Write(b.Bytes())
	return err
}

func certShowCommand(configPath *string) *cobra.Command {
	var (
		name admin.CertificateName
		out  format
	)
	cmd := &cobra.Command{
		Use:   "show CERT.pem|ID",
		Short: "Show all that is known of one certificate",
		Long: `Show the record of a certificate, the authority that signed it, how OCSP is asked
about it, its things and policies; or its tombstone, if it was deleted.
muster explain says what would happen if it connected now.`,
		Example: "  muster cert show device.pem\n  muster cert show 4f0c1a2b -o json",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if name.ID, err = certificateName(args[0]); err != nil {
				return err
			}
			return operate(cmd, *configPath, func(o *console) error {
				s, err := call[admin.Showing](cmd.Context(), o, "cert/show", name)
				if err != nil {
					return err
				}
				return out.print(cmd.OutOrStdout(), s, func(b *bytes.Buffer) { writeShowing(b, s) })
			})
		},
	}
	addAccountFlag(cmd, &name.Account)
	out.add(cmd)
	return cmd
}

func certSetCommand(configPath *string) *cobra.Command {
	var (
		change admin.StatusChange
		status string
		out    format
	)
	cmd := &cobra.Command{
		Use:   "set CERT.pem|ID --status STATUS",
		Short: "Set the status of one certificate",
		Long: `Set the status of a certificate: ACTIVE, INACTIVE, or REVOKED, which is final. A
live connection that the new status does not admit is closed at once.`,
		Example: "  muster cert set 4f0c1a2b --status INACTIVE",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if change.Status = muster.Status(strings.ToUpper(status)); change.Status == "" {
				return &usageError{errors.New("--status is missing: ACTIVE, INACTIVE or REVOKED")}
			}
			if change.ID, err = certificateName(args[0]); err != nil {
				return err
			}
			return operate(cmd, *configPath, func(o *console) error {
				r, err := call[admin.Record](cmd.Context(), o, "cert/set", change)
				if err != nil {
					return err
				}
				return out.print(cmd.OutOrStdout(), r, func(b *bytes.Buffer) { fmt.Fprintf(b, "%s is %s\n", r.ID, r.Status) })
			})
		},
	}
	addAccountFlag(cmd, &change.Account)
	cmd.Flags().StringVar(&status, "status", "", "the `status` to set: ACTIVE, INACTIVE or REVOKED")
	out.add(cmd)
	return cmd
}

func certForgetCommand(configPath *string) *cobra.Command {
	var name admin.CertificateName
	cmd := &cobra.Command{
		Use:   "forget CERT.pem|ID",
		Short: "Let a deleted certificate register again",
		Long: `Remove the tombstone that keeps a certificate which was deleted, or transferred to
another account, from registering again at its next connect. While that other
account alone may have the certificate, it stays.`,
		Example: "  muster cert forget device.pem",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if name.ID, err = certificateName(args[0]); err != nil {
				return err
			}
			return operate(cmd, *configPath, func(o *console) error {
				n, err := call[admin.CertificateName](cmd.Context(), o, "cert/forget", name)
				if err == nil {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is forgotten: it may register at its next connect\n", n.ID)
				}
				return err
			})
		},
	}
	addAccountFlag(cmd, &name.Account)
	return cmd
}

// writeShowing writes a line for each thing known, for people.
func writeShowing(b *bytes.Buffer, s admin.Showing) {
	line := func(name, form string, args ...any) {
		fmt.Fprintf(b, "%-12s "+form+"\n", append([]any{name}, args...)...)
	}
	line("certificate", "%s", s.ID)
	line("account", "%s", s.Account)
	if t := s.Tombstone; t != nil {
		line("tombstone", "%s %s; it stands until %s", tombstoneText(t), t.Created.Format(time.RFC3339), t.NotAfter.Format(time.RFC3339))
	}
	r := s.Record
	if r == nil {
		return
	}
	line("subject", "%s", printable(r.Subject))
	line("status", "%s, mode %s", r.Status, s.Mode)
	line("valid", "%s to %s", r.NotBefore.Format(time.RFC3339), r.NotAfter.Format(time.RFC3339))
	line("registered", "%s, changed %s", r.Registered.Format(time.RFC3339), r.Modified.Format(time.RFC3339))
	switch a := s.Authority; {
	case a != nil:
		line("authority", "%s (%s)", a.ID, printable(a.Subject))
		line("", "%s", authorityText(a))
		line("OCSP", "%s", ocspText(a.OCSP))
	case s.Mode == muster.ModeDefault: // what was registered without one is SNI_ONLY
		line("authority", "an account's own issuing authority")
	default:
		line("authority", "none")
	}
	if text := transferText(r); text != "" {
		line("transfer", "%s", text)
	}
	line("things", "%s", listText(r.Things))
	line("policies", "%s", listText(r.Policies))
	if r.Claim != "" {
		line("claim", "for template %s, and for nothing else", printable(r.Claim))
	}
	if !r.Expires.IsZero() {
		line("goes", "%s, by itself", r.Expires.UTC().Format(time.RFC3339))
	}
	if r.ProvisioningFailure != "" {
		line("failure", "%s", printable(r.ProvisioningFailure))
	}
}

func tombstoneText(t *muster.Tombstone) string {
	if t.To == "" {
		return string(t.Kind)
	}
	return string(t.Kind) + " to account " + t.To
}

// transferText tells of the last transfer of a certificate, and who it is from.
func transferText(r *admin.Record) string {
	t := r.Transfer
	if t.To == "" {
		return ""
	}
	text := "to account " + t.To
	if t.To == r.Account {
		text = "from account " + r.PreviousOwner
	}
	text += ", offered " + t.Offered.Format(time.RFC3339)
	if t.Message != "" {
		text += fmt.Sprintf(" (%s)", printable(t.Message))
	}
	switch {
	case !t.Accepted.IsZero():
		text += ", accepted " + t.Accepted.Format(time.RFC3339)
	case !t.Rejected.IsZero() && t.RejectReason != "":
		text += fmt.Sprintf(", rejected %s (%s)", t.Rejected.Format(time.RFC3339), printable(t.RejectReason))
	case !t.Rejected.IsZero():
		text += ", rejected " + t.Rejected.Format(time.RFC3339)
	case r.Status != muster.PendingTransfer:
		text += ", ended without being accepted"
	}
	return text
}

func authorityText(a *admin.AuthorityState) string {
	if a.Status == "" {
		return "deleted: it activates nobody any more"
	}
	text := string(a.Status)
	if a.AutoRegistration {
		text += ", registers devices at their first connect"
	}
	if a.Template != "" {
		text += ", template " + a.Template
	}
	return text
}

func ocspText(o muster.OCSPSettings) string {
	if o.Mode == "" || o.Mode == muster.OCSPOff {
		return "off"
	}
	text := string(o.Mode) + ", by the responder that the certificate names"
	if o.Responder != "" {
		text = string(o.Mode) + ", by " + o.Responder
	}
	if o.Nonce != "" && o.Nonce != muster.OCSPNonceOff {
		text += ", nonce " + string(o.Nonce)
	}
	return text
}

func listText(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
