package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/registry"
)

// settleCommand decides on certificates that wait for activation, or revokes.
type settleCommand struct {
	verb, past string // approve, approved
	selected   selectionFlags
	all        bool
	limit      int
	policies   []string
	from       []muster.Status // as of admin.Settling; nil: what waits
	become     muster.Status   // "": the record is deleted
	dryRun     bool
	yes        bool
	progress   bool
	format     format
}

func approveCommand(configPath *string) *cobra.Command {
	s := &settleCommand{verb: "approve", past: "approved", become: muster.Active}
	cmd := s.command(configPath)
	cmd.Short = "Let devices in that wait for activation"
	cmd.Long = `Activate certificates that are PENDING_ACTIVATION: those that are named, or all of
a selection. --policy attaches policies in the same transaction, so that no device
is let in without what it was approved with. What is in another state by then is
left as it is, and told.

The oldest come first. What is done is done in small steps between which devices go
on to register; Ctrl-C ends after the present one.`
	cmd.Example = `  muster cert approve device.pem --policy device
  muster cert approve --authority 5fb0d412 --policy device --dry-run
  muster cert approve --all --older 1h --limit 500 --yes -o json`
	cmd.Flags().StringArrayVar(&s.policies, "policy", nil, "attach the policy of this `name`; may be given several times")
	return cmd
}

func refuseCommand(configPath *string) *cobra.Command {
	s := &settleCommand{verb: "refuse", past: "refused", become: muster.Inactive}
	var revoke, remove bool
	cmd := s.command(configPath)
	cmd.Short = "Keep devices out that wait for activation"
	cmd.Long = `Set certificates that are PENDING_ACTIVATION to INACTIVE: those that are named, or
all of a selection. Their devices are refused and wait no more; muster cert set
--status ACTIVE lets one in after all. --revoke sets REVOKED, which is final.
--delete removes the record, so that the device starts afresh at its next connect.`
	cmd.Example = `  muster cert refuse 4f0c1a2b
  muster cert refuse --authority 5fb0d412 --older 7d --delete --yes`
	cmd.Flags().BoolVar(&revoke, "revoke", false, "set REVOKED, which is final")
	cmd.Flags().BoolVar(&remove, "delete", false, "remove the record: the device may register again")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		switch {
		case revoke && remove:
			return &usageError{errors.New("--revoke keeps the record and --delete does not: choose one")}
		case revoke:
			s.become = muster.Revoked
		case remove:
			s.become = ""
		}
		return nil
	}
	return cmd
}

func (s *settleCommand) command(configPath *string) *cobra.Command {
	cmd := &cobra.Command{
		Use: s.verb + " [CERT.pem|ID]...",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.check(cmd, args); err != nil {
				return err
			}
			return operate(cmd, *configPath, func(o *console) error {
				r := &settleRun{settleCommand: s, cmd: cmd, console: o}
				if len(args) > 0 {
					return r.named(args)
				}
				return r.chosen()
			})
		},
	}
	s.selected.add(cmd)
	f := cmd.Flags()
	what := "all that wait"
	if s.from != nil {
		what = "all of the account"
	}
	f.BoolVar(&s.all, "all", false, what)
	f.IntVar(&s.limit, "limit", 0, s.verb+" at most `n` of a selection, the oldest; 0 is no limit")
	f.BoolVar(&s.dryRun, "dry-run", false, "tell what would be done, and do nothing")
	f.BoolVar(&s.yes, "yes", false, "do not ask before a selection is "+s.past)
	f.BoolVar(&s.progress, "progress", false, "tell of the progress on standard error, as is done on a terminal")
	s.format.add(cmd)
	return cmd
}

