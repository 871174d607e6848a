package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/config"
)

func serveCommand(configPath *string) *cobra.Command {
	var mqtt, websocket []string
	var api, http string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until SIGTERM or an interrupt: MQTT over mutual TLS for devices,
and over WebSocket where an address is given for that, HTTPS for the AWS IoT API,
plain HTTP for /metrics, /livez and /readyz, and a unix socket for this command
line. Port 0 picks a free one; the addresses in use are logged, and written to
addresses.json beside the socket.`,
		Example: "  muster serve\n  muster serve --mqtt 0.0.0.0:8883 --mqtt 0.0.0.0:443 --websocket 0.0.0.0:8884",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(*configPath)
			if err != nil {
				return err
			}
			for _, o := range []struct {
				flag  string
				given []string
				use   func()
			}{
				{"mqtt", mqtt, func() { c.MQTT.Address = mqtt }},
				{"websocket", websocket, func() { c.MQTT.Websocket = websocket }},
				{"api", []string{api}, func() { c.API.Address = api }},
				{"http", []string{http}, func() { c.HTTP.Address = http }},
			} {
				if !cmd.Flags().Changed(o.flag) {
					continue
				}
				for _, given := range o.given {
					if _, _, err := net.SplitHostPort(given); err != nil {
						return &usageError{fmt.Errorf("--%s: %w; it is host:port", o.flag, err)}
					}
				}
				o.use()
			}
			return serve(cmd.Context(), c, newLog(c, cmd.ErrOrStderr()), nil)
		},
	}
	cmd.Flags().StringSliceVar(&mqtt, "mqtt", nil, "`address` of the MQTT listener, instead of mqtt.address; may be given several times")
	cmd.Flags().StringSliceVar(&websocket, "websocket", nil, "`address` of a listener of MQTT over WebSocket, instead of mqtt.websocket; may be given several times")
	cmd.Flags().StringVar(&api, "api", "", "`address` of the HTTPS API, instead of api.address")
	cmd.Flags().StringVar(&http, "http", "", "`address` of metrics and probes, instead of http.address")
	return cmd
}

// addresses are those that a running server listens on.
type addresses struct {
	MQTT      []string `json:"mqtt"`
	WebSocket []string `json:"websocket,omitempty"`
	API       string   `json:"api"`
	HTTP      string   `json:"http"`
	Socket    string   `json:"socket"`
}

// write puts the file in its place by rename, so that nobody reads half of it.
func (a addresses) write(dir string) error {
	text, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, addressesFile)
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("telling the addresses in use: %w", err)
	}
	return os.Rename(path+".new", path)
}

func readAddresses(dir string) (a addresses, err error) {
	text, err := os.ReadFile(filepath.Join(dir, addressesFile))
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(text, &a)
}

// serve runs a server until ctx ends. It tells ready, if there is one, the
// addresses once all listen.
func serve(ctx context.Context, c *config.Config, log zerolog.Logger, ready func(addresses)) (err error) {
	d, err := newDaemon(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	for _, path := range secrets(c) {
		if text := exposed(path); text != "" {
			log.Warn().Str("event", "secret_readable").Msg(text)
		}
	}
	l, err := listen(c, d.tls)
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.addresses.write(c.Admin.Path); err != nil {
		return err
	}
	defer func() { _ = os.Remove(filepath.Join(c.Admin.Path, addressesFile)) }()
	log.Info().Str("event", "listening").Strs("mqtt", l.addresses.MQTT).Strs("websocket", l.addresses.WebSocket).Str("api", l.addresses.API).
		Str("http", l.addresses.HTTP).Str("socket", l.addresses.Socket).Str("version", version()).Msg("muster serves")
	if ready != nil {
		ready(l.addresses)
	}
	err = d.run(ctx, l)
	log.Info().Str("event", "stopped").Err(err).Msg("muster stopped")
	return err
}
