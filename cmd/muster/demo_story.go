package main

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/config"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/ocsp/responder"
)

// story is what the demo plays: an operator, two factories, their devices, and
// an application that listens.
type story struct {
	table    *table
	config   *config.Config
	at       addresses
	roots    *x509.CertPool
	operator *operator
	devices  int

	factory   *mint.Authority // its devices are provisioned (JITP); OCSP is hard
	workshop  *mint.Authority // its devices wait for an operator (JITR)
	ocsp      string          // URL of the factory's responder
	responder *http.Server
	mu        sync.Mutex
	revoked   map[string]bool // serial numbers, asked by the responder

	application *device
	fleet       []*device
}

const demoTemplate = `{
  "Parameters": {"AWS::IoT::Certificate::CommonName": {"Type": "String"}},
  "Resources": {
    "thing": {"Type": "AWS::IoT::Thing", "Properties": {
      "ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"},
      "ThingTypeName": "sensor", "ThingGroups": ["demo"],
      "AttributePayload": {"line": "7"}}},
    "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
      "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}},
    "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "device"}}
  }
}`

const devicePolicy = `{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/${iot:Certificate.Subject.CommonName}"},
  {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/telemetry/${iot:ClientId}"}]}`

const applicationPolicy = `{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/application"},
  {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": [
    "arn:aws:iot:*:*:topicfilter/telemetry/+", "arn:aws:iot:*:*:topicfilter/$aws/events/certificates/registered/*"]},
  {"Effect": "Allow", "Action": "iot:Receive", "Resource": [
    "arn:aws:iot:*:*:topic/telemetry/*", "arn:aws:iot:*:*:topic/$aws/events/certificates/registered/*"]}]}`

func newStory(ctx context.Context, t *table, c *config.Config, at addresses, devices int) (*story, error) {
	s := &story{table: t, config: c, at: at, devices: devices, roots: x509.NewCertPool(), revoked: map[string]bool{}}
	root, err := os.ReadFile(filepath.Join(c.Dir, rootFile))
	if err != nil {
		return nil, err
	}
	s.roots.AppendCertsFromPEM(root)
	id, secret, err := readCredentials(filepath.Join(c.Dir, credentialsFile))
	if err != nil {
		return nil, err
	}
	s.operator = newOperator("https://"+at.API, c.Region, id, secret, s.roots)
	if s.factory, err = mint.NewAuthority("Demo Factory CA"); err != nil {
		return nil, err
	}
	if s.workshop, err = mint.NewAuthority("Demo Workshop CA"); err != nil {
		return nil, err
	}
	return s, s.startResponder(ctx)
}

// startResponder answers OCSP for the factory on a port of its own.
func (s *story) startResponder(ctx context.Context) error {
	handler, err := responder.New(responder.Config{Issuer: s.factory.Cert, Signer: s.factory.Key, Status: s.ocspStatus})
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.ocsp = "http://" + l.Addr().String()
	s.responder = &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	go func() { _ = s.responder.Serve(l) }() // until close
	return nil
}

func (s *story) ocspStatus(_ context.Context, serial *big.Int) (responder.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revoked[serial.String()] {
		return responder.State{Status: responder.Revoked, RevokedAt: time.Now().Add(-time.Minute)}, nil
	}
	return responder.State{Status: responder.Good}, nil
}

func (s *story) close() {
	for _, d := range append(s.fleet, s.application) {
		if d != nil {
			d.disconnect()
		}
	}
	if s.responder != nil {
		_ = s.responder.Close()
	}
}

// tell plays the chapters. An error means that the story could not go on; a
// step that came out otherwise than told is counted by the table.
func (s *story) tell(ctx context.Context) error {
	for _, chapter := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"The operator prepares: policies, a template, two authorities with proof of possession, an application", s.prepare},
		{"Devices of the factory connect for the first time and are provisioned (JITP)", s.provision},
		{"A device of the workshop waits for an operator (JITR)", s.register},
		{"Who must not come in does not", s.refuse},
		{"A live device is revoked", s.revokeLive},
	} {
		s.table.chapter(chapter.title)
		if err := chapter.play(ctx); err != nil {
			return fmt.Errorf("%s: %w", chapter.title, err)
		}
	}
	return nil
}

func (s *story) newDevice(a *mint.Authority, name string, ocsp ...string) (*device, error) {
	leaf, err := a.Issue(mint.Request{Subject: pkix.Name{CommonName: name}, OCSPServer: ocsp})
	return &device{name: name, leaf: leaf}, err
}

// object is the body of a request or an answer.
type object map[string]any

