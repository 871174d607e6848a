package awsiot_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api"
	"github.com/muster-mqtt/muster/api/awsiot"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
	"github.com/rs/zerolog"
)

const (
	account  = "123456789012"
	stranger = "210987654321"
	region   = "us-east-1"
	endpoint = "mqtt.example.com"
)

// server is the API over a registry in memory, with two accounts.
type server struct {
	http.Handler
	dialect *awsiot.Dialect
	store   *registry.Store
	engine  registry.Engine
	key     muster.AccessKey // of account
	other   muster.AccessKey // of stranger
	now     func() time.Time
	log     *logBuffer
}

// logBuffer takes lines from the test and from the connections of a listener.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newServer makes one whose clock is now.
func newServer(tb testing.TB, now func() time.Time) *server {
	tb.Helper()
	return newServerOn(tb, memory.New(), now)
}

// newServerOn makes one on an engine that holds nothing yet, and closes it.
func newServerOn(tb testing.TB, engine registry.Engine, now func() time.Time) *server {
	tb.Helper()
	ctx := tb.Context()
	sealer, err := registry.NewSealer(make([]byte, 32))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { engine.Close() })
	s := &server{engine: engine, now: now, log: new(logBuffer)}
	if s.store, err = registry.New(registry.Config{Engine: engine, Sealer: sealer, Now: now}); err != nil {
		tb.Fatal(err)
	}
	for id, key := range map[string]*muster.AccessKey{account: &s.key, stranger: &s.other} {
		if err := s.store.CreateAccount(ctx, muster.Account{ID: id, Endpoint: id + "." + endpoint}); err != nil {
			tb.Fatal(err)
		}
		if *key, err = s.store.CreateAccessKey(ctx, muster.AccessKey{Account: id}); err != nil {
			tb.Fatal(err)
		}
	}
	s.dialect, err = awsiot.New(awsiot.Config{Store: s.store, Region: region, Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	s.Handler, err = api.New(api.Config{Dialects: []api.Dialect{s.dialect}, Log: zerolog.New(s.log)})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// send makes a signed request, with further headers as "Name: value".
func (s *server) send(tb testing.TB, key muster.AccessKey, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), method, "https://localhost:8443"+target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	err := v4.NewSigner().SignHTTP(tb.Context(), aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret},
		r, hashOf(body), "iot", region, s.now())
	if err != nil {
		tb.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func hashOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// call is send for account, whose request must succeed; the answer is read into
// out unless that is nil.
func (s *server) call(tb testing.TB, method, target, body string, out any) {
	tb.Helper()
	w := s.send(tb, s.key, method, target, body)
	if w.Code != http.StatusOK {
		tb.Fatalf("%s %s: %d %s %s", method, target, w.Code, w.Header().Get("X-Amzn-ErrorType"), w.Body)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
		tb.Fatalf("%s %s: %v in %s", method, target, err, w.Body)
	}
}

// members makes a JSON object of names and values in turn.
func members(tb testing.TB, pairs ...any) string {
	tb.Helper()
	object := make(map[string]any)
	for i := 0; i < len(pairs); i += 2 {
		object[pairs[i].(string)] = pairs[i+1]
	}
	encoded, err := json.Marshal(object)
	if err != nil {
		tb.Fatal(err)
	}
	return string(encoded)
}

func newAuthority(tb testing.TB, name string) *mint.Authority {
	tb.Helper()
	a, err := mint.NewAuthority(name)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func issue(tb testing.TB, a *mint.Authority) *mint.Leaf {
	tb.Helper()
	leaf, err := a.Issue(mint.Request{})
	if err != nil {
		tb.Fatal(err)
	}
	return leaf
}

// selfSigned makes a certificate that no authority has to be registered for.
func selfSigned(tb testing.TB) []byte {
	tb.Helper()
	leaf, err := mint.SelfSigned(mint.Request{})
	if err != nil {
		tb.Fatal(err)
	}
	return leaf.CertPEM()
}
