package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/config"
)

func envCommand(configPath *string) *cobra.Command {
	return &cobra.Command{
		Use:   "env",
		Short: "Print shell exports that point tools at the running server",
		Long: `Print shell exports for the running server and its first access key: what the
AWS tools read, and MUSTER_MQTT, MUSTER_HTTP (host:port) and MUSTER_CA (the file
that a device trusts the broker by). Of several listeners MUSTER_MQTT is the first,
and MUSTER_WEBSOCKET, where there is one, the first of MQTT over WebSocket. Exits
1, printing none, while no server runs.`,
		Example: `  eval "$(muster env)"
  aws iot list-certificates --endpoint-url "$AWS_ENDPOINT_URL"`,
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
			id, secret, err := readCredentials(filepath.Join(c.Dir, credentialsFile))
			if err != nil {
				return err
			}
			exports := [][2]string{
				{"AWS_ENDPOINT_URL", "https://" + reachable(a.API)}, {"AWS_ACCESS_KEY_ID", id},
				{"AWS_SECRET_ACCESS_KEY", secret}, {"AWS_DEFAULT_REGION", c.Region},
				{"AWS_CA_BUNDLE", filepath.Join(c.Dir, rootFile)}, {"MUSTER_MQTT", reachable(a.MQTT[0])},
				{"MUSTER_HTTP", reachable(a.HTTP)}, {"MUSTER_CA", filepath.Join(c.Dir, rootFile)},
			}
			if len(a.WebSocket) > 0 {
				exports = append(exports, [2]string{"MUSTER_WEBSOCKET", reachable(a.WebSocket[0])})
			}
			for _, v := range exports {
				fmt.Fprintf(cmd.OutOrStdout(), "export %s=%s\n", v[0], shellQuote(v[1]))
			}
			return nil
		},
	}
}

// running returns the addresses of the server that runs with a configuration.
func running(ctx context.Context, c *config.Config) (addresses, error) {
	a, err := readAddresses(c.Admin.Path)
	if err == nil {
		_, err = probe(ctx, a, "/livez")
	}
	if err != nil {
		return a, fmt.Errorf("no server runs in %s: %w; start it with muster serve", c.Admin.Path, err)
	}
	return a, nil
}

// reachable turns an address that listens everywhere into one to connect to.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // not localhost: a container may have no name for it
	}
	return net.JoinHostPort(host, port)
}

// shellQuote makes one word of a POSIX shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// readCredentials reads the first profile of a file in the form of the AWS
// tools.
func readCredentials(path string) (id, secret string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", fmt.Errorf("access key: %w", err)
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		key, value, _ := strings.Cut(in.Text(), "=")
		switch strings.TrimSpace(key) {
		case "aws_access_key_id":
			id = strings.TrimSpace(value)
		case "aws_secret_access_key":
			secret = strings.TrimSpace(value)
		}
	}
	if id == "" || secret == "" {
		return "", "", errors.New("access key: " + path + " holds none; it must have aws_access_key_id and aws_secret_access_key")
	}
	return id, secret, nil
}
