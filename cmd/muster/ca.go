package main

import (
	"bytes"
	"cmp"
	"encoding/json"
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

func caCommand(configPath *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "List authorities, and set how OCSP is asked about their devices",
		Long: `List the authorities that sign devices, look into one, and set how OCSP is asked
about its devices, among the rest.

An authority is named by its PEM file, which is read for its first certificate,
or by its ID, the SHA-256 of its DER in hex. The first eight digits are enough
where no other authority of the account begins so.`,
		Example: `  muster ca list
  muster ca set 5fb0d412 --ocsp hard --responder https://ocsp.example.com --responder-ca root.pem`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(caListCommand(configPath), caShowCommand(configPath), caSetCommand(configPath))
	return cmd
}

func caListCommand(configPath *string) *cobra.Command {
	var (
		of  admin.OfAccount
		out format
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List authorities in the order of their registration",
		Long: `List authorities in the order of their registration: status, whether they register
devices by themselves, template, OCSP, and how many certificates wait for
activation. At the end stand deleted ones of which certificates are left, for OCSP
is still asked about these. With -o json each is one JSON object on a line of its
own.`,
		Example: "  muster ca list\n  muster ca list -o json | jq -r 'select(.ocsp.mode == \"off\") | .id'",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return operate(cmd, *configPath, func(o *console) error {
				p := &authorityPrinter{out: cmd.OutOrStdout(), format: out}
				if err := follow(cmd.Context(), o, "ca/list", of, p.print); err != nil {
					return err
				}
				if !p.begun && out == formatText {
					fmt.Fprintln(cmd.ErrOrStderr(), "There is no authority yet: aws iot register-ca-certificate registers one.")
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&of.Account, "account", "", "only those of the account of this `id`")
	out.add(cmd)
	return cmd
}

// authorityPrinter prints authorities as they come.
type authorityPrinter struct {
	out    io.Writer
	format format
	begun  bool
}

const authorityRow = "%-16s  %-12s  %-8s  %-4s  %-4s  %7s  %-20s  %s\n"

func (p *authorityPrinter) print(a admin.Authority) error {
	if p.format == formatJSON {
		return json.NewEncoder(p.out).Encode(a)
	}
	var b bytes.Buffer
	if !p.begun {
		fmt.Fprintf(&b, authorityRow, "ID", "ACCOUNT", "STATUS", "AUTO", "OCSP", "PENDING", "TEMPLATE", "SUBJECT")
		p.begun = true
	}
	fmt.Fprintf(&b, authorityRow, short(a.ID), a.Account, cmp.Or(string(a.Status), "deleted"), onOff(a.AutoRegistration),
		a.OCSP.Mode, fmt.Sprint(a.Pending), cmp.Or(a.Template, "-"), printable(a.Subject))
	_, err := p.out.Write(b.Bytes())
	return err
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func caShowCommand(configPath *string) *cobra.Command {
	var (
		name admin.AuthorityName
		out  format
	)
	cmd := &cobra.Command{
		Use:     "show CA.pem|ID",
		Short:   "Show all that is set of one authority",
		Long:    "Show an authority: what it does with devices that it signed, and how OCSP is asked about them.",
		Example: "  muster ca show 5fb0d412\n  muster ca show ca.pem -o json",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if name.ID, err = certificateName(args[0]); err != nil {
				return err
			}
			return operate(cmd, *configPath, func(o *console) error {
				a, err := call[admin.Authority](cmd.Context(), o, "ca/show", name)
				if err != nil {
					return err
				}
				return out.print(cmd.OutOrStdout(), a, func(b *bytes.Buffer) { writeAuthority(b, a) })
			})
		},
	}
	addAccountFlag(cmd, &name.Account)
	out.add(cmd)
	return cmd
}

// writeAuthority writes a line for each thing known, for people.
func writeAuthority(b *bytes.Buffer, a admin.Authority) {
	line := func(name, form string, args ...any) {
		fmt.Fprintf(b, "%-17s "+form+"\n", append([]any{name}, args...)...)
	}
	line("authority", "%s", a.ID)
	line("account", "%s", a.Account)
	line("subject", "%s", printable(a.Subject))
	line("valid", "%s to %s", a.NotBefore.Format(time.RFC3339), a.NotAfter.Format(time.RFC3339))
	if a.Status == "" {
		line("status", "deleted; certificates that it signed are left")
	} else {
		line("status", "%s, mode %s", a.Status, a.Mode)
		line("registered", "%s", a.Registered.Format(time.RFC3339))
		line("auto-registration", "%s", onOff(a.AutoRegistration))
		line("template", "%s", cmp.Or(a.Template, "none"))
	}
	line("pending", "%d", a.Pending)
	line("OCSP", "%s", a.OCSP.Mode)
	line("responder", "%s", cmp.Or(a.OCSP.Responder, "the one that the certificate names"))
	if len(a.OCSP.ResponderCA) == 0 {
		line("responder CA", "the roots of this system")
	}
	for _, r := range a.OCSP.ResponderCA {
		line("responder CA", "%s (%s), until %s", r.ID, printable(r.Subject), r.NotAfter.Format(time.RFC3339))
	}
	line("nonce", "%s", a.OCSP.Nonce)
	for _, t := range a.Tags {
		line("tag", "%s=%s", printable(t.Key), printable(t.Value))
	}
}

// authorityFlags are what muster ca set takes.
type authorityFlags struct {
	ocsp, responder, responderCA, nonce, status, auto, template string
}

func (f *authorityFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.ocsp, "ocsp", "", "how much OCSP counts: off, soft or hard")
	flags.StringVar(&f.responder, "responder", "", "the `URL` to ask, by http or https; '' asks the one that each certificate names")
	flags.StringVar(&f.responderCA, "responder-ca", "", "a PEM `file` of the roots by which an https responder is trusted; '' trusts those of this system")
	flags.StringVar(&f.nonce, "nonce", "", "whether requests carry a nonce: off, optional or required")
	flags.StringVar(&f.status, "status", "", "the `status`: ACTIVE or INACTIVE")
	flags.StringVar(&f.auto, "auto-registration", "", "whether it registers devices at their first connect: on or off")
	flags.StringVar(&f.template, "template", "", "the `name` of the template that it provisions devices by; '' binds none")
}

// change is what the flags that were given say.
func (f *authorityFlags) change(given func(flag string) bool) (c admin.AuthorityChange, err error) {
	if given("ocsp") {
		mode := muster.OCSPMode(strings.ToLower(f.ocsp))
		c.OCSP = &mode
	}
	if given("responder") {
		c.Responder = &f.responder
	}
	if given("responder-ca") {
		if c.ResponderCA = new(string); f.responderCA != "" {
			text, err := os.ReadFile(f.responderCA)
			if err != nil {
				return c, fmt.Errorf("--responder-ca: %w", err)
			}
			*c.ResponderCA = string(text)
		}
	}
	if given("nonce") {
		nonce := muster.OCSPNonce(strings.ToLower(f.nonce))
		c.Nonce = &nonce
	}
	if given("status") {
		status := muster.Status(strings.ToUpper(f.status))
		c.Status = &status
	}
	if given("auto-registration") {
		on := f.auto == "on"
		if c.AutoRegistration = &on; !on && f.auto != "off" {
			return c, &usageError{fmt.Errorf("--auto-registration %s: want on or off", f.auto)}
		}
	}
	if given("template") {
		c.Template = &f.template
	}
	if c == (admin.AuthorityChange{}) {
		return c, &usageError{errors.New("nothing to set: give one of --ocsp, --responder, --responder-ca, --nonce, --status, --auto-registration, --template")}
	}
	return c, nil
}

func caSetCommand(configPath *string) *cobra.Command {
	var (
		flags   authorityFlags
		account string
		out     format
	)
	cmd := &cobra.Command{
		Use:   "set CA.pem|ID",
		Short: "Set how OCSP is asked about an authority's devices, and what it does with them",
		Long: `Set what is given and leave the rest, all of it or nothing, and print the authority
as it is then. Live connections of its devices are judged by the new settings as
soon as OCSP was asked by them.

--ocsp off asks nobody. soft admits a device that is ACTIVE while no answer can be
had. hard admits nobody without one. Where the authority has the tag muster:ocsp,
that is set with it.

An authority that was deleted can be set as long as certificates that it signed
are left: OCSP is still asked about these.`,
		Example: `  muster ca set 5fb0d412 --ocsp hard
  muster ca set 5fb0d412 --responder https://ocsp.example.com --responder-ca root.pem --nonce optional
  muster ca set ca.pem --responder '' --responder-ca ''`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := flags.change(cmd.Flags().Changed)
			if err != nil {
				return err
			}
			change.Account = account
			if change.ID, err = certificateName(args[0]); err != nil {
				return err
			}
			return operate(cmd, *configPath, func(o *console) error {
				a, err := call[admin.Authority](cmd.Context(), o, "ca/set", change)
				if err != nil {
					return err
				}
				return out.print(cmd.OutOrStdout(), a, func(b *bytes.Buffer) { writeAuthority(b, a) })
			})
		},
	}
	flags.add(cmd)
	addAccountFlag(cmd, &account)
	out.add(cmd)
	return cmd
}
