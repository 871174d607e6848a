package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write the manual pages",
		Long: `Write the manual pages of this program and of all its commands, section 1, into
a directory that exists.`,
		Example: "  mkdir -p man1 && muster man man1 && man ./man1/muster-serve.1",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if info, err := os.Stat(args[0]); err != nil || !info.IsDir() {
				return fmt.Errorf("manual pages: %s is no directory; make it first", args[0])
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // it is a date: pages of one version are the same
			when := built()
			head := &doc.GenManHeader{Section: "1", Source: "muster " + version(), Manual: "Muster", Date: &when}
			if err := doc.GenManTree(root, head, args[0]); err != nil {
				return fmt.Errorf("manual pages: %w", err)
			}
			pages, err := filepath.Glob(filepath.Join(args[0], "muster*.1"))
			if err == nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %d pages to %s\n", len(pages), args[0])
			}
			return err
		},
	}
}
