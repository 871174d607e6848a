package hooks_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log"
	"log/slog"
	"net"
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

// serve attaches the hook to a mochi server of one's own, whose listener ends TLS
// itself. It returns the server, which runs until it is closed.
func serve(ctx context.Context, store *registry.Store, certificate tls.Certificate, l net.Listener) (*mqtt.Server, error) {
	gate, err := admission.New(admission.Config{Registry: store})
	if err != nil {
		return nil, err
	}
	server := mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	hook, err := hooks.New(hooks.Config{Server: server, Gate: gate, Principals: store, Policies: hooks.NewPolicies()})
	if err != nil {
		return nil, err
	}
	if err := server.AddHook(hook, nil); err != nil {
		return nil, err
	}
	l = tls.NewListener(l, gate.TLSConfig(&tls.Config{Certificates: []tls.Certificate{certificate}}))
	if err := server.AddListener(listeners.NewNet("devices", l)); err != nil {
		return nil, err
	}
	seq, err := store.Seq(ctx)
	if err != nil {
		return nil, err
	}
	go store.Changes(ctx, seq, func(c muster.Change) error { hook.Rejudge(ctx, c); return nil })
	return server, server.Serve()
}

// A device registers by its first connect, and is sent away when its certificate
// is revoked.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store, err := registry.New(registry.Config{Engine: memory.New()})
	check(err)
	factory := found(ctx, store)
	l, err := net.Listen("tcp", "localhost:0")
	check(err)
	root, certificate := serverCertificate()
	server, err := serve(ctx, store, certificate, l)
	check(err)
	defer server.Close()

	leaf, err := factory.Issue(mint.Request{Subject: pkix.Name{CommonName: "sensor-1"}})
	check(err)
	gone := make(chan *paho.Disconnect, 1)
	ack, err := connect(ctx, l.Addr(), root, leaf.TLS(), gone)
	check(err)
	fmt.Printf("CONNACK 0x%02X\n", ack.ReasonCode)

	id := muster.Fingerprint(leaf.Cert.Raw)
	record, err := store.Certificate(ctx, "123456789012", id)
	check(err)
	fmt.Println("the registry knows it as", record.Status)
	_, err = store.UpdateCertificateStatus(ctx, "123456789012", id, muster.Revoked)
	check(err)
	d := <-gone
	fmt.Printf("DISCONNECT 0x%02X %s\n", d.ReasonCode, d.Properties.ReasonString)
	// Output:
	// CONNACK 0x00
	// the registry knows it as ACTIVE
	// DISCONNECT 0x98 revoked: registered as REVOKED
}

// found makes an account with a policy, and an authority whose devices register
// by themselves.
func found(ctx context.Context, store *registry.Store) *mint.Authority {
	const account, policy, template = "123456789012",
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}`,
		`{"Resources": {
			"certificate": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}},
			"policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "device"}}}}`
	check(store.CreateAccount(ctx, muster.Account{ID: account, Endpoint: "localhost"}))
	_, err := store.CreatePolicy(ctx, account, "device", policy, nil)
	check(err)
	factory, err := mint.NewAuthority("Factory CA")
	check(err)
	code, err := store.RegistrationCode(ctx, account)
	check(err)
	proof, err := factory.Verification(code)
	check(err)
	_, err = store.RegisterAuthority(ctx, registry.AuthorityRegistration{
		Account: account, PEM: string(factory.CertPEM()), VerificationPEM: string(proof.CertPEM()),
		Active: true, AutoRegistration: true,
		Registration: muster.Registrar{TemplateBody: template, RoleARN: "arn:aws:iam::123456789012:role/provisioning"},
	})
	check(err)
	return factory
}

func serverCertificate() (*x509.Certificate, tls.Certificate) {
	root, err := mint.NewAuthority("Root CA")
	check(err)
	leaf, err := root.Issue(mint.Request{DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	check(err)
	return root.Cert, leaf.TLS()
}

func connect(ctx context.Context, address net.Addr, root *x509.Certificate, key tls.Certificate, gone chan *paho.Disconnect) (*paho.Connack, error) {
	roots := x509.NewCertPool()
	roots.AddCert(root)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{key}}}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", address.String())
	if err != nil {
		return nil, err
	}
	client := paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn), OnServerDisconnect: func(d *paho.Disconnect) { gone <- d },
	})
	return client.Connect(ctx, &paho.Connect{ClientID: "sensor-1", KeepAlive: 60, CleanStart: true})
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
