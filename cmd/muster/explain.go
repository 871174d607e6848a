package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/config"
)

func explainCommand(configPath *string) *cobra.Command {
	var q admin.Question
	cmd := &cobra.Command{
		Use:   "explain CERT.pem|FINGERPRINT",
		Short: "Say why a device is let in or refused, and what would mend it",
		Long: `Ask every rule of admission about a certificate, in order: what it looked at,
what it says, and what would mend a refusal; then what is remembered of earlier
refusals, those of the CONNECT packet and of the policies among them.

A fingerprint is the SHA-256 of the certificate's DER in hex, as in the log and
in the AWS certificate ID. A PEM file is read for its first certificate.`,
		Example: "  muster explain device.pem\n  muster explain 4f0c…e9",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if text, err := os.ReadFile(args[0]); err == nil {
				q.PEM = string(text)
			} else if q.Fingerprint = strings.ToLower(args[0]); len(args[0]) != 64 {
				return fmt.Errorf("certificate: %w", err)
			}
			c, err := config.Load(*configPath)
			if err != nil {
				return err
			}
			e, err := explain(cmd.Context(), c, q)
			if err != nil {
				return err
			}
			return printExplanation(cmd.OutOrStdout(), e)
		},
	}
	cmd.Flags().StringVar(&q.SNI, "sni", "", "the server `name` that the device sends")
	return cmd
}

// explain asks the running server, or, when there is none, the registry.
func explain(ctx context.Context, c *config.Config, q admin.Question) (admin.Explanation, error) {
	e, err := askAdmin(ctx, filepath.Join(c.Dir, socketFile), q)
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist) {
		return e, err
	}
	s, err := openState(ctx, c, zerolog.Nop(), nil)
	if err != nil {
		return e, err
	}
	e, err = s.admin.Explain(ctx, q)
	return e, errors.Join(err, s.close())
}

const adminTimeout = time.Minute

// askAdmin puts a question to the server's socket.
func askAdmin(ctx context.Context, socket string, q admin.Question) (e admin.Explanation, err error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	body, err := json.Marshal(q)
	if err != nil {
		return e, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://muster/explain", bytes.NewReader(body))
	if err != nil {
		return e, err
	}
	w, err := client.Do(r)
	if err != nil {
		return e, err
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		var failed struct{ Error string }
		if err := json.NewDecoder(w.Body).Decode(&failed); err != nil {
			return e, fmt.Errorf("the server answers %s", w.Status)
		}
		return e, errors.New(failed.Error)
	}
	return e, json.NewDecoder(w.Body).Decode(&e)
}

// printExplanation writes one line a rule, for people.
func printExplanation(w io.Writer, e admin.Explanation) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "certificate  %s\nsubject      %s\n", e.CertificateID, e.Subject)
	if e.Account != "" {
		fmt.Fprintf(&b, "account      %s\n", e.Account)
	}
	if e.Remembered {
		fmt.Fprintf(&b, "note         the certificate is not registered; these are the facts of its latest refusal\n")
	}
	fmt.Fprintf(&b, "decision     %s\n\n", strings.TrimSpace(e.Verdict+" "+string(e.Reason)))
	for _, l := range e.Lines {
		mark, says := " ", "ok"
		switch {
		case l.Says == "refuse":
			mark, says = "-", "REFUSE "+string(l.Reason)
		case l.Says != "silent":
			mark, says = "+", l.Says
		}
		if l.Decides {
			mark = ">"
		}
		fmt.Fprintf(&b, "%s %2d %-20s %s\n", mark, l.Rule, l.Name, l.Saw)
		if says != "ok" {
			fmt.Fprintf(&b, "     %-20s %s\n", "", says)
		}
		if l.Mend != "" {
			fmt.Fprintf(&b, "     %-20s mend: %s\n", "", l.Mend)
		}
	}
	for _, r := range e.Refusals {
		fmt.Fprintf(&b, "\nrefused %s for %s (%d times since %s)\n  %s\n", r.Time.Format(time.RFC3339), r.Reason,
			r.Count, r.First.Format(time.RFC3339), r.Detail)
		if r.ClientID != "" || r.Remote != "" {
			fmt.Fprintf(&b, "  client %q from %s\n", r.ClientID, r.Remote)
		}
		if r.Mend != "" {
			fmt.Fprintf(&b, "  mend: %s\n", r.Mend)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