// check holds that certificates are named or selected, and not both.
func (s *settleCommand) check(cmd *cobra.Command, args []string) error {
	wrong := func(form string, a ...any) error {
		return &usageError{fmt.Errorf(form+"; see %s --help", append(a, cmd.CommandPath())...)}
	}
	f := &s.selected
	narrowed := f.authority != "" || f.older.given || f.newer.given
	switch {
	case len(args) > 0 && (narrowed || s.all || s.limit != 0):
		return wrong("certificates are named, or selected by --authority, --older, --newer, --all and --limit, not both")
	case len(args) == 0 && !narrowed && !s.all:
		return wrong("which certificates? Name them, or select them by --authority, --older, --newer or --all")
	case s.limit < 0:
		return wrong("--limit cannot be negative")
	case len(args) == 0 && !s.yes && !s.dryRun && !isTerminal(cmd.InOrStdin()):
		return wrong("nobody can be asked, for the standard input is no terminal: add --yes, or --dry-run to see what would be done")
	}
	return nil
}

// settleRun is one run of a settleCommand.
type settleRun struct {
	*settleCommand
	cmd                   *cobra.Command
	console               *console
	total                 int // how many there are; 0: unknown
	done, skipped, failed int
}

// named settles the certificates of the command line. A name that is wrong ends
// it before anything is done.
func (r *settleRun) named(args []string) error {
	var ids []string
	names := admin.Names{OfAccount: admin.OfAccount{Account: r.selected.account}}
	for _, arg := range args {
		name, err := certificateName(arg)
		if err != nil {
			return err
		}
		ids = append(ids, name)
	}
	var all []string
	for part := range slices.Chunk(ids, admin.MaxNames) {
		names.IDs = part
		resolved, err := call[admin.Names](r.cmd.Context(), r.console, "cert/resolve", names)
		if err != nil {
			return err
		}
		names.Account = resolved.Account
		for _, id := range resolved.IDs {
			if !slices.Contains(all, id) {
				all = append(all, id)
			}
		}
	}
	r.total = len(all)
	q := r.question(admin.Selection{OfAccount: names.OfAccount})
	for part := range slices.Chunk(all, registry.MaxSettle) {
		q.IDs = part
		if _, err := r.step(q); err != nil {
			return r.end(err)
		}
	}
	return r.end(nil)
}

// chosen settles what a selection holds at the beginning of the run, one state
// after another: devices that come meanwhile do not prolong it.
func (r *settleRun) chosen() error {
	now := time.Now()
	selection, err := r.selected.selection(now)
	if err != nil {
		return err
	}
	if selection.To.IsZero() {
		selection.To = now
	}
	states := r.from
	if states == nil {
		states = []muster.Status{muster.PendingActivation}
	}
	var counted admin.Counted
	for _, selection.Status = range states {
		if counted, err = call[admin.Counted](r.cmd.Context(), r.console, "cert/count", selection); err != nil {
			return err
		}
		r.total += counted.Count
	}
	if r.limit > 0 {
		r.total = min(r.total, r.limit)
	}
	if err := r.confirm(counted); err != nil {
		return err
	}
	counted.Status = ""
	q := r.question(counted.Selection)
	q.Limit = r.limit
	for _, state := range states {
		q.From, q.After = []muster.Status{state}, nil
		if err := r.state(&q); err != nil || r.limit > 0 && q.Limit <= 0 {
			return r.end(err)
		}
	}
	return r.end(nil)
}

// state settles what a selection holds of one state, up to the limit, which it
// lowers by that.
func (r *settleRun) state(q *admin.Settling) error {
	for {
		answer, err := r.step(*q)
		if r.limit > 0 {
			q.Limit -= len(answer.Settled)
		}
		if q.After = answer.Next; err != nil || q.After == nil || r.limit > 0 && q.Limit <= 0 {
			return err
		}
	}
}

func (r *settleRun) question(s admin.Selection) admin.Settling {
	return admin.Settling{Selection: s, From: r.from, Become: r.become, Delete: r.become == "", Policies: r.policies, DryRun: r.dryRun}
}

