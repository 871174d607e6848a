package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/fxamacker/cbor/v2"
)

// The topics of fleet provisioning, without the encoding.
const (
	createTopic  = "$aws/certificates/create/"
	fromCSRTopic = "$aws/certificates/create-from-csr/"
)

func provisionTopic(template string) string {
	return "$aws/provisioning-templates/" + template + "/provision/"
}

// claimPolicy lets devices with a claim certificate provision themselves, as in
// AWS's documentation.
const claimPolicy = `{"Version":"2012-10-17","Statement":[
  {"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
  {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":[
    "arn:aws:iot:*:*:topic/$aws/certificates/create/*", "arn:aws:iot:*:*:topic/$aws/certificates/create-from-csr/*",
    "arn:aws:iot:*:*:topic/$aws/provisioning-templates/*", "arn:aws:iot:*:*:topic/plain"]},
  {"Effect":"Allow","Action":"iot:Subscribe","Resource":[
    "arn:aws:iot:*:*:topicfilter/$aws/*", "arn:aws:iot:*:*:topicfilter/plain"]}]}`

// fleetTemplate makes a thing of a serial number that the device says.
const fleetTemplate = `{
  "Parameters": {"SerialNumber": {"Type": "String"}, "Line": {"Type": "String", "Default": "none"}},
  "Resources": {
    "thing": {"Type": "AWS::IoT::Thing", "Properties": {
      "ThingName": {"Fn::Join": ["-", ["pump", {"Ref": "SerialNumber"}]]},
      "AttributePayload": {"line": {"Ref": "Line"}}}},
    "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
      "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"}},
    "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "pump"}}
  },
  "DeviceConfiguration": {"url": {"Fn::Join": ["", ["https://example.com/", {"Ref": "SerialNumber"}]]}}
}`

const pumpPolicy = `{"Version":"2012-10-17","Statement":[
  {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
  {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"arn:aws:iot:*:*:topic/pumps/${iot:ClientId}"},
  {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/pumps/${iot:ClientId}"}]}`

// fleetOf prepares templates: "pumps", and one more for each hook.
func (s *server) fleetOf(t *testing.T, hooked map[string]string) {
	t.Helper()
	s.call(t, "POST", "/policies/pump", nil, object{"policyDocument": pumpPolicy})
	create := func(name string, more object) {
		body := object{"templateName": name, "templateBody": fleetTemplate, "enabled": true, "provisioningRoleArn": role}
		for k, v := range more {
			body[k] = v
		}
		s.call(t, "POST", "/provisioning-templates", nil, body)
	}
	create("pumps", nil)
	for name, target := range hooked {
		create(name, object{"preProvisioningHook": object{"targetArn": target, "payloadVersion": "2020-04-01"}})
	}
}

// applicant is a client that provisions itself.
type applicant struct {
	*paho.Client
	t      *testing.T
	format string // json or cbor

	mu      sync.Mutex
	heard   []heardMessage
	changed chan struct{}
}

type heardMessage struct {
	topic   string
	payload []byte
	qos     byte
	retain  bool
}

// applies connects as a client of fleet provisioning.
func (s *server) applies(t *testing.T, key tls.Certificate, clientID, format string) *applicant {
	t.Helper()
	a, err := s.tries(t, key, clientID, format)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (s *server) tries(t *testing.T, key tls.Certificate, clientID, format string) (*applicant, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deviceTimeout)
	defer cancel()
	roots, err := s.roots("MUSTER_CA")
	if err != nil {
		t.Fatal(err)
	}
	d := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{key}}}
	conn, err := d.DialContext(ctx, "tcp", s.vars["MUSTER_MQTT"])
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	a := &applicant{t: t, format: format, changed: make(chan struct{}, 100)}
	a.Client = paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn), PacketTimeout: deviceTimeout,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){a.hear},
	})
	ack, err := a.Connect(ctx, &paho.Connect{ClientID: clientID, KeepAlive: 60, CleanStart: true})
	if err == nil && ack.ReasonCode != 0 {
		err = fmt.Errorf("CONNACK 0x%02X", ack.ReasonCode)
	}
	return a, err
}

func (a *applicant) hear(p paho.PublishReceived) (bool, error) {
	m := heardMessage{topic: p.Packet.Topic, payload: p.Packet.Payload, qos: p.Packet.QoS, retain: p.Packet.Retain}
	a.mu.Lock()
	a.heard = append(a.heard, m)
	a.mu.Unlock()
	a.changed <- struct{}{}
	return true, nil
}

func (a *applicant) messages() []heardMessage {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]heardMessage(nil), a.heard...)
}

// certificates counts the certificates that came, and demands that they came as
// answers do.
func (a *applicant) certificates() (n int) {
	for _, m := range a.messages() {
		if m.topic != createTopic+a.format+"/accepted" {
			continue
		}
		n++
		if m.qos != 0 || m.retain {
			a.t.Errorf("QoS %d, retained %v", m.qos, m.retain)
		}
	}
	return n
}

func (a *applicant) publish(p *paho.Publish) {
	a.t.Helper()
	if _, err := a.Publish(a.t.Context(), p); err != nil {
		a.t.Fatal(err)
	}
}

// subscribe says whether all filters are granted.
func (a *applicant) subscribe(filters ...string) bool {
	a.t.Helper()
	var all []paho.SubscribeOptions
	for _, f := range filters {
		all = append(all, paho.SubscribeOptions{Topic: f, QoS: 1})
	}
	ack, err := a.Subscribe(a.t.Context(), &paho.Subscribe{Subscriptions: all})
	if ack == nil {
		a.t.Fatal(err)
	}
	for _, code := range ack.Reasons {
		if code >= 0x80 {
			return false
		}
	}
	return true
}

