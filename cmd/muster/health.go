package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func healthCommand(configPath *string) *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Exit 0 if the server is ready, for container checks",
		Long: `Ask the running server whether it is ready for devices, and exit 0 if it is, or 1
with the first check that failed.`,
		Example: `  muster health
  muster health --verbose --config /etc/muster/muster.yaml`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(*configPath)
			if err != nil {
				return err
			}
			a, err := running(cmd.Context(), c)
			if err != nil {
				return err
			}
			text, err := probe(cmd.Context(), a, "/readyz?verbose")
			switch {
			case verbose:
				for line := range strings.Lines(text) {
					fmt.Fprintln(cmd.OutOrStdout(), printable(strings.TrimSuffix(line, "\n")))
				}
			case err == nil:
				fmt.Fprintln(cmd.OutOrStdout(), "ready")
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print what every check found")
	return cmd
}

const (
	probeTimeout = 5 * time.Second
	probeBytes   = 64 << 10 // that are read of an answer
)

// probe asks the plain HTTP listener of a server, and returns what it says. An
// answer other than 200 is an error that names what failed.
func probe(ctx context.Context, a addresses, path string) (text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(a.HTTP)+path, nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and no proxy
	w, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer w.Body.Close()
	body, err := io.ReadAll(io.LimitReader(w.Body, probeBytes))
	if err != nil {
		return "", err
	}
	text = string(body)
	if w.StatusCode != http.StatusOK {
		return text, fmt.Errorf("%s answers %s: %s", path, w.Status, failure(text))
	}
	return text, nil
}

// failure is the line of an answer that tells what is wrong.
func failure(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "[-]") {
			return strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(first)
}
