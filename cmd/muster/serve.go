package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

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
addresses.json beside the socket.

A signal to stop has it take leave of the devices, spread over mqtt.drain; a
second one ends it at once. SIGHUP has it read its configuration again, as muster
reload does, and so does a change of the files.`,
		Example: "  muster serve\n  muster serve --mqtt 0.0.0.0:8883 --mqtt 0.0.0.0:443 --websocket 0.0.0.0:8884",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags := []addressFlag{
				{"mqtt", "mqtt.address", mqtt, func(c *config.Config) { c.MQTT.Address = mqtt }},
				{"websocket", "mqtt.websocket", websocket, func(c *config.Config) { c.MQTT.Websocket = websocket }},
				{"api", "api.address", []string{api}, func(c *config.Config) { c.API.Address = api }},
				{"http", "http.address", []string{http}, func(c *config.Config) { c.HTTP.Address = http }},
			}
			flags = slices.DeleteFunc(flags, func(f addressFlag) bool { return !cmd.Flags().Changed(f.name) })
			c, from, err := readSource(*configPath, flags)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c, newLog(c, cmd.ErrOrStderr()), from, nil)
		},
	}
	cmd.Flags().StringSliceVar(&mqtt, "mqtt", nil, "`address` of the MQTT listener, instead of mqtt.address; may be given several times")
	cmd.Flags().StringSliceVar(&websocket, "websocket", nil, "`address` of a listener of MQTT over WebSocket, instead of mqtt.websocket; may be given several times")
	cmd.Flags().StringVar(&api, "api", "", "`address` of the HTTPS API, instead of api.address")
	cmd.Flags().StringVar(&http, "http", "", "`address` of metrics and probes, instead of http.address")
	return cmd
}

// addressFlag is a flag that stands for a key of addresses.
type addressFlag struct {
	name, key string
	given     []string
	use       func(*config.Config)
}

func (f addressFlag) check() error {
	for _, given := range f.given {
		if _, _, err := net.SplitHostPort(given); err != nil {
			return &usageError{fmt.Errorf("--%s: %w; it is host:port", f.name, err)}
		}
	}
	return nil
}

// readSource reads the configuration for a server, with what its flags say.
func readSource(path string, flags []addressFlag) (*config.Config, *source, error) {
	from := &source{file: path}
	for _, f := range flags {
		if err := f.check(); err != nil {
			return nil, nil, err
		}
		from.given = append(from.given, f.key)
	}
	from.read = func() (*config.Config, config.Settings, error) {
		c, settings, err := config.Read(configSource(path))
		if err != nil {
			return nil, nil, err
		}
		for _, f := range flags {
			f.use(c)
		}
		return c, settings, nil
	}
	c, settings, err := from.read()
	from.settings = settings
	return c, from, err
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

// serve runs a server until ctx ends. Where from is given, the configuration is
// read again when it changes, and a second signal ends the server at once; nil
// leaves all signals to ctx. ready, if it is not nil, is told the addresses once
// all listen.
func serve(ctx context.Context, c *config.Config, log zerolog.Logger, from *source, ready func(addresses)) (err error) {
	patient := context.Background()
	var hangup <-chan os.Signal
	if from != nil {
		// Before anything is opened, and until all is closed: no signal that asks
		// for something else may end the process meanwhile.
		var release, deaf func()
		patient, release = patience()
		defer release()
		hangup, deaf = hangups()
		defer deaf()
	}
	// Whoever stops it while it starts has it stop once it has started, in order.
	d, err := newDaemon(context.WithoutCancel(ctx), c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	l, err := listen(c, d.operators.tls())
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.addresses.write(c.Admin.Path); err != nil {
		return err
	}
	defer func() { _ = os.Remove(filepath.Join(c.Admin.Path, addressesFile)) }()
	warn(c, log)
	d.warnOfMasterKey(ctx)
	if from != nil {
		d.attend(from, hangup)
	}
	log.Info().Str("event", "listening").Strs("mqtt", l.addresses.MQTT).Strs("websocket", l.addresses.WebSocket).Str("api", l.addresses.API).
		Str("http", l.addresses.HTTP).Str("socket", l.addresses.Socket).Str("version", version()).Msg("muster serves")
	d.supervisor.ready(statusServing)
	if ready != nil {
		ready(l.addresses)
	}
	err = d.run(ctx, patient, l)
	log.Info().Str("event", "stopped").Err(err).Msg("muster stopped")
	return err
}

// warn tells what an operator should mend though the server runs.
func warn(c *config.Config, log zerolog.Logger) {
	for _, path := range secrets(c) {
		if text := exposed(path); text != "" {
			log.Warn().Str("event", "secret_readable").Msg(text)
		}
	}
	if text := tooFew(c.Limits.Connections, descriptors()); text != "" {
		log.Warn().Str("event", "few_descriptors").Msg("limits.connections: " + text)
	}
}
