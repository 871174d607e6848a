package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/config"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
)

func restoreCommand() *cobra.Command {
	r := restore{}
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make the directory of a server from a backup",
		Long: `Make the directory of a server from a backup, or from standard input if FILE is -.
The directory must not exist, and it is there when all is well: every document
was read, the checksum matches, the master key opens every access key, and the
registry keeps its rules.

What is not in a backup is made anew, as muster init does it: muster.yaml with
the defaults, and a certificate for localhost, by which no device knows the
server. Put your own files over them before you serve. To have muster env print
an access key, bring the file credentials too.`,
		Example: `  muster restore muster.gz --check
  muster restore muster.gz --dir /var/lib/muster --master-key master.key`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.file, r.progress = args[0], newMeter(cmd.ErrOrStderr(), "read")
			if err := r.usage(); err != nil {
				return err
			}
			err := r.run(cmd.Context(), cmd.InOrStdin())
			r.progress.end()
			if err != nil {
				if cmd.Context().Err() != nil {
					err = errors.New("interrupted; nothing was made")
				}
				return err
			}
			if err := r.output.print(cmd.OutOrStdout(), r.answer(), r.print); err != nil {
				return err
			}
			if r.acceptBroken {
				return nil
			}
			return broken(r.report, "the backup is whole, but what is in it")
		},
	}
	cmd.Flags().StringVar(&r.dir, "dir", "", "the `directory` to make")
	cmd.Flags().StringVar(&r.masterKey, "master-key", "", "the `file` of the key that sealed the secrets: master.key of the server that was backed up")
	cmd.Flags().StringVar(&r.region, "region", config.Default().Region, "the `region` in ARNs and signatures, which is not in a backup")
	cmd.Flags().BoolVar(&r.check, "check", false, "read the backup to its end, make nothing; with --master-key, open its secrets too")
	cmd.Flags().BoolVar(&r.acceptBroken, "accept-broken", false, "restore a registry that breaks its rules, rather than none")
	r.output.add(cmd)
	return cmd
}

// restore is a restore that is being made, or a check of a backup.
type restore struct {
	backup
	dir          string
	masterKey    string
	region       string
	check        bool
	acceptBroken bool
	output       format
}

func (r *restore) usage() error {
	switch {
	case r.check && r.dir != "":
		return &usageError{errors.New("--check makes nothing; leave out --dir, or --check")}
	case !r.check && (r.dir == "" || r.masterKey == ""):
		return &usageError{errors.New("say where to by --dir, and by which master key by --master-key; or only --check the file")}
	}
	return nil
}

func (r *restore) run(ctx context.Context, stdin io.Reader) error {
	var key []byte
	var sealer *registry.Sealer
	if r.masterKey != "" {
		var err error
		if key, sealer, err = readMasterKey(r.masterKey); err != nil {
			return err
		}
	}
	var from io.Reader
	if r.file == stdStream {
		from = interruptible(ctx, stdin)
	} else {
		f, err := os.Open(r.file)
		if err != nil {
			return fmt.Errorf("backup: %w", err)
		}
		defer f.Close() // only read from
		from = f
	}
	from = io.TeeReader(from, r.progress)
	if r.check {
		var err error
		r.report, err = registry.VerifyBackup(ctx, from, sealer)
		return err
	}
	return makeDirectory(r.dir, func(dir string) error { return r.fill(ctx, dir, from, key, sealer) })
}

// interruptible is a stream whose next read fails once ctx has ended. What waits
// at a pipe or a terminal waits there until the process ends.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { _ = in.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(in, r)
		_ = in.CloseWithError(err) // nil: the end
	}()
	return out
}

// fill makes the files of a server. The configuration comes last: without it,
// what a killed restore leaves behind can not be served. key is the file of the
// master key as it was read: a pipe can be read once.
func (r *restore) fill(ctx context.Context, dir string, from io.Reader, key []byte, sealer *registry.Sealer) error {
	c := config.Default()
	c.Region = r.region
	document := c.Document()
	if _, err := config.Parse(document, configFile); err != nil {
		return err // a flag that no configuration may hold
	}
	if err := r.fillRegistry(ctx, filepath.Join(dir, c.Registry.Path), from, sealer); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, c.Registry.MasterKey), key, 0o600); err != nil {
		return err
	}
	if err := writeServerCertificate(dir); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, configFile), document, 0o644); err != nil {
		return err
	}
	return errors.Join(
		syncPath(filepath.Join(dir, c.Registry.MasterKey)), syncPath(filepath.Join(dir, configFile)), syncPath(dir))
}

func (r *restore) fillRegistry(ctx context.Context, path string, from io.Reader, sealer *registry.Sealer) (err error) {
	if err := badgerdb.Create(badgerdb.Config{Dir: path}); err != nil {
		return err
	}
	engine, err := badgerdb.Open(badgerdb.Config{Dir: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	if r.report, err = registry.Restore(ctx, engine, from, sealer); err != nil {
		return err
	}
	if err := broken(r.report, "what is in the backup"); err != nil && !r.acceptBroken {
		return fmt.Errorf("%w; restore it all the same with --accept-broken", err)
	}
	return nil
}

func (r *restore) print(out *bytes.Buffer) {
	if r.check {
		fmt.Fprintf(out, "Whole: %s.\n", r.answer().summary())
	} else {
		fmt.Fprintf(out, "Restored %s.\n", r.answer().summary())
	}
	printKinds(out, r.report)
	if r.masterKey != "" {
		fmt.Fprintf(out, "The master key opens its secrets (%d).\n", r.report.Secrets)
	}
	for _, text := range r.report.Broken {
		fmt.Fprintf(out, "Broken: %s\n", printable(text))
	}
	if r.check {
		return
	}
	fmt.Fprintf(out, "New in %s, for it is not in a backup: %s. Put yours over them.\nNext: muster serve%s\n",
		r.dir, strings.Join([]string{configFile, "the server's certificate and key", rootFile}, ", "), configFlag(r.dir))
}
