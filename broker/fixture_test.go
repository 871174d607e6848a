package broker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"sync"
	"testing"
	"time"

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

const (
	account       = "123456789012" // with the endpoint localhost
	otherAccount  = "210987654321"
	otherEndpoint = "other.example.test"
)

// patience bounds what a test waits for, not what it measures.
const patience = 10 * time.Second

// fixture is a broker on a real socket over the memory engine.
type fixture struct {
	t       testing.TB
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

// options change what a fixture is made of; nil changes nothing.
type options struct {
	engine   registry.Engine
	gate     func(*admission.Config)
	broker   func(*broker.Config)
	hook     func(*hooks.Config)
	listener func(net.Listener) net.Listener
}

func newFixture(t testing.TB, o options) *fixture {
	t.Helper()
	f := &fixture{t: t, seen: newObserver(), answers: map[string]admission.Answer{}, roots: x509.NewCertPool()}
	if f.engine = o.engine; f.engine == nil {
		f.engine = memory.New()
	}
	sealer, err := registry.NewSealer(make([]byte, 32))
	must(t, err)
	f.store, err = registry.New(registry.Config{Engine: f.engine, Sealer: sealer})
	must(t, err)
	ctx := t.Context()
	must(t, f.store.CreateAccount(ctx, muster.Account{ID: account, Endpoint: "localhost"}))
	must(t, f.store.CreateAccount(ctx, muster.Account{ID: otherAccount, Endpoint: otherEndpoint}))
	f.memory = admission.NewMemory(f.store, zerolog.Nop())
	g := admission.Config{Registry: f.store, Ask: f.answer, Memory: f.memory}
	if o.gate != nil {
		o.gate(&g)
	}
	f.gate, err = admission.New(g)
	must(t, err)
	f.broker, err = broker.New(f.brokerConfig(o))
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f.address = l.Addr().String()
	if o.listener != nil {
		l = o.listener(l)
	}
	f.serve(l)
	return f
}

func (f *fixture) brokerConfig(o options) broker.Config {
	policies := hooks.NewPolicies()
	c := broker.Config{
		Gate: f.gate, TLS: f.serverTLS(), Observer: f.seen, Drain: time.Millisecond,
		NewHooks: func(_ string, s *mqtt.Server) ([]mqtt.Hook, error) {
			hc := hooks.Config{Server: s, Gate: f.gate, Principals: f.store, Policies: policies, Observer: f.seen}
			if o.hook != nil {
				o.hook(&hc)
			}
			h, err := hooks.New(hc)
			return []mqtt.Hook{h}, err
		},
	}
	if o.broker != nil {
		o.broker(&c)
	}
	return c
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
		if _, test := f.t.(*testing.T); test { // of thousands of devices it takes minutes
			registrytest.Check(f.t, f.engine)
		}
		must(f.t, f.engine.Close())
	})
}

func (f *fixture) serverTLS() *tls.Config {
	root, err := mint.NewAuthority("test root")
	must(f.t, err)
	leaf, err := root.Issue(mint.Request{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost", otherEndpoint},
		IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	must(f.t, err)
	f.roots.AddCert(root.Cert)
	return &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}}
}

func (f *fixture) answer(_ context.Context, q admission.Question) admission.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a, ok := f.answers[muster.Fingerprint(q.Leaf.Raw)]; ok {
		return a
	}
	return admission.Answer{Status: admission.AnswerGood}
}

func (f *fixture) setAnswer(leaf *mint.Leaf, a admission.Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[muster.Fingerprint(leaf.Cert.Raw)] = a
}

func must(t testing.TB, err error) {
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
	f.register(a, registry.AuthorityRegistration{Account: account, Registration: registrar(body), Tags: tags})
	return a
}

func registrar(body string) muster.Registrar {
	if body == "" {
		return muster.Registrar{}
	}
	return muster.Registrar{TemplateBody: body, RoleARN: "arn:aws:iam::123456789012:role/provisioning"}
}

// register fills in what every registration of an authority has.
func (f *fixture) register(a *mint.Authority, r registry.AuthorityRegistration) {
	f.t.Helper()
	r.PEM, r.Active, r.AutoRegistration = string(a.CertPEM()), true, true
	if r.Mode != muster.ModeSNIOnly {
		code, err := f.store.RegistrationCode(f.t.Context(), r.Account)
		must(f.t, err)
		proof, err := a.Verification(code)
		must(f.t, err)
		r.VerificationPEM = string(proof.CertPEM())
	}
	_, err := f.store.RegisterAuthority(f.t.Context(), r)
	must(f.t, err)
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

// device is how a certificate connects; the zero values are the common case.
type device struct {
	*mint.Leaf
	endpoint string                 // server name; default localhost; an address sends none
	sessions tls.ClientSessionCache // to resume TLS sessions
	staple   []byte                 // an OCSP response
}

func (f *fixture) dial(l *mint.Leaf) (*tls.Conn, error) { return f.dialAs(device{Leaf: l}) }

// dialAs does the TLS handshake of a device.
func (f *fixture) dialAs(d device) (*tls.Conn, error) {
	name := d.endpoint
	if name == "" {
		name = "localhost"
	}
	dialer := tls.Dialer{Config: &tls.Config{
		RootCAs: f.roots, ServerName: name, ClientSessionCache: d.sessions,
		Certificates: []tls.Certificate{{Certificate: [][]byte{d.Cert.Raw}, PrivateKey: d.Key, OCSPStaple: d.staple}},
	}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := dialer.DialContext(ctx, "tcp", f.address)
	if err != nil {
		return nil, err
	}
	return c.(*tls.Conn), nil
}
