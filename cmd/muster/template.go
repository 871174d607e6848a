package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/provisioning"
)

func templateCommand(configPath *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "template",
		Short: "Check provisioning templates, try them on certificates, and choose versions",
		Long: `Check provisioning templates before devices meet them: read one for faults, see
what it makes of a certificate, or of those that are registered already. List the
templates that are registered, and choose the version that is in force.`,
		Example: `  muster template lint sensor.json
  muster template test sensor.json --cert device.pem
  muster template test sensor.json --replay 1000
  muster template set sensor --default 3`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(templateLintCommand(), templateTestCommand(configPath),
		templateListCommand(configPath), templateShowCommand(configPath), templateSetCommand(configPath))
	return cmd
}

// maxTemplateFile is how much of a file is read, in bytes: more than a template
// may have, so that one that is too large is told so.
const maxTemplateFile = 1 << 20

// readTemplate reads a file, or standard input for "-".
func readTemplate(cmd *cobra.Command, path string) ([]byte, error) {
	in := cmd.InOrStdin()
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("template: %w", err)
		}
		defer f.Close()
		in = f
	}
	body, err := io.ReadAll(io.LimitReader(in, maxTemplateFile))
	if err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	return body, nil
}

// addRegisterThing adds the flag of commands that take templates of RegisterThing.
func addRegisterThing(cmd *cobra.Command, is *bool) {
	cmd.Flags().BoolVar(is, "register-thing", false, "the template is one of aws iot register-thing: it names its certificate itself")
}

func templateLintCommand() *cobra.Command {
	var (
		out           format
		registerThing bool
	)
	cmd := &cobra.Command{
		Use:   "lint FILE…",
		Short: "Tell everything that is wrong with templates",
		Long: `Tell everything that is wrong with templates, each with its line and its mend.
An error is what a template is refused for; a warning is what works and is likely
not meant. Either makes the exit code 1.

It needs no server and no directory. - reads standard input. With -o json each
finding is one JSON object on a line of its own.`,
		Example: "  muster template lint sensor.json\n  jq .templateBody -r ca.json | muster template lint -",
		Args:    usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			lint := provisioning.Lint
			if registerThing {
				lint = provisioning.LintRegisterThing
			}
			found := map[provisioning.Severity]int{}
			for _, path := range args {
				body, err := readTemplate(cmd, path)
				if err != nil {
					return err
				}
				findings := lint(body)
				for _, f := range findings {
					found[f.Severity]++
				}
				if err := printFindings(cmd.OutOrStdout(), out, path, findings); err != nil {
					return err
				}
			}
			if len(found) == 0 {
				return nil
			}
			return fmt.Errorf("%s and %s", plural(found[provisioning.SeverityError], "error"), plural(found[provisioning.SeverityWarning], "warning"))
		},
	}
	addRegisterThing(cmd, &registerThing)
	out.add(cmd)
	return cmd
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// fileFinding is a finding of one of several files.
type fileFinding struct {
	File string `json:"file"`
	provisioning.Finding
}

