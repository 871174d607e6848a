package broker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/hooks"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
	"github.com/muster-mqtt/muster/registry/registrytest"
)

const account = "123456789012"

// patience bounds what a test waits for, not what it measures.
const patience = 10 * time.Second

// fixture is a broker on a real socket over the memory engine.
type fixture struct {
	t       *testing.T
	store   *registry.Store
	engine  registry.Engine
	gate    *admission.Gate
	memory  *admission.Memory
	broker  *broker.Broker
	address string
	roots   *x509.CertPool
	seen    *observer

	mu      sync.Mutex
	answers map[string]admission.Answer // of OCSP, by fingerprint
}

type options struct {
	broker func(*broker.Config)
	hook   func(*hooks.Config)
}

func newFixture(t *testing.T, o options) *fixture {
	t.Helper()
	f := &fixture{t: t, seen: newObserver(), answers: map[string]admission.Answer{}, roots: x509.NewCertPool()}
	f.engine = memory.New()
	sealer, err := registry.NewSealer(make([]byte, 32))
	must(t, err)
	f.store, err = registry.New(registry.Config{Engine: f.engine, Sealer: sealer})
	must(t, err)
	ctx := t.Context()
	must(t, f.store.CreateAccount(ctx, muster.Account{ID: account, Endpoint: "localhost"}))
	f.memory = admission.NewMemory(f.store, zerolog.Nop())
	f.gate, err = admission.New(admission.Config{Registry: f.store, Ask: f.answer, Memory: f.memory})
	must(t, err)

	policies := hooks.NewPolicies()
	c := broker.Config{
		Gate: f.gate, TLS: f.serverTLS(), Observer: f.seen,
		NewHook: func(_ string, s *mqtt.Server) (mqtt.Hook, error) {
			hc := hooks.Config{Server: s, Gate: f.gate, Principals: f.store, Policies: policies, Observer: f.seen}
			if o.hook != nil {
				o.hook(&hc)
			}
			return hooks.New(hc)
		},
	}
	if o.broker != nil {
		o.broker(&c)
	}
	f.broker, err = broker.New(c)
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f.address = l.Addr().String()
	f.serve(l)
	return f
}

// serve runs the broker until the test ends, and then checks the registry.
func (f *fixture) serve(l net.Listener) {
	ctx, cancel := context.WithCancel(context.Background())
	seq, err := f.store.Seq(ctx)
	must(f.t, err)
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.broker.Serve(ctx, l); err != nil {
			f.t.Errorf("Serve: %v", err)
		}
	})
	running.Go(func() {
		if err := f.broker.Follow(ctx, f.store.Changes, seq); err != nil {
			f.t.Errorf("Follow: %v", err)
		}
	})
	f.t.Cleanup(func() {
		cancel()
		running.Wait()
		registrytest.Check(f.t, f.engine)
		must(f.t, f.engine.Close())
	})
}

func (f *fixture) serverTLS() *tls.Config {
	root, err := mint.NewAuthority("test root")
	must(f.t, err)
	leaf, err := root.Issue(mint.Request{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	must(f.t, err)
	f.roots.AddCert(root.Cert)
	return &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}}
}

func (f *fixture) answer(_ context.Context, leaf, _ *x509.Certificate) admission.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a, ok := f.answers[muster.Fingerprint(leaf.Raw)]; ok {
		return a
	}
	return admission.Answer{Status: admission.AnswerGood}
}

