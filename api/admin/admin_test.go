package admin_test

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

const account = "123456789012"

type fixture struct {
	store  *registry.Store
	memory *admission.Memory
	admin  *admin.Admin
	server *httptest.Server
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	engine := memory.New()
	store, err := registry.New(registry.Config{Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.CreateAccount(t.Context(), muster.Account{ID: account, Endpoint: "localhost"}); err != nil {
		t.Fatal(err)
	}
	m := admission.NewMemory(nil, zerolog.Nop())
	gate, err := admission.New(admission.Config{Registry: store, Memory: m})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{store: store, memory: m, admin: admin.New(admin.Config{Registry: store, Gate: gate, Memory: m, Region: "us-east-1"})}
	f.server = httptest.NewServer(f.admin.Handler())
	t.Cleanup(func() {
		f.server.Close()
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// ask posts a question and returns the status and the text of the answer.
func (f *fixture) ask(t *testing.T, question any) (int, []byte) {
	t.Helper()
	body, ok := question.(string)
	if !ok {
		b, err := json.Marshal(question)
		if err != nil {
			t.Fatal(err)
		}
		body = string(b)
	}
	w, err := http.Post(f.server.URL+"/explain", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(w.Body); err != nil {
		t.Fatal(err)
	}
	return w.StatusCode, answer.Bytes()
}

func (f *fixture) explain(t *testing.T, q admin.Question) admin.Explanation {
	t.Helper()
	status, text := f.ask(t, q)
	var e admin.Explanation
	if err := json.Unmarshal(text, &e); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s: %v", status, text, err)
	}
	return e
}

func (f *fixture) deciding(t *testing.T, e admin.Explanation) admission.Line {
	t.Helper()
	for _, l := range e.Lines {
		if l.Decides {
			return l
		}
	}
	t.Fatalf("no line decides: %+v", e)
	return admission.Line{}
}

func TestExplainByPEM(t *testing.T) {
	f := newFixture(t)
	leaf, err := mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: "sensor-1"}})
	if err != nil {
		t.Fatal(err)
	}
	e := f.explain(t, admin.Question{PEM: string(leaf.ChainPEM())})
	if l := f.deciding(t, e); e.Verdict != "refuse" || e.Reason != muster.ReasonUnacceptableCertificate || l.Rule != 1 || l.Mend == "" {
		t.Errorf("a stranger: %+v", e)
	}
	if e.CertificateID != muster.Fingerprint(leaf.Cert.Raw) || !strings.Contains(e.Subject, "sensor-1") {
		t.Errorf("of %s %s", e.CertificateID, e.Subject)
	}
}

func TestExplainRegistered(t *testing.T) {
	f := newFixture(t)
	leaf, err := mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: "sensor-1"}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.store.RegisterCertificate(t.Context(), registry.CertificateRegistration{
		Account: account, PEM: string(leaf.CertPEM()), WithoutCA: true, Status: muster.Inactive,
	})
	if err != nil {
		t.Fatal(err)
	}
	q := admin.Question{Fingerprint: c.ID}
	if e := f.explain(t, q); e.Reason != muster.ReasonInactive || e.Account != account ||
		!strings.Contains(f.deciding(t, e).Mend, "--certificate-id "+c.ID) {
		t.Errorf("inactive: %+v", e)
	}
	if _, err := f.store.UpdateCertificateStatus(t.Context(), account, c.ID, muster.Active); err != nil {
		t.Fatal(err)
	}
	if e := f.explain(t, q); e.Verdict != "admit" || e.Reason != "" || f.deciding(t, e).Rule != 14 {
		t.Errorf("active: %+v", e)
	}
}

// TestExplainRemembered asks about a stranger of whom only the refusal is known.
func TestExplainRemembered(t *testing.T) {
	f := newFixture(t)
	id := strings.Repeat("ab", 32)
	facts, err := json.Marshal(admission.Facts{
		Now: time.Now(), Leaf: admission.LeafFacts{
			ID: id, Issuer: "CN=garage", NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.memory.Remember(muster.Refusal{
		Time: time.Now(), First: time.Now(), Count: 3, CertificateID: id, Reason: muster.ReasonUntrustedIssuer,
		Remote: "192.0.2.1:5555", Facts: facts,
	})
	e := f.explain(t, admin.Question{Fingerprint: id})
	if !e.Remembered || e.Reason != muster.ReasonUntrustedIssuer || len(e.Refusals) != 1 || e.Refusals[0].Count != 3 {
		t.Errorf("%+v", e)
	}
	if mend := e.Refusals[0].Mend; !strings.Contains(mend, "CN=garage") {
		t.Errorf("the mend names no issuer: %q", mend)
	}
}

func TestQuestionsThatMakeNoSense(t *testing.T) {
	f := newFixture(t)
	for name, tc := range map[string]struct {
		question any
		status   int
		says     string
	}{
		"no JSON":           {"{", http.StatusBadRequest, "not what this server understands"},
		"nothing":           {admin.Question{}, http.StatusBadRequest, "no fingerprint"},
		"short":             {admin.Question{Fingerprint: "abc"}, http.StatusBadRequest, "64 lower-case hex digits"},
		"upper case":        {admin.Question{Fingerprint: strings.Repeat("AB", 32)}, http.StatusBadRequest, "lower-case"},
		"no PEM":            {admin.Question{PEM: "hello"}, http.StatusBadRequest, "no PEM block"},
		"no certificate":    {admin.Question{PEM: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, http.StatusBadRequest, "certificate to explain"},
		"never seen":        {admin.Question{Fingerprint: strings.Repeat("cd", 32)}, http.StatusNotFound, "give its PEM file"},
		"more than 256 KiB": {admin.Question{PEM: strings.Repeat("x", 256<<10)}, http.StatusBadRequest, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := f.ask(t, tc.question)
			if status != tc.status || !strings.Contains(string(text), tc.says) {
				t.Errorf("%d %s, want %d and %q", status, text, tc.status, tc.says)
			}
		})
	}
}
