package hooks_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/hooks"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

const account = "123456789012"

const patience = 10 * time.Second

// own is somebody's own mochi server, with the hook and its own listener.
type own struct {
	t       *testing.T
	store   *registry.Store
	address string
	roots   *x509.CertPool
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newOwn(t *testing.T) *own {
	store, err := registry.New(registry.Config{Engine: memory.New()})
	must(t, err)
	must(t, store.CreateAccount(t.Context(), muster.Account{ID: account, Endpoint: "localhost"}))
	gate, err := admission.New(admission.Config{Registry: store})
	must(t, err)

	server := mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	hook, err := hooks.New(hooks.Config{Server: server, Gate: gate, Principals: store, Policies: hooks.NewPolicies()})
	must(t, err)
	must(t, server.AddHook(hook, nil))

	root, err := mint.NewAuthority("test root")
	must(t, err)
	leaf, err := root.Issue(mint.Request{
		DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l = tls.NewListener(l, gate.TLSConfig(&tls.Config{Certificates: []tls.Certificate{leaf.TLS()}}))
	must(t, server.AddListener(listeners.NewNet("own", l)))
	must(t, server.Serve())
	t.Cleanup(func() { must(t, server.Close()) })

	o := &own{t: t, store: store, address: l.Addr().String(), roots: x509.NewCertPool()}
	o.roots.AddCert(root.Cert)
	return o
}

func (o *own) authority(template string) *mint.Authority {
	o.t.Helper()
	a, err := mint.NewAuthority("factory")
	must(o.t, err)
	code, err := o.store.RegistrationCode(o.t.Context(), account)
	must(o.t, err)
	proof, err := a.Verification(code)
	must(o.t, err)
	r := registry.AuthorityRegistration{
		Account: account, PEM: string(a.CertPEM()), VerificationPEM: string(proof.CertPEM()), Active: true, AutoRegistration: true,
	}
	if template != "" {
		r.Registration = muster.Registrar{TemplateBody: template, RoleARN: "arn:aws:iam::123456789012:role/provisioning"}
	}
	_, err = o.store.RegisterAuthority(o.t.Context(), r)
	must(o.t, err)
	return a
}

// connect connects; gone is closed when the connection ends.
func (o *own) connect(l *mint.Leaf, clientID string) (c *paho.Client, ack *paho.Connack, gone chan struct{}, err error) {
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{RootCAs: o.roots, ServerName: "localhost", Certificates: []tls.Certificate{l.TLS()}}}
	conn, err := d.DialContext(ctx, "tcp", o.address)
	if err != nil {
		return nil, nil, nil, err
	}
	o.t.Cleanup(func() { _ = conn.Close() })
	gone = make(chan struct{}, 2)
	c = paho.NewClient(paho.ClientConfig{
		Conn:               packets.NewThreadSafeConn(conn),
		OnServerDisconnect: func(*paho.Disconnect) { gone <- struct{}{} },
		OnClientError:      func(error) { gone <- struct{}{} },
	})
	ack, err = c.Connect(ctx, &paho.Connect{ClientID: clientID, KeepAlive: 60, CleanStart: true})
	return c, ack, gone, err
}

const provisioning = `{"Resources":{
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"sensor"}}}}`

const sensorPolicy = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Certificate.Subject.CommonName}"},
 {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/out/*"}]}`

// TestInOnesOwnServer: the hook alone is as strict on certificate, status and
// policy as the whole broker.
func TestInOnesOwnServer(t *testing.T) {
	o := newOwn(t)
	_, err := o.store.CreatePolicy(t.Context(), account, "sensor", sensorPolicy, nil)
	must(t, err)
	a := o.authority(provisioning)
	l, err := a.Issue(mint.Request{Subject: pkix.Name{CommonName: "sensor"}})
	must(t, err)
	c, _, gone, err := o.connect(l, "sensor")
	must(t, err)
	for topic, want := range map[string]byte{"out/1": 0, "in/1": 0x87} {
		r, err := c.Publish(t.Context(), &paho.Publish{Topic: topic, QoS: 1})
		if r == nil || r.ReasonCode&0x80 != want&0x80 {
			t.Errorf("%s: %+v, %v", topic, r, err)
		}
	}
	if _, ack, _, err := o.connect(l, "another"); err == nil || ack == nil || ack.ReasonCode != 0x87 {
		t.Errorf("as another: %+v, %v", ack, err)
	}
	if _, _, _, err := o.connect(l, "sensor"); err != nil {
		t.Errorf("again: %v", err)
	}
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the first connection was not taken over")
	}
	_, err = o.store.UpdateCertificateStatus(t.Context(), account, muster.Fingerprint(l.Cert.Raw), muster.Revoked)
	must(t, err)
	if _, ack, _, err := o.connect(l, "sensor"); err == nil || ack == nil || ack.ReasonCode != 0x8A {
		t.Errorf("revoked: %+v, %v", ack, err)
	}
	pending, err := o.authority("").Issue(mint.Request{Subject: pkix.Name{CommonName: "pending"}})
	must(t, err)
	if _, ack, _, err := o.connect(pending, "pending"); err == nil || ack == nil || ack.ReasonCode != 0x87 {
		t.Errorf("pending: %+v, %v", ack, err)
	}
	stranger, err := mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: "stranger"}})
	must(t, err)
	if _, ack, _, err := o.connect(stranger, "stranger"); ack != nil || err == nil {
		t.Errorf("stranger: %+v, %v", ack, err)
	}
}

// TestNewDemands what the hook cannot do without.
func TestNewDemands(t *testing.T) {
	gate, err := admission.New(admission.Config{Registry: (*registry.Store)(nil)})
	must(t, err)
	whole := hooks.Config{
		Server: mqtt.New(&mqtt.Options{InlineClient: true}), Gate: gate,
		Principals: (*registry.Store)(nil), Policies: hooks.NewPolicies(),
	}
	if _, err := hooks.New(whole); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(*hooks.Config){
		"Server":       func(c *hooks.Config) { c.Server = nil },
		"Gate":         func(c *hooks.Config) { c.Gate = nil },
		"Principals":   func(c *hooks.Config) { c.Principals = nil },
		"Policies":     func(c *hooks.Config) { c.Policies = nil },
		"InlineClient": func(c *hooks.Config) { c.Server = mqtt.New(nil) },
	} {
		c := whole
		edit(&c)
		if _, err := hooks.New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// TestWithoutTLS: a listener without TLS admits nobody.
func TestWithoutTLS(t *testing.T) {
	gate, err := admission.New(admission.Config{Registry: (*registry.Store)(nil)})
	must(t, err)
	server := mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	hook, err := hooks.New(hooks.Config{
		Server: server, Gate: gate, Principals: (*registry.Store)(nil), Policies: hooks.NewPolicies(),
	})
	must(t, err)
	must(t, server.AddHook(hook, nil))
	ours, theirs := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- server.EstablishConnection("plain", theirs) }()
	c := paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(ours)})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ack, err := c.Connect(ctx, &paho.Connect{ClientID: "sensor", CleanStart: true})
	if err == nil || ack == nil || ack.ReasonCode != 0x87 || ack.Properties.ReasonString != string(muster.ReasonNoCertificate) {
		t.Errorf("%+v, %v", ack, err)
	}
	if err := <-ended; err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("EstablishConnection: %v", err)
	}
}
