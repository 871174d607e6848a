package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/muster-mqtt/muster/config"
	"github.com/muster-mqtt/muster/fleet"
	"github.com/muster-mqtt/muster/hooks"
	"github.com/muster-mqtt/muster/internal/metrics"
	"github.com/muster-mqtt/muster/webhook"
)

// newFleet makes what provisions devices over MQTT.
func (d *daemon) newFleet() (*fleet.Service, error) {
	c := d.config
	_, sealer, err := readMasterKey(c.Registry.MasterKey)
	if err != nil {
		return nil, err
	}
	caller, err := newCaller(c)
	if err != nil {
		return nil, err
	}
	targets, err := hookTargets(c)
	if err != nil {
		return nil, &keyError{"fleet.hooks", err}
	}
	return fleet.New(fleet.Config{
		Registry: d.store, Sealer: sealer, Caller: caller, Hooks: targets, HookTimeout: c.Fleet.HookTimeout,
		Concurrent: c.Fleet.Concurrent, Region: c.Region, Tell: d.events.Tell, Remember: d.memory.Remember,
		Observer: fleetObserver{d.metrics}, Log: d.log,
	})
}

// hookTargets says by their ARNs where pre-provisioning hooks are.
func hookTargets(c *config.Config) (map[string]string, error) {
	targets := map[string]string{}
	for _, text := range c.Fleet.Hooks { // each has the form ARN=URL, or the configuration would not have been read
		arn, address, _ := strings.Cut(text, "=")
		if _, twice := targets[arn]; twice {
			return nil, fmt.Errorf("%s stands there twice; a hook has one URL", arn)
		}
		targets[arn] = address
	}
	return targets, nil
}

// newCaller makes who asks pre-provisioning hooks, whose errors are keyErrors.
func newCaller(c *config.Config) (*webhook.Caller, error) {
	secret, err := readWebhookSecret(c.Webhook.Secret)
	if err != nil {
		return nil, &keyError{"webhook.secret", err}
	}
	roots, err := readRoots(c.Webhook.Roots)
	if err != nil {
		return nil, &keyError{"webhook.roots", err}
	}
	return webhook.NewCaller(webhook.CallerConfig{
		Secret: secret, Roots: roots, Timeout: c.Fleet.HookTimeout, Idle: c.Fleet.Concurrent, Agent: "muster/" + version(),
	})
}

// fleetRequests joins package hooks, which hears requests, to package fleet.
type fleetRequests struct{ service *fleet.Service }

func (fleetRequests) Serves(topic string) bool { return fleet.Serves(topic) }

func (f fleetRequests) Request(r hooks.Request) {
	f.service.Request(fleet.Request{
		Account: r.Account, CertificateID: r.CertificateID, ClientID: r.ClientID, Remote: r.Remote,
		Topic: r.Topic, Payload: r.Payload, Asker: r.Session,
	})
}

// fleetObserver joins what package fleet tells to the metrics.
type fleetObserver struct{ m *metrics.Metrics }

func (o fleetObserver) Requested(op fleet.Operation, result string, took time.Duration) {
	o.m.FleetRequest(string(op), result, took)
}

// fleetHooks looks at what pre-provisioning hooks need.
func (f *findings) fleetHooks(c *config.Config) {
	if len(c.Fleet.Hooks) == 0 {
		return
	}
	if _, err := hookTargets(c); err != nil {
		f.problem("fleet.hooks", err)
	}
	for _, text := range c.Fleet.Hooks {
		_, address, _ := strings.Cut(text, "=")
		if u, err := url.Parse(address); err == nil && u.Scheme == "http" && !loopback(u.Host) {
			f.warn("fleet.hooks", fmt.Sprintf("http to %s: whoever is on the way can read the questions and change the answers; use https", u.Host))
		}
	}
	if len(c.Webhook.URL) > 0 {
		return // webhooks has looked at the rest
	}
	var about *keyError
	if _, err := newCaller(c); errors.As(err, &about) {
		f.problem(about.key, about.err)
	}
	if text := exposed(c.Webhook.Secret); text != "" {
		f.warn("webhook.secret", text)
	}
	if c.Webhook.Secret == "" {
		f.warn("webhook.secret", "none is set: a pre-provisioning hook cannot tell this server from others; openssl rand -hex 32 makes one")
	}
}