func (s *story) prepare(ctx context.Context) error {
	start := time.Now()
	for _, c := range []struct {
		path string
		body object
	}{
		{"/policies/device", object{"policyDocument": devicePolicy}},
		{"/policies/application", object{"policyDocument": applicationPolicy}},
		{"/thing-types/sensor", object{}}, {"/thing-groups/demo", object{}},
		{"/provisioning-templates", object{"templateName": "sensor", "type": "JITP", "templateBody": demoTemplate,
			"enabled": true, "provisioningRoleArn": "arn:aws:iam::123456789012:role/provisioning"}},
	} {
		if err := s.operator.call(ctx, "POST", c.path, nil, c.body, nil); err != nil {
			return fmt.Errorf("POST %s: %w", c.path, err)
		}
	}
	s.table.step("operator", "made two policies, a thing type, a thing group and a provisioning template", time.Since(start), nil)
	if err := s.registerAuthority(ctx, s.factory, object{
		"registrationConfig": object{"templateName": "sensor"},
		"tags":               []muster.Tag{{Key: muster.TagOCSP, Value: string(muster.OCSPHard)}},
	}); err != nil {
		return err
	}
	if err := s.registerAuthority(ctx, s.workshop, object{}); err != nil {
		return err
	}
	return s.startApplication(ctx)
}

func (s *story) registerAuthority(ctx context.Context, a *mint.Authority, body object) error {
	start := time.Now()
	var code struct{ RegistrationCode string }
	if err := s.operator.call(ctx, "GET", "/registrationcode", nil, nil, &code); err != nil {
		return err
	}
	proof, err := a.Verification(code.RegistrationCode)
	if err != nil {
		return err
	}
	body["caCertificate"], body["verificationCertificate"] = string(a.CertPEM()), string(proof.CertPEM())
	query := url.Values{"setAsActive": {"true"}, "allowAutoRegistration": {"true"}}
	if err := s.operator.call(ctx, "POST", "/cacertificate", query, body, nil); err != nil {
		return fmt.Errorf("registering %s: %w", a.Cert.Subject.CommonName, err)
	}
	s.table.step("operator", "registered the "+a.Cert.Subject.CommonName, time.Since(start), nil)
	return nil
}

// startApplication registers a certificate without an authority and listens.
func (s *story) startApplication(ctx context.Context) error {
	leaf, err := mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: "application"}})
	if err != nil {
		return err
	}
	s.application = &device{name: "application", leaf: leaf}
	var made struct{ CertificateArn string }
	body := object{"certificatePem": string(leaf.CertPEM()), "status": "ACTIVE"}
	if err := s.operator.call(ctx, "POST", "/certificate/register-no-ca", nil, body, &made); err != nil {
		return err
	}
	if err := s.operator.call(ctx, "PUT", "/target-policies/application", nil, object{"target": made.CertificateArn}, nil); err != nil {
		return err
	}
	took, err := s.application.connect(ctx, s.at.MQTT[0], s.roots)
	if err == nil {
		err = s.application.subscribe(ctx, "telemetry/+", "$aws/events/certificates/registered/"+muster.Fingerprint(s.workshop.Cert.Raw))
	}
	s.table.step("application", "connected with a certificate registered without an authority, and listens", took, err)
	return err
}

// provision lets all devices connect at once, as after a power cut.
func (s *story) provision(ctx context.Context) error {
	type result struct {
		device *device
		took   time.Duration
		err    error
	}
	results := make(chan result)
	for i := range s.devices {
		d, err := s.newDevice(s.factory, fmt.Sprintf("sensor-%03d", i+1), s.ocsp)
		if err != nil {
			return err
		}
		s.fleet = append(s.fleet, d)
		go func() {
			took, err := d.connect(ctx, s.at.MQTT[0], s.roots)
			if err == nil {
				err = d.publish(ctx, "telemetry/"+d.name, `{"temperature":21.5}`)
			}
			results <- result{d, took, err}
		}()
	}
	for range s.fleet {
		r := <-results
		s.table.first = append(s.table.first, r.took)
		s.table.step(r.device.name, "unknown certificate, OCSP good, thing made, policy attached, ACTIVE; published", r.took, r.err)
	}
	start := time.Now()
	seen := map[string]bool{}
	for len(seen) < s.devices {
		p, err := s.application.next(ctx, func(p *paho.Publish) bool { return strings.HasPrefix(p.Topic, "telemetry/") })
		if err != nil {
			return err
		}
		seen[p.Topic] = true
	}
	s.table.step("application", fmt.Sprintf("received the telemetry of all %d", len(seen)), time.Since(start), nil)
	var things struct{ Things []struct{ ThingName string } }
	err := s.operator.call(ctx, "GET", "/things", url.Values{"maxResults": {"250"}}, nil, &things)
	if want := min(s.devices, 250); err == nil && len(things.Things) != want {
		err = fmt.Errorf("%d things are listed, not %d", len(things.Things), want)
	}
	s.table.step("operator", "lists their things", time.Since(start), err)
	return nil
}

