package fleet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/fleet"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

const (
	account  = "123456789012"
	role     = "arn:aws:iam::123456789012:role/provisioning"
	create   = "$aws/certificates/create/json"
	fromCSR  = "$aws/certificates/create-from-csr/json"
	pumps    = "$aws/provisioning-templates/pumps/provision/json"
	patience = 20 * time.Second
)

const template = `{
 "Parameters": {"SerialNumber": {"Type": "String"}},
 "Resources": {
  "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "SerialNumber"}}},
  "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}}},
 "DeviceConfiguration": {"id": {"Ref": "AWS::IoT::Certificate::Id"}}}`

var (
	_ fleet.Registry = (*registry.Store)(nil)
	_ fleet.Sealer   = (*registry.Sealer)(nil)
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fixture is a service on a registry in memory, with a clock that the test moves
// and a hook that the test is.
type fixture struct {
	*testing.T
	service *fleet.Service
	store   *registry.Store
	claim   string // the ID of a claim certificate
	moved   atomic.Int64
	log     logged

	mu       sync.Mutex
	hook     func(ctx context.Context, url string, body []byte) ([]byte, error)
	counted  []string
	events   []muster.Event
	refusals []muster.Refusal
}

func newFixture(t *testing.T, edit func(*fleet.Config)) *fixture {
	t.Helper()
	f := &fixture{T: t}
	sealer, err := registry.NewSealer([]byte("0123456789abcdef0123456789abcdef"))
	must(t, err)
	f.store, err = registry.New(registry.Config{Engine: memory.New(), Sealer: sealer, Now: f.now})
	must(t, err)
	must(t, f.store.CreateAccount(t.Context(), muster.Account{ID: account, Endpoint: "a.example.test"}))
	claim, err := mint.SelfSigned(mint.Request{})
	must(t, err)
	registered, err := f.store.RegisterCertificate(t.Context(), registry.CertificateRegistration{
		Account: account, PEM: string(claim.CertPEM()), WithoutCA: true, Status: muster.Active,
	})
	must(t, err)
	f.claim = registered.ID
	f.template("pumps", nil)
	c := fleet.Config{
		Registry: f.store, Sealer: sealer, Caller: f, Now: f.now, Observer: f,
		Tell: f.tell, Remember: f.remember, Log: zerolog.New(&f.log),
	}
	if edit != nil {
		edit(&c)
	}
	f.service, err = fleet.New(c)
	must(t, err)
	return f
}

// run has the service work until the test ends.
func (f *fixture) run() *fixture {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.service.Run(ctx)
	}()
	f.Cleanup(func() { stop(); <-ended })
	return f
}

func (f *fixture) now() time.Time { return time.Now().Add(time.Duration(f.moved.Load())) }

func (f *fixture) template(name string, hook *muster.Hook) {
	f.Helper()
	_, err := f.store.CreateTemplate(f.Context(), muster.Template{
		Account: account, Name: name, Type: muster.TemplateFleet, Enabled: true, RoleARN: role, Hook: hook,
	}, template)
	must(f.T, err)
}

func (f *fixture) Call(ctx context.Context, url string, body []byte) ([]byte, error) {
	f.mu.Lock()
	hook := f.hook
	f.mu.Unlock()
	return hook(ctx, url, body)
}

func (f *fixture) Requested(op fleet.Operation, result string, _ time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counted = append(f.counted, string(op)+" "+result)
}

func (f *fixture) tell(e muster.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

func (f *fixture) remember(r muster.Refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusals = append(f.refusals, r)
}

func (f *fixture) counts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.counted)
}

// logged is a log that is read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// asker is a connection.
type asker struct {
	deaf    bool
	gone    atomic.Bool
	fails   bool
	answers chan answer
}

type answer struct {
	topic   string
	payload []byte
}

func newAsker() *asker { return &asker{answers: make(chan answer, 100)} }

func (a *asker) Listens(topic string) bool {
	return !a.gone.Load() && !(a.deaf && strings.HasSuffix(topic, "/accepted"))
}
func (a *asker) Gone() bool { return a.gone.Load() }

func (a *asker) Answer(topic string, payload []byte) error {
	if a.fails {
		return errors.New("connection reset")
	}
	a.answers <- answer{topic, payload}
	return nil
}

// request is one of the claim's.
func (f *fixture) request(a *asker, topic, payload string) fleet.Request {
	return fleet.Request{
		Account: account, CertificateID: f.claim, ClientID: "factory", Remote: "192.0.2.7:1024",
		Topic: topic, Payload: []byte(payload), Asker: a,
	}
}

// ask returns what a request is answered.
func (f *fixture) ask(topic, payload string) (body map[string]any, accepted bool) {
	f.Helper()
	a := newAsker()
	f.service.Request(f.request(a, topic, payload))
	return f.await(a, topic)
}

func (f *fixture) await(a *asker, topic string) (body map[string]any, accepted bool) {
	f.Helper()
	select {
	case got := <-a.answers:
		if err := json.Unmarshal(got.payload, &body); err != nil {
			f.Fatalf("%v in %s", err, got.payload)
		}
		return body, got.topic == topic+"/accepted"
	case <-time.After(patience):
		f.Fatal("no answer")
		return nil, false
	}
}

// made returns a new certificate's ID and its token.
func (f *fixture) made() (id, token string) {
	f.Helper()
	body, ok := f.ask(create, "")
	if !ok {
		f.Fatal(body)
	}
	return body["certificateId"].(string), body["certificateOwnershipToken"].(string)
}

func provisionOf(token, serial string) string {
	text, _ := json.Marshal(map[string]any{"certificateOwnershipToken": token, "parameters": map[string]string{"SerialNumber": serial}})
	return string(text)
}

// refused demands a code.
func (f *fixture) refused(topic, payload string, code fleet.Code) {
	f.Helper()
	body, accepted := f.ask(topic, payload)
	if accepted || body["errorCode"] != string(code) {
		f.Errorf("%s of %.200s: accepted %v %v, want %s", topic, payload, accepted, body, code)
	}
}
