package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/registry"
)

// stdStream is the file name that stands for standard input or output.
const stdStream = "-"

func backupCommand(configPath *string) *cobra.Command {
	var force bool
	var output format
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all that the registry holds to a file, while the server runs",
		Long: `Write all that the registry holds, as it stands at one moment, to a file, or to
standard output if FILE is -. The server goes on meanwhile; if none runs, the
command reads the registry itself. What it writes is verified on its way, and
FILE is there when it is whole.

Access keys are in it, sealed: without the file master.key, which is not in it,
nobody can use them, and nobody can restore it. Nor are the configuration, the
server's certificate and key, MQTT sessions and retained messages in it.`,
		Example: "  muster backup /srv/backups/muster-$(date +%F).gz\n  muster backup - | ssh vault 'cat > muster.gz'\n  zcat muster.gz | jq -r 'select(.kind == \"cert\") | .doc.id'",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			b := backup{file: args[0], progress: newMeter(cmd.ErrOrStderr(), "written")}
			printed := cmd.OutOrStdout()
			if b.file == stdStream {
				if isTerminal(printed) {
					return &usageError{errors.New("a backup is nothing for a terminal; redirect standard output, or name a file")}
				}
				printed = cmd.ErrOrStderr()
			}
			err := operate(cmd, *configPath, func(o *console) error {
				fill := func(w io.Writer) error { return b.stream(cmd.Context(), o, w) }
				if b.file == stdStream {
					return fill(cmd.OutOrStdout())
				}
				return writeWhole(b.file, force, fill)
			})
			b.progress.end()
			if err != nil {
				return err
			}
			if err := output.print(printed, b.answer(), b.print); err != nil {
				return err
			}
			return broken(b.report, "the backup is written, but what is in it")
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "overwrite FILE if it exists")
	output.add(cmd)
	return cmd
}

// backup is a backup that is being made.
type backup struct {
	file     string
	progress *meter
	report   registry.BackupReport
}

// stream copies a backup from the server to w and verifies it on its way.
func (b *backup) stream(ctx context.Context, o *console, w io.Writer) error {
	answer, err := o.ask(ctx, "backup", struct{}{})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	to := &target{w: w}
	b.report, err = registry.VerifyBackup(ctx, io.TeeReader(answer.Body, io.MultiWriter(to, b.progress)), nil)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errors.New("interrupted; no backup was written")
	case to.err != nil:
		return fmt.Errorf("writing the backup: %w", to.err)
	}
	_, _ = io.Copy(io.Discard, answer.Body) // the trailer comes behind what is left
	if cause := answer.Trailer.Get(admin.BackupFailure); cause != "" {
		return errors.New(cause)
	}
	return fmt.Errorf("what the server sent is no whole backup: %w", err)
}

// target remembers why it could not be written to.
type target struct {
	w   io.Writer
	err error
}

func (t *target) Write(p []byte) (n int, err error) {
	n, err = t.w.Write(p)
	t.err = err
	return n, err
}

// writeWhole makes a file that is there when it is whole, and on the disk. Until
// then it is beside its place, under a name of its own, so that two at a time do
// not write into one.
func writeWhole(path string, force bool, fill func(io.Writer) error) (err error) {
	if _, err := os.Lstat(path); !force && !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = errors.New("it exists; choose another name, or overwrite it with --force")
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: it is no regular file, and is not overwritten; - is standard output", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // it may be closed
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(fill(f), f.Sync()); err != nil {
		return err
	}
	if err := errors.Join(f.Close(), os.Rename(f.Name(), path)); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}

// syncPath makes a file, or the entries of a directory, outlive a power cut.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// backupAnswer is what backup and restore print as JSON.
type backupAnswer struct {
	File  string `json:"file,omitempty"` // empty: standard input or output
	Bytes int64  `json:"bytes"`
	registry.BackupReport
}

func (b *backup) answer() backupAnswer {
	a := backupAnswer{File: b.file, Bytes: b.progress.n, BackupReport: b.report}
	if a.File == stdStream {
		a.File = ""
	}
	return a
}

func (b *backup) print(out *bytes.Buffer) {
	fmt.Fprintf(out, "Wrote %s.\n", b.answer().summary())
	printKinds(out, b.report)
	fmt.Fprintln(out, "Not in it: the master key, without which it cannot be restored; the configuration, the server's "+
		"certificate and key, MQTT sessions and retained messages.")
}

// summary says in a phrase what a backup is.
func (a backupAnswer) summary() string {
	text := fmt.Sprintf("%d documents, %s, as of %s (change %d)", a.Documents, bytesText(a.Bytes), a.Time.Format(time.RFC3339), a.Seq)
	if a.File != "" {
		text = a.File + ": " + text
	}
	if a.Muster != "" {
		text += ", by Muster " + printable(a.Muster)
	}
	return text
}

// printKinds writes a line for each kind of document.
func printKinds(out *bytes.Buffer, r registry.BackupReport) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, k := range registry.Kinds() {
		if r.Kinds[k] == 0 {
			continue
		}
		line := fmt.Sprintf("  %s\t%d", k, r.Kinds[k])
		if k == registry.KindCert {
			var parts []string
			for _, status := range slices.Sorted(maps.Keys(r.Certificates)) {
				parts = append(parts, fmt.Sprintf("%s %d", status, r.Certificates[status]))
			}
			line += "\t" + strings.Join(parts, ", ")
		}
		fmt.Fprintln(table, line)
	}
	_ = table.Flush() // into memory
}

// broken is an error that names the first of the rules that a backup breaks.
func broken(r registry.BackupReport, what string) error {
	if len(r.Broken) == 0 {
		return nil
	}
	return fmt.Errorf("%s breaks the rules of the registry (%d, the first: %s)", what, len(r.Broken), r.Broken[0])
}

// bytesText is a size in its largest unit.
func bytesText(n int64) string {
	units := []string{"bytes", "KB", "MB", "GB", "TB"}
	size, i := float64(n), 0
	for size >= 1000 && i < len(units)-1 {
		size /= 1000
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[i])
}

// meter counts bytes, and tells somebody at a terminal how many.
type meter struct {
	n        int64
	terminal io.Writer // nil: nobody sits there
	what     string
	told     time.Time
}

func newMeter(stderr io.Writer, what string) *meter {
	m := &meter{what: what}
	if isTerminal(stderr) {
		m.terminal = stderr
	}
	return m
}

func (m *meter) Write(p []byte) (int, error) {
	m.n += int64(len(p))
	if m.terminal != nil && time.Since(m.told) > 200*time.Millisecond {
		fmt.Fprintf(m.terminal, "\r%s %s\x1b[K", bytesText(m.n), m.what)
		m.told = time.Now()
	}
	return len(p), nil
}

// end takes away what it told.
func (m *meter) end() {
	if !m.told.IsZero() {
		fmt.Fprint(m.terminal, "\r\x1b[K")
	}
}
