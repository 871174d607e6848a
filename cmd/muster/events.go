package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/config"
	"github.com/muster-mqtt/muster/internal/metrics"
	"github.com/muster-mqtt/muster/webhook"
)

// newWebhooks makes the sender of events, whose errors are keyErrors.
func newWebhooks(c *config.Config, log zerolog.Logger, m *metrics.Metrics) (*webhook.Sender, error) {
	secret, err := readWebhookSecret(c.Webhook.Secret)
	if err != nil {
		return nil, &keyError{"webhook.secret", err}
	}
	roots, err := readRoots(c.Webhook.Roots)
	if err != nil {
		return nil, &keyError{"webhook.roots", err}
	}
	return webhook.New(webhook.Config{
		URLs: c.Webhook.URL, Secret: secret, Roots: roots, Timeout: c.Webhook.Timeout,
		Agent: "muster/" + version(), Observer: webhookObserver{m}, Log: log,
	})
}

func readWebhookSecret(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	key, err := webhook.ParseSecret(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// readRoots reads certificates in PEM; nil, those of the system, for no path.
func readRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: it holds no certificate in PEM", path)
	}
	return roots, nil
}

// teller returns who learns of events: the log, and the receivers.
func teller(log zerolog.Logger, s *webhook.Sender) func(muster.Event) {
	return func(e muster.Event) {
		logEvent(log, e)
		s.Tell(e)
	}
}

// logEvent tells the log of what no other line does.
func logEvent(log zerolog.Logger, e muster.Event) {
	var line *zerolog.Event
	switch e.Type {
	case muster.EventStatusChanged:
		line = log.Info().Str("event", "status_changed").Str("from", string(e.PreviousStatus)).Str("to", string(e.Status))
		if e.Detail != "" {
			line = line.Str("detail", e.Detail)
		}
	case muster.EventTransferred:
		line = log.Info().Str("event", "transferred").Str("detail", e.Detail)
	case muster.EventDeleted:
		line = log.Info().Str("event", "deleted").Str("from", string(e.PreviousStatus)).Str("detail", e.Detail)
	case muster.EventProvisioningFailed:
		line = log.Warn().Str("event", "provisioning_failed").Str("reason", string(e.Reason)).Str("detail", e.Detail)
	default:
		return
	}
	line.Str("certificate", e.CertificateID).Str("authority", e.AuthorityID).Str("account", e.Account).Msg(string(e.Type))
}

// webhookObserver joins what package webhook tells to the metrics.
type webhookObserver struct{ m *metrics.Metrics }

func (o webhookObserver) Delivered(n int)              { o.m.WebhookEvents(metrics.WebhookDelivered, n) }
func (o webhookObserver) Failed(n int)                 { o.m.WebhookEvents(metrics.WebhookFailed, n) }
func (o webhookObserver) Dropped(n int)                { o.m.WebhookEvents(metrics.WebhookDropped, n) }
func (o webhookObserver) Queued(change int)            { o.m.WebhookQueued(change) }
func (o webhookObserver) Requested(took time.Duration) { o.m.WebhookRequest(took) }

// webhooks looks at what receivers of events need.
func (f *findings) webhooks(c *config.Config) {
	if len(c.Webhook.URL) == 0 {
		return
	}
	_, err := newWebhooks(c, zerolog.Nop(), nil)
	var about *keyError
	switch {
	case errors.As(err, &about):
		f.problem(about.key, about.err)
	case err != nil:
		f.problem("webhook.url", err)
	}
	if text := exposed(c.Webhook.Secret); text != "" {
		f.warn("webhook.secret", text)
	}
	for _, text := range c.Webhook.URL {
		u, err := url.Parse(text)
		if err == nil && u.Scheme == "http" && !loopback(u.Host) {
			f.warn("webhook.url", fmt.Sprintf("http to %s: whoever is on the way can read the events; use https", u.Host))
		}
	}
	if c.Webhook.Secret == "" {
		f.warn("webhook.secret", "none is set: a receiver cannot tell events of this server from others; openssl rand -hex 32 makes one")
	}
}