// answers names the answers of a topic.
func (a *applicant) answers(topic string) []string {
	return []string{topic + a.format + "/accepted", topic + a.format + "/rejected"}
}

// encode writes a payload in the client's encoding; nil is none.
func (a *applicant) encode(body object) []byte {
	a.t.Helper()
	if body == nil {
		return nil
	}
	write := json.Marshal
	if a.format == "cbor" {
		write = cbor.Marshal
	}
	text, err := write(map[string]any(body))
	if err != nil {
		a.t.Fatal(err)
	}
	return text
}

// ask sends a request and returns its answer.
func (a *applicant) ask(topic string, body object) (answer object, accepted bool) {
	a.t.Helper()
	return a.send(topic, a.encode(body), 1)
}

func (a *applicant) send(topic string, payload []byte, qos byte) (answer object, accepted bool) {
	a.t.Helper()
	before := len(a.messages())
	if _, err := a.Publish(a.t.Context(), &paho.Publish{Topic: topic + a.format, QoS: qos, Payload: payload}); err != nil {
		a.t.Fatalf("%s: %v", topic, err)
	}
	deadline := time.After(deviceTimeout)
	for {
		for _, m := range a.messages()[before:] {
			result, ok := strings.CutPrefix(m.topic, topic+a.format+"/")
			if !ok {
				continue
			}
			read := json.Unmarshal
			if a.format == "cbor" {
				read = cbor.Unmarshal
			}
			values := map[string]any{}
			if err := read(m.payload, &values); err != nil {
				a.t.Fatalf("%s: %v in %q", m.topic, err, m.payload)
			}
			return plain(values), result == "accepted"
		}
		select {
		case <-a.changed:
		case <-deadline:
			a.t.Fatalf("no answer on %s%s", topic, a.format)
		}
	}
}

// plain gives what CBOR brought the types of JSON.
func plain(values map[string]any) object {
	o := object{}
	for name, value := range values {
		switch v := value.(type) {
		case uint64:
			o[name] = float64(v)
		case map[any]any:
			inner := map[string]any{}
			for k, text := range v {
				inner[k.(string)] = text
			}
			o[name] = inner
		default:
			o[name] = v
		}
	}
	return o
}

// refusedFor demands a rejection.
func (a *applicant) refusedFor(topic string, body object, status float64, code string) {
	a.t.Helper()
	answer, accepted := a.ask(topic, body)
	if accepted || answer["statusCode"] != status || answer["errorCode"] != code || answer["errorMessage"] == "" {
		a.t.Errorf("%s%s of %v is answered accepted %v %v, want %v %s", topic, a.format, body, accepted, answer, status, code)
	}
}

// granted demands a certificate.
func (a *applicant) granted(topic string, body object) object {
	a.t.Helper()
	answer, accepted := a.ask(topic, body)
	if !accepted {
		a.t.Fatalf("%s%s: %v", topic, a.format, answer)
	}
	return answer
}

// pair is the certificate of an answer with its key.
func pair(t *testing.T, answer object) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair([]byte(answer["certificatePem"].(string)), []byte(answer["privateKey"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// keyOf reads the files of a certificate.
func keyOf(t *testing.T, c *certificate) tls.Certificate {
	t.Helper()
	k, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// csr makes a key and a request for a certificate of it.
func csr(t *testing.T, name string) (request, keyPath string) {
	t.Helper()
	dir := t.TempDir()
	key, out := filepath.Join(dir, name+".key"), filepath.Join(dir, name+".csr")
	openssl(t, append([]string{"req", "-new", "-batch", "-subj", "/CN=" + name, "-keyout", key, "-out", out}, curve...)...)
	return readFile(t, out), key
}

// lambda is a pre-provisioning hook. It answers by the serial number that it is
// asked about.
type lambda struct {
	*httptest.Server
	t *testing.T

	mu    sync.Mutex
	asked []object
}

func newLambda(t *testing.T) *lambda {
	l := &lambda{t: t}
	stop := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /check", l.check)
	mux.HandleFunc("POST /slow", func(_ http.ResponseWriter, q *http.Request) {
		select {
		case <-q.Context().Done():
		case <-stop:
		}
	})
	mux.HandleFunc("POST /moved", func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, "/check", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("POST /long", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"allowProvisioning":true,"why":%q}`, strings.Repeat("x", 100_000))
	})
	mux.HandleFunc("POST /vague", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"allowProvisioning":"true"}`) })
	l.Server = httptest.NewServer(mux)
	t.Cleanup(func() { close(stop); l.Close() })
	return l
}

func (l *lambda) check(w http.ResponseWriter, q *http.Request) {
	var body bytes.Buffer
	event := object{}
	if _, err := body.ReadFrom(q.Body); err != nil {
		return
	}
	if err := json.Unmarshal(body.Bytes(), &event); err != nil || q.Header.Get("Muster-Signature") == "" {
		l.t.Errorf("a hook was asked %q: %v, signed %q", &body, err, q.Header.Get("Muster-Signature"))
	}
	l.mu.Lock()
	l.asked = append(l.asked, event)
	l.mu.Unlock()
	answer := object{"allowProvisioning": event.at("parameters", "SerialNumber") != "bad"}
	if event.at("parameters", "SerialNumber") == "moved" {
		answer["parameterOverrides"] = object{"SerialNumber": "elsewhere", "Line": "9"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (l *lambda) last() object {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.asked) == 0 {
		return object{}
	}
	return l.asked[len(l.asked)-1]
}