func printFindings(w io.Writer, out format, path string, findings []provisioning.Finding) error {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	for _, f := range findings {
		if out == formatText {
			fmt.Fprintf(&b, "%s:%d: %s: %s: %s; %s\n", path, f.Line, f.Severity, f.Path, f.Problem, f.Mend)
		} else if err := lines.Encode(fileFinding{path, f}); err != nil {
			return err
		}
	}
	if len(findings) == 0 && out == formatText {
		fmt.Fprintf(&b, "%s: nothing to mend\n", path)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// templateTest is one run of the command.
type templateTest struct {
	cert, authority string // files, the second possibly an ID
	params          []string
	registerThing   bool
	replay          admin.Replay
	out             format
}

func templateTestCommand(configPath *string) *cobra.Command {
	t := &templateTest{}
	cmd := &cobra.Command{
		Use:   "test FILE",
		Short: "Show what a template makes of a certificate, or of those that are registered",
		Long: `Show the registration that a template would make, or why it would make none: then
the exit code is 1. Nothing is written.

With --cert it is that of one certificate, and needs no server and no directory;
--param gives the values of parameters that no certificate gives.

With --register-thing it is that of a call of aws iot register-thing; --param gives
its parameters.

With --replay it is that of the certificates that were registered last, the
newest first, compared with what the template in force makes of them: the one
that is bound to the authority of each, or that of --template. Only differences
are printed. The exit code is 1 if one fails that works with the template in
force. With -o json each certificate is one JSON object on a line of its own.`,
		Example: `  muster template test sensor.json --cert device.pem
  muster template test fleet.json --param SerialNumber=0007
  muster template test sensor.json --replay 1000 --authority 5fb0d412`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := t.check(cmd); err != nil {
				return err
			}
			body, err := readTemplate(cmd, args[0])
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("replay") {
				return t.runReplay(cmd, *configPath, args[0], body)
			}
			return t.render(cmd.OutOrStdout(), args[0], body)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&t.cert, "cert", "", "the device's certificate, a PEM `file`; its first certificate counts")
	flags.StringArrayVar(&t.params, "param", nil, "a parameter's `name=value`; may be repeated")
	flags.IntVar(&t.replay.Count, "replay", 0, "compare over the `n` certificates that were registered last")
	flags.StringVar(&t.authority, "authority", "", "replay only what the authority of this `id` or PEM file signed")
	flags.StringVar(&t.replay.Template, "template", "", "compare with the template of this `name`, over what its authorities signed")
	addRegisterThing(cmd, &t.registerThing)
	addAccountFlag(cmd, &t.replay.Account)
	t.out.add(cmd)
	return cmd
}

// check looks for flags that do not go together.
func (t *templateTest) check(cmd *cobra.Command) error {
	replays, renders := cmd.Flags().Changed("replay"), t.cert != "" || len(t.params) > 0
	usage := func(text string) error {
		return &usageError{fmt.Errorf("%s; see %s --help", text, cmd.CommandPath())}
	}
	switch {
	case t.registerThing && (replays || t.cert != ""):
		return usage("--register-thing goes with --param alone")
	case replays && renders:
		return usage("--replay goes without --cert and --param")
	case !replays && !renders && !t.registerThing:
		return usage("test on what? Give --cert, --param or --replay")
	case replays && t.replay.Count < 1:
		return usage("--replay must be at least 1")
	case !replays && (t.authority != "" || t.replay.Template != "" || t.replay.Account != ""):
		return usage("--authority, --template and --account go with --replay")
	}
	for _, p := range t.params {
		if name, _, ok := strings.Cut(p, "="); !ok || name == "" {
			return usage(fmt.Sprintf("--param %q: want name=value", p))
		}
	}
	return nil
}

func (t *templateTest) render(w io.Writer, path string, body []byte) error {
	parse := provisioning.Parse
	if t.registerThing {
		parse = provisioning.ParseRegisterThing
	}
	template, err := parse(body)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	params := provisioning.Parameters{Given: map[string]string{}}
	if t.cert != "" {
		if params.Certificate, err = readCertificate(t.cert); err != nil {
			return err
		}
	}
	for _, p := range t.params {
		name, value, _ := strings.Cut(p, "=")
		switch fromCertificate := provisioning.FromCertificate(name); {
		case fromCertificate && t.cert != "":
			return fmt.Errorf("--param %s: it comes from the certificate of --cert alone", name)
		case !fromCertificate && !template.Declares(name):
			return fmt.Errorf("--param %q: %s declares no such parameter", name, path)
		}
		params.Given[name] = value
	}
	r, err := template.Render(params)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return t.out.print(w, r, func(b *bytes.Buffer) { b.WriteString(printableLines(provisioning.Describe(r))) })
}

// readCertificate returns the first certificate of a PEM file.
func readCertificate(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, fmt.Errorf("certificate: %s holds no PEM block of type CERTIFICATE", path)
		}
		if block.Type == "CERTIFICATE" {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				err = fmt.Errorf("certificate %s: %w", path, err)
			}
			return cert, err
		}
	}
}

// printableLines is printable for a text of lines.
func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = printable(l)
	}
	return strings.Join(lines, "\n")
}

func (t *templateTest) runReplay(cmd *cobra.Command, configPath, path string, body []byte) (err error) {
	if _, err := provisioning.Parse(body); err != nil { // before anybody is asked
		return fmt.Errorf("%s: %w", path, err)
	}
	t.replay.Body = string(body)
	if t.authority != "" {
		if t.replay.Authority, err = certificateName(t.authority); err != nil {
			return err
		}
	}
	p := &replayPrinter{out: cmd.OutOrStdout(), format: t.out, path: path, counts: map[admin.Outcome]int{}}
	err = operate(cmd, configPath, func(o *console) error {
		return follow(cmd.Context(), o, "template/replay", t.replay, p.print)
	})
	if err != nil {
		return err
	}
	return p.end()
}

// replayPrinter prints what became of certificates, and counts them.
type replayPrinter struct {
	out    io.Writer
	format format
	path   string // of the new template
	counts map[admin.Outcome]int
	total  int
}

func (p *replayPrinter) print(r admin.Replayed) error {
	p.counts[r.Outcome]++
	p.total++
	if p.format == formatText && r.Diff == "" {
		return nil
	}
	words := map[admin.Outcome]string{
		admin.OutcomeChanged: "changed", admin.OutcomeFails: "NOW FAILS", admin.OutcomeWorks: "now works", admin.OutcomeFailing: "fails as before",
	}
	return p.format.print(p.out, r, func(b *bytes.Buffer) {
		fmt.Fprintf(b, "certificate %s (%s): %s\n--- in force\n+++ %s\n%s\n", short(r.ID), printable(r.Subject), words[r.Outcome], p.path, printableLines(r.Diff))
	})
}

// end prints the figures. That a device fails which worked is an error.
func (p *replayPrinter) end() error {
	fails := p.counts[admin.OutcomeFails]
	if p.format == formatText {
		_, err := fmt.Fprintf(p.out, "%s: %d the same, %d changed, %d now fail, %d now work, %d fail as before\n", plural(p.total, "certificate"),
			p.counts[admin.OutcomeSame], p.counts[admin.OutcomeChanged], fails, p.counts[admin.OutcomeWorks], p.counts[admin.OutcomeFailing])
		if err != nil {
			return err
		}
	}
	if fails > 0 {
		return errors.New(plural(fails, "certificate") + " would fail that the template in force registers")
	}
	return nil
}
