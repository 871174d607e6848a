package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/config"
	"github.com/muster-mqtt/muster/internal/metrics"
)

// source is where the configuration of a server comes from, now and later.
type source struct {
	read  func() (*config.Config, config.Settings, error) // with what the command line says
	file  string
	given []string // keys that the command line decides

	settings config.Settings // as they were read first
}

// pollEvery is how often the files are looked at. A change counts once it has
// stood for one more look, so that no half of a certificate and its key is taken.
const pollEvery = 2 * time.Second

// reloader puts changes of the configuration, and of the certificates that it
// names, into force while the server runs. All that is new is read and checked
// before anything changes, and nothing that then follows can fail.
type reloader struct {
	daemon *daemon
	source source
	every  time.Duration // pollEvery
	hangup <-chan os.Signal

	mu       sync.Mutex
	config   *config.Config  // as it was last read; what it names may be bad
	settings config.Settings // those in force
	seen     digest          // of the files when they were last read
}

// digest is that of the configuration, and that of the files that it names.
type digest [2][sha256.Size]byte

// attend makes the server read its configuration again on SIGHUP, when its files
// change, and when operators ask for it.
func (d *daemon) attend(from *source, hangup <-chan os.Signal) {
	r := &reloader{
		daemon: d, source: *from, every: pollEvery, hangup: hangup,
		config: d.config, settings: slices.Clone(from.settings),
	}
	r.seen = r.digest()
	d.reloader = r
	d.admin.ReloadBy(func() admin.Reloaded { return r.reload("command") })
	d.metrics.Configured(time.Now())
}

// run reloads on each hang-up, and when the files change, until ctx ends. Links
// are followed: Kubernetes replaces a mounted folder by pointing one elsewhere.
func (r *reloader) run(ctx context.Context) {
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	var last digest
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.hangup:
			r.reload("signal")
		case <-ticker.C:
			now, known := r.look()
			if now != known && now == last {
				r.reload("file")
			}
			last = now
		}
	}
}

// look returns the digest of the files as they are, and as they were when they
// were last read.
func (r *reloader) look() (now, known digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.digest(), r.seen
}

// digest is called with mu held.
func (r *reloader) digest() digest { return digest{digestOf(r.source.file), r.named()} }

// named is the digest of what the configuration names.
func (r *reloader) named() [sha256.Size]byte {
	c := r.config
	return digestOf(c.MQTT.Certificate, c.MQTT.Key, c.API.Certificate, c.API.Key)
}

// digestOf takes the error of a file that cannot be read for its content.
func digestOf(paths ...string) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, path := range paths {
		one := sha256.New()
		if err := hashFile(one, path); err != nil {
			fmt.Fprintf(one, "%v", err)
		}
		h.Write(one.Sum(nil))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func hashFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	_, err = io.Copy(w, io.LimitReader(f, maxSecret))
	return err
}

// reload reads the configuration again, for the cause given, and says what came
// of it to all who want to know.
func (r *reloader) reload(cause string) admin.Reloaded {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.daemon.draining.Load() {
		return admin.Reloaded{Problem: "the server is stopping, and reads nothing again"}
	}
	r.daemon.supervisor.reloading()
	defer func() { r.daemon.supervisor.ready(statusServing) }()
	out, err := r.apply()
	log := r.daemon.log
	for _, w := range out.Warnings {
		log.Warn().Str("event", "config").Msg(w)
	}
	if err != nil {
		out.Problem = err.Error()
		r.daemon.metrics.Reloaded(metrics.ReloadFailed, time.Now())
		log.Error().Str("event", "reload_failed").Str("cause", cause).Err(err).
			Msg("the configuration could not be read again; all stays as it was")
		return out
	}
	r.daemon.metrics.Reloaded(metrics.ReloadDone, time.Now())
	log.Info().Str("event", "reloaded").Str("cause", cause).Strs("changed", out.Changed).Msg("the configuration was read again")
	if len(out.Restart) > 0 {
		log.Warn().Str("event", "restart_needed").Strs("keys", out.Restart).
			Msg("these keys have changed since the start; their values take force when the server is started again")
	}
	return out
}

// apply checks all and then changes what can be changed.
func (r *reloader) apply() (out admin.Reloaded, err error) {
	out = admin.Reloaded{Changed: []string{}, Restart: []string{}, Warnings: []string{}}
	file := digestOf(r.source.file) // before it is read: a change meanwhile is seen later
	c, settings, err := r.source.read()
	if err == nil {
		r.config = c // bad or not: what mends it may be another content of a file that it names
	}
	r.seen = digest{file, r.named()}
	if err != nil {
		return out, err
	}
	found := checkConfig(c, settings)
	out.Warnings = append(out.Warnings, found.warnings...)
	if err := errors.Join(found.problems...); err != nil {
		return out, err
	}
	devices, err := loadPair("mqtt", c.MQTT.Certificate, c.MQTT.Key)
	if err != nil {
		return out, err
	}
	operators, err := loadPair("api", c.API.Certificate, c.API.Key)
	if err != nil {
		return out, err
	}
	r.compare(settings, &out)
	r.daemon.adopt(c, devices, operators, &out)
	return out, nil
}

// compare notes which keys have other values than those in force.
func (r *reloader) compare(settings config.Settings, out *admin.Reloaded) {
	for i, now := range settings {
		if reflect.DeepEqual(now.Value, r.settings[i].Value) || slices.Contains(r.source.given, now.Key) {
			continue
		}
		if !adoptable(now.Key) {
			out.Restart = append(out.Restart, now.Key)
			continue
		}
		out.Changed = append(out.Changed, now.Key)
		r.settings[i] = now
	}
}

// adoptable says whether the value of a key can change while the server runs.
func adoptable(key string) bool {
	switch key {
	case "mqtt.certificate", "mqtt.key", "api.certificate", "api.key", "mqtt.drain", "log.level", "api.requests_per_key",
		"limits.connections", "limits.handshakes", "limits.connects", "limits.connects_per_address",
		"limits.connects_per_authority", "limits.registrations":
		return true
	}
	return false
}

// adopt puts the adoptable keys of a configuration into force. A certificate may
// be another under the same name.
func (d *daemon) adopt(c *config.Config, devices, operators tls.Certificate, out *admin.Reloaded) {
	for _, shown := range []struct {
		key     string
		another bool
	}{
		{"mqtt.certificate", d.devices.show(devices, d.metrics)},
		{"api.certificate", d.operators.show(operators, d.metrics)},
	} {
		if shown.another && !slices.Contains(out.Changed, shown.key) {
			out.Changed = append(out.Changed, shown.key)
		}
	}
	d.broker.SetLimits(brokerLimits(c))
	d.gate.SetLimits(gateLimits(c))
	d.iot.SetRequestsPerKey(c.API.RequestsPerKey)
	d.broker.SetDrain(c.MQTT.Drain)
	setLevel(c.Log.Level)
}

// setLevel sets the least severe level that this process logs.
func setLevel(l config.Level) {
	level, err := zerolog.ParseLevel(strings.ToLower(string(l)))
	if err != nil {
		level = zerolog.InfoLevel
	}
	zerolog.SetGlobalLevel(level)
}
