package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/config"
)

const maxDemoDevices = 1000

func demoCommand() *cobra.Command {
	var devices int
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole story in a temporary directory, with no set-up",
		Long: `Show the whole story in a temporary directory and on free ports of this
machine: an OCSP responder, the broker and its API, and devices with fresh keys
that meet them over real sockets. The server is the one that muster serve runs.
Exits 0 only if every step came out as told.`,
		Example: "  muster demo\n  muster demo --devices 200",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if devices < 1 || devices > maxDemoDevices {
				return &usageError{fmt.Errorf("--devices %d: from 1 to %d", devices, maxDemoDevices)}
			}
			return demo(cmd.Context(), cmd.OutOrStdout(), devices)
		},
	}
	cmd.Flags().IntVar(&devices, "devices", 8, "how `many` devices meet just-in-time provisioning")
	return cmd
}

const demoTimeout = 2 * time.Minute

// demo runs the story in a directory of its own and takes it away again.
func demo(ctx context.Context, out io.Writer, devices int) (err error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	tmp, err := os.MkdirTemp("", "muster-demo-")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()

	t := &table{out: out, start: time.Now()}
	fmt.Fprintf(out, "Muster %s: a device connects for the first time and is registered.\n\n", version())
	s, stop, err := startDemo(ctx, t, filepath.Join(tmp, "muster"), devices)
	if err == nil {
		err = s.tell(ctx)
	}
	if stop != nil {
		err = errors.Join(err, stop())
	}
	t.summary(err)
	if err == nil && t.failed > 0 {
		err = fmt.Errorf("demo: %d of %d steps did not come out as told", t.failed, t.steps)
	}
	return err
}

// startDemo makes and runs the server and the responder, and prepares the
// story. stop ends the server and waits for it.
func startDemo(ctx context.Context, t *table, dir string, devices int) (s *story, stop func() error, err error) {
	if err := (setup{dir: dir, account: "123456789012", region: "us-east-1"}).make(ctx); err != nil {
		return nil, nil, err
	}
	c, err := config.Load(config.Source{File: filepath.Join(dir, configFile)}) // not by the environment
	if err != nil {
		return nil, nil, err
	}
	c.MQTT.Address, c.API.Address, c.HTTP.Address = []string{"127.0.0.1:0"}, "127.0.0.1:0", "127.0.0.1:0"
	logFile, err := os.Create(filepath.Join(dir, "muster.log"))
	if err != nil {
		return nil, nil, err
	}
	running, end := context.WithCancel(ctx)
	ready := make(chan addresses, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- errors.Join(serve(running, c, newLog(c, logFile), nil, func(a addresses) { ready <- a }), logFile.Close())
	}()
	endServer := func() error { end(); return <-ended }
	select {
	case a := <-ready:
		s, err = newStory(ctx, t, c, a, devices)
		if err != nil {
			return nil, endServer, err
		}
		return s, func() error { s.close(); return endServer() }, nil
	case err := <-ended:
		end()
		return nil, nil, fmt.Errorf("the server did not start: %w", err)
	}
}

// table prints the steps as they happen.
type table struct {
	out    io.Writer
	start  time.Time
	steps  int
	failed int
	first  []time.Duration // first connects, from TCP to CONNACK
}

func (t *table) chapter(text string) { fmt.Fprintf(t.out, "\n%s\n", text) }

// step prints what happened to whom and whether it is what was told.
func (t *table) step(who, what string, took time.Duration, err error) {
	t.steps++
	mark := "ok"
	if err != nil {
		t.failed++
		mark, what = "FAILED", what+": "+err.Error()
	}
	fmt.Fprintf(t.out, "  %-6s %9s  %-12s %s\n", mark, took.Round(100*time.Microsecond), who, what)
}

func (t *table) note(format string, args ...any) {
	fmt.Fprintf(t.out, "                    "+format+"\n", args...)
}

func (t *table) summary(err error) {
	took := time.Since(t.start).Round(10 * time.Millisecond)
	if err != nil || t.failed > 0 {
		fmt.Fprintf(t.out, "\n%d of %d steps failed after %v.\n", t.failed, t.steps, took)
		return
	}
	fmt.Fprintf(t.out, "\nAll %d steps came out as told in %v.\n", t.steps, took)
	if n := len(t.first); n > 0 {
		var sum time.Duration
		for _, d := range t.first {
			sum += d
		}
		fmt.Fprintf(t.out, "%d devices were registered at their first connect, %v each on average from TCP to CONNACK,\n"+
			"with OCSP asked and the registration on disk.\n", n, (sum / time.Duration(n)).Round(100*time.Microsecond))
	}
	fmt.Fprintln(t.out, "Next: muster init && muster serve, and the walk in the README.")
}

// explained shows the deciding line of an explanation.
func (t *table) explained(e admin.Explanation) {
	for _, l := range e.Lines {
		if l.Decides {
			t.note("rule %d, %s: %s", l.Rule, l.Name, l.Saw)
			t.note("%s %s; mend: %s", l.Says, l.Reason, l.Mend)
		}
	}
}

// expectReason compares what a refusal told with what it should have told.
func expectReason(got refusal, code byte, reason muster.Reason) error {
	if got.code != code || got.reason != reason {
		return fmt.Errorf("refused with 0x%02X %q, not with 0x%02X %q", got.code, got.reason, code, reason)
	}
	return nil
}
