package main

import (
	"context"
	"io"
	"testing"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/api/admin"
)

// TestConfirmIsInterrupted: Ctrl-C ends the question, and not the next line.
func TestConfirmIsInterrupted(t *testing.T) {
	in, terminal := io.Pipe() // nobody types
	defer terminal.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	cmd := &cobra.Command{}
	cmd.SetContext(ctx)
	cmd.SetIn(in)
	cmd.SetErr(io.Discard)
	r := &settleRun{settleCommand: &settleCommand{past: "approved"}, cmd: cmd, total: 3}
	interrupt()
	if err := r.confirm(admin.Counted{}); err == nil || err.Error() != "interrupted; nothing was done" {
		t.Errorf("%v", err)
	}
}