func (s *story) register(ctx context.Context) error {
	d, err := s.newDevice(s.workshop, "sensor-007b")
	if err != nil {
		return err
	}
	took, err := d.connect(ctx, s.at.MQTT[0], s.roots)
	var no refusal
	if !errors.As(err, &no) {
		return fmt.Errorf("the device was not refused: %v", err)
	}
	s.table.step(d.name, "first connect: "+no.Error(), took, expectReason(no, 0x87, muster.ReasonPendingActivation))

	start := time.Now()
	p, err := s.application.next(ctx, func(p *paho.Publish) bool { return strings.HasPrefix(p.Topic, "$aws/events/") })
	if err != nil {
		return err
	}
	var event struct{ CertificateID, CertificateStatus string }
	if err := json.Unmarshal(p.Payload, &event); err != nil {
		return err
	}
	s.table.step("application", "received the event that the certificate waits", time.Since(start), nil)
	s.table.note("%s", p.Payload)

	start = time.Now()
	id := event.CertificateID
	arn := muster.ARN(s.config.Region, "123456789012", "cert/"+id)
	err = s.operator.call(ctx, "PUT", "/target-policies/device", nil, object{"target": arn}, nil)
	if err == nil {
		err = s.operator.call(ctx, "PUT", "/certificates/"+id, url.Values{"newStatus": {"ACTIVE"}}, nil, nil)
	}
	if err != nil {
		return err
	}
	s.table.step("operator", "attached a policy and activated the certificate", time.Since(start), nil)
	took, err = d.connect(ctx, s.at.MQTT[0], s.roots)
	s.table.step(d.name, "connected again and was let in", took, err)
	s.fleet = append(s.fleet, d)
	return nil
}

func (s *story) refuse(ctx context.Context) error {
	garage, err := mint.NewAuthority("Somebody's Garage CA")
	if err != nil {
		return err
	}
	stranger, err := s.newDevice(garage, "stranger")
	if err != nil {
		return err
	}
	took, err := stranger.connect(ctx, s.at.MQTT[0], s.roots)
	var no refusal
	what := "refused in the TLS handshake: no registered authority signed its certificate"
	if err == nil || errors.As(err, &no) {
		err = fmt.Errorf("it got past TLS: %v", err)
	} else {
		err = nil
	}
	s.table.step("stranger", what, took, err)

	stolen, err := s.newDevice(s.factory, "stolen", s.ocsp)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.revoked[stolen.leaf.Cert.SerialNumber.String()] = true
	s.mu.Unlock()
	took, err = stolen.connect(ctx, s.at.MQTT[0], s.roots)
	if !errors.As(err, &no) {
		return fmt.Errorf("the revoked device was not refused: %v", err)
	}
	s.table.step("stolen", "revoked at the responder: "+no.Error(), took, expectReason(no, 0x8A, muster.ReasonRevoked))
	start := time.Now()
	id := muster.Fingerprint(stolen.leaf.Cert.Raw)
	err = s.operator.call(ctx, "GET", "/certificates/"+id, nil, nil, nil)
	var missing *apiError
	if errors.As(err, &missing) && missing.code == "ResourceNotFoundException" {
		err = nil
	} else {
		err = fmt.Errorf("its certificate is registered: %v", err)
	}
	s.table.step("operator", "finds no record of it: it was not registered", time.Since(start), err)

	start = time.Now()
	e, err := call[admin.Explanation](ctx, serverConsole(s.at.Socket), "explain", admin.Question{Fingerprint: id})
	if err == nil && (e.Reason != muster.ReasonRevoked || len(e.Lines) == 0) {
		err = fmt.Errorf("explained as %q", e.Reason)
	}
	s.table.step("operator", "asks why: muster explain "+id[:12]+"…", time.Since(start), err)
	s.table.explained(e)
	return nil
}

func (s *story) revokeLive(ctx context.Context) error {
	d := s.fleet[0]
	id := muster.Fingerprint(d.leaf.Cert.Raw)
	start := time.Now()
	if err := s.operator.call(ctx, "PUT", "/certificates/"+id, url.Values{"newStatus": {"REVOKED"}}, nil, nil); err != nil {
		return err
	}
	s.table.step("operator", "revoked the certificate of "+d.name+" in the registry", time.Since(start), nil)
	start = time.Now()
	select {
	case why := <-d.closed:
		s.table.step(d.name, "its live connection was closed: "+why, time.Since(start), nil)
	case <-time.After(5 * time.Second):
		s.table.step(d.name, "its live connection was closed", time.Since(start), errors.New("still open after 5 s"))
	}
	took, err := d.connect(ctx, s.at.MQTT[0], s.roots)
	var no refusal
	if !errors.As(err, &no) {
		return fmt.Errorf("the revoked device was not refused: %v", err)
	}
	s.table.step(d.name, "connected again: "+no.Error(), took, expectReason(no, 0x8A, muster.ReasonRevoked))
	return nil
}