func (f *fixture) setAnswer(leaf *mint.Leaf, a admission.Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[muster.Fingerprint(leaf.Cert.Raw)] = a
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const template = `{"Parameters":{"AWS::IoT::Certificate::CommonName":{"Type":"String"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"AWS::IoT::Certificate::CommonName"}}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"all"}}}}`

const templateWithoutThing = `{"Resources":{
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"all"}}}}`

const allowAll = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}`

// policy makes a policy of one name and text.
func (f *fixture) policy(name, document string) {
	f.t.Helper()
	_, err := f.store.CreatePolicy(f.t.Context(), account, name, document, nil)
	must(f.t, err)
}

// authority registers one that is active and registers devices by itself; with
// a template body it provisions them.
func (f *fixture) authority(name, body string, tags ...muster.Tag) *mint.Authority {
	f.t.Helper()
	a, err := mint.NewAuthority(name)
	must(f.t, err)
	code, err := f.store.RegistrationCode(f.t.Context(), account)
	must(f.t, err)
	proof, err := a.Verification(code)
	must(f.t, err)
	r := registry.AuthorityRegistration{
		Account: account, PEM: string(a.CertPEM()), VerificationPEM: string(proof.CertPEM()),
		Active: true, AutoRegistration: true, Tags: tags,
	}
	if body != "" {
		r.Registration = muster.Registrar{TemplateBody: body, RoleARN: "arn:aws:iam::123456789012:role/provisioning"}
	}
	_, err = f.store.RegisterAuthority(f.t.Context(), r)
	must(f.t, err)
	return a
}

func (f *fixture) leaf(a *mint.Authority, name string) *mint.Leaf {
	f.t.Helper()
	l, err := a.Issue(mint.Request{Subject: pkix.Name{CommonName: name}})
	must(f.t, err)
	return l
}

// registered makes a certificate that is active without an authority, with one
// policy.
func (f *fixture) registered(name, policy string) *mint.Leaf {
	f.t.Helper()
	l, err := mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: name}})
	must(f.t, err)
	c, err := f.store.RegisterCertificate(f.t.Context(), registry.CertificateRegistration{
		Account: account, PEM: string(l.CertPEM()), WithoutCA: true, Status: muster.Active,
	})
	must(f.t, err)
	must(f.t, f.store.AttachPolicy(f.t.Context(), account, policy, muster.KindCertificate, c.ID))
	return l
}

func id(l *mint.Leaf) string { return muster.Fingerprint(l.Cert.Raw) }

// dial does the TLS handshake of a device.
func (f *fixture) dial(l *mint.Leaf) (*tls.Conn, error) {
	d := tls.Dialer{Config: &tls.Config{
		RootCAs: f.roots, ServerName: "localhost",
		Certificates: []tls.Certificate{{Certificate: [][]byte{l.Cert.Raw}, PrivateKey: l.Key}},
	}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", f.address)
	if err != nil {
		return nil, err
	}
	return c.(*tls.Conn), nil
}

// client is an MQTT 5 client.
type client struct {
	*paho.Client
	messages chan *paho.Publish
	gone     chan *paho.Disconnect // a DISCONNECT of the server; nil when it just closed
	ack      *paho.Connack
}

func (f *fixture) connect(l *mint.Leaf, clientID string, edit func(*paho.Connect)) (*client, error) {
	conn, err := f.dial(l)
	if err != nil {
		return nil, err
	}
	return connectOver(conn, clientID, edit)
}

func connectOver(conn net.Conn, clientID string, edit func(*paho.Connect)) (*client, error) {
	c := &client{messages: make(chan *paho.Publish, 1000), gone: make(chan *paho.Disconnect, 4)}
	c.Client = paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn),
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			c.messages <- p.Packet
			return true, nil
		}},
		OnServerDisconnect: func(d *paho.Disconnect) { c.gone <- d },
		OnClientError:      func(error) { c.gone <- nil },
	})
	packet := &paho.Connect{ClientID: clientID, KeepAlive: 60, CleanStart: true}
	if edit != nil {
		edit(packet)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	c.ack, err = c.Client.Connect(ctx, packet)
	return c, err
}

// admitted connects and fails the test if that does not succeed.
func (f *fixture) admitted(l *mint.Leaf, clientID string) *client {
	f.t.Helper()
	c, err := f.connect(l, clientID, nil)
	if err != nil {
		f.t.Fatalf("client %s: %v", clientID, err)
	}
	f.t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}) })
	return c
}

// refused connects and fails the test unless the CONNACK has this code and a
// reason string that begins with the reason.
func (f *fixture) refused(l *mint.Leaf, clientID string, code byte, reason muster.Reason) {
	f.t.Helper()
	c, err := f.connect(l, clientID, nil)
	if err == nil {
		_ = c.Disconnect(&paho.Disconnect{})
		f.t.Fatalf("client %s was admitted, not refused for %s", clientID, reason)
	}
	if c == nil || c.ack == nil {
		f.t.Fatalf("client %s: no CONNACK: %v", clientID, err)
	}
	text := ""
	if c.ack.Properties != nil {
		text = c.ack.Properties.ReasonString
	}
	if c.ack.ReasonCode != code || len(text) < len(reason) || text[:len(reason)] != string(reason) {
		f.t.Fatalf("client %s: refused with 0x%02X %q, want 0x%02X %s", clientID, c.ack.ReasonCode, text, code, reason)
	}
}

func (c *client) subscribe(t *testing.T, filters ...string) []byte {
	t.Helper()
	s := &paho.Subscribe{}
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: 1})
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ack, err := c.Subscribe(ctx, s)
	if ack == nil {
		t.Fatalf("subscribe %v: %v", filters, err)
	}
	return ack.Reasons
}

func (c *client) publish(t *testing.T, p *paho.Publish) (code byte, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := c.Publish(ctx, p)
	if r == nil {
		return 0, err
	}
	return r.ReasonCode, err
}

// next returns the next message or fails.
func (c *client) next(t *testing.T) *paho.Publish {
	t.Helper()
	select {
	case p := <-c.messages:
		return p
	case <-time.After(patience):
		t.Fatal("no message")
		return nil
	}
}

// closed waits for the end of the connection and returns the server's
// DISCONNECT, if there was one.
func (c *client) closed(t *testing.T) *paho.Disconnect {
	t.Helper()
	select {
	case d := <-c.gone:
		return d
	case <-time.After(patience):
		t.Fatal("the connection is still open")
		return nil
	}
}

// observer counts, and lets tests wait for a count.
type observer struct {
	mu     sync.Mutex
	counts map[string]int
	grown  chan struct{}
}

func newObserver() *observer { return &observer{counts: map[string]int{}, grown: make(chan struct{})} }

func (o *observer) add(what string, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts[what] += n
	close(o.grown)
	o.grown = make(chan struct{})
}

func (o *observer) wait(t *testing.T, what string, ok func(n int) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		o.mu.Lock()
		n, grown := o.counts[what], o.grown
		o.mu.Unlock()
		if ok(n) {
			return
		}
		select {
		case <-grown:
		case <-deadline:
			t.Fatalf("%s stays at %d", what, n)
		}
	}
}

func (o *observer) Handshake(r muster.Reason, _ time.Duration) { o.add("handshake "+string(r), 1) }
func (o *observer) Inspected(time.Duration)                    { o.add("inspected", 1) }
func (o *observer) Rejected(limit string)                      { o.add("rejected "+limit, 1) }
func (o *observer) Open(n int)                                 { o.add("open", n) }
func (o *observer) Judged(admission.Outcome, time.Duration)    {}
func (o *observer) Connected(out admission.Outcome)            { o.add(fmt.Sprintf("connected %v", out.Enrolled), 1) }
func (o *observer) Refused(r muster.Reason)                    { o.add("refused "+string(r), 1) }
func (o *observer) Kicked(r muster.Reason)                     { o.add("kicked "+string(r), 1) }
func (o *observer) Dropped()                                   { o.add("dropped", 1) }