// confirm asks before a selection is settled.
func (r *settleRun) confirm(c admin.Counted) error {
	if r.yes || r.dryRun || r.total == 0 {
		return nil
	}
	of := "account " + c.Account
	if c.Authority != "" {
		of = fmt.Sprintf("authority %s (%s)", short(c.Authority), printable(c.AuthoritySubject))
	}
	with := ""
	if len(r.policies) > 0 {
		with = ", with policy " + strings.Join(r.policies, ", ")
	}
	are := "wait"
	if r.from != nil {
		are = "are " + listed(r.from) + ", and what is revoked stays so"
	}
	fmt.Fprintf(r.cmd.ErrOrStderr(), "%d certificates of %s %s. Shall they be %s%s? [y/N] ", r.total, of, are, r.past, with)
	answer, err := bufio.NewReader(interruptible(r.cmd.Context(), r.cmd.InOrStdin())).ReadString('\n')
	if r.cmd.Context().Err() != nil {
		return errors.New("interrupted; nothing was done")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was done")
}

// step is one transaction. A signal does not interrupt it: its outcome would
// not be known.
func (r *settleRun) step(q admin.Settling) (admin.Settlement, error) {
	if r.cmd.Context().Err() != nil {
		return admin.Settlement{}, fmt.Errorf("interrupted; what was %s until then stays so, and the same command goes on with the rest", r.past)
	}
	answer, err := call[admin.Settlement](context.WithoutCancel(r.cmd.Context()), r.console, "cert/settle", q)
	if err != nil {
		return answer, err
	}
	for _, s := range answer.Settled {
		if err := r.tell(s, len(q.IDs) > 0); err != nil {
			return answer, err
		}
	}
	r.tellProgress()
	return answer, nil
}

// tell prints what became of a certificate: in text, only what is not as it was
// meant to be, unless it was named.
func (r *settleRun) tell(s admin.Settled, named bool) error {
	switch s.Outcome {
	case registry.OutcomeDone:
		r.done++
	case registry.OutcomeSkipped:
		r.skipped++
	default:
		r.failed++
	}
	out := r.cmd.OutOrStdout()
	if r.format == formatJSON {
		return json.NewEncoder(out).Encode(s)
	}
	text := r.word()
	switch {
	case s.Outcome != registry.OutcomeDone:
		text = string(s.Outcome) + ": " + s.Detail
	case !named && !r.dryRun:
		return nil
	}
	_, err := fmt.Fprintf(out, "%s  %s  %s\n", s.ID, printable(s.Subject), text)
	return err
}

// word is what was done, or would be.
func (r *settleRun) word() string {
	word := r.past
	if r.become == "" {
		word = "deleted"
	}
	if r.dryRun {
		word = "would be " + word
	}
	return word
}

func (r *settleRun) tellProgress() {
	w := r.cmd.ErrOrStderr()
	switch said := r.done + r.skipped + r.failed; {
	case isTerminal(w):
		fmt.Fprintf(w, "\r%d of %d", said, r.total)
	case r.progress:
		fmt.Fprintf(w, "%d of %d\n", said, r.total)
	}
}

// end prints the figures, also of a run that broke off.
func (r *settleRun) end(err error) error {
	w := r.cmd.OutOrStdout()
	if r.format == formatJSON {
		w = r.cmd.ErrOrStderr() // standard output is for certificates
	}
	if isTerminal(r.cmd.ErrOrStderr()) {
		fmt.Fprint(r.cmd.ErrOrStderr(), "\r")
	}
	if err == nil || r.done+r.skipped+r.failed > 0 {
		fmt.Fprintf(w, "%d %s, %d skipped, %d failed\n", r.done, r.word(), r.skipped, r.failed)
	}
	if err == nil && r.failed > 0 {
		err = fmt.Errorf("%d of %d certificates could not be %s", r.failed, r.done+r.skipped+r.failed, r.past)
	}
	return err
}
