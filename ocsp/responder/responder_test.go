package responder_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	wire "golang.org/x/crypto/ocsp"

	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/ocsp"
	"github.com/muster-mqtt/muster/ocsp/responder"
)

// office is an authority with a responder at work.
type office struct {
	authority *mint.Authority
	states    map[string]responder.State // by serial number; written before the first request
	err       error                      // what Status answers instead
	now       time.Time
	server    *httptest.Server
}

func newOffice(t *testing.T, delegate *mint.Leaf, a *mint.Authority) *office {
	t.Helper()
	o := &office{authority: a, states: map[string]responder.State{}, now: time.Now()}
	cfg := responder.Config{
		Issuer: a.Cert, Signer: a.Key,
		Status: func(_ context.Context, serial *big.Int) (responder.State, error) {
			return o.states[serial.String()], o.err
		},
		Now: func() time.Time { return o.now },
	}
	if delegate != nil {
		cfg.Signer, cfg.Certificate = delegate.Key, delegate.Cert
	}
	h, err := responder.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	o.server = httptest.NewServer(h)
	t.Cleanup(o.server.Close)
	return o
}

func (o *office) issue(t *testing.T, s responder.State) *mint.Leaf {
	t.Helper()
	leaf := issue(t, o.authority, mint.Request{OCSPServer: []string{o.server.URL}})
	o.states[leaf.Cert.SerialNumber.String()] = s
	return leaf
}

func authority(t *testing.T) *mint.Authority {
	t.Helper()
	a, err := mint.NewAuthority("Office")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *mint.Authority, req mint.Request) *mint.Leaf {
	t.Helper()
	leaf, err := a.Issue(req)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func delegateOf(t *testing.T, a *mint.Authority) *mint.Leaf {
	t.Helper()
	return issue(t, a, mint.Request{
		Subject: pkix.Name{CommonName: "Delegate"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
	})
}

// send makes one request and returns its body and header.
func send(t *testing.T, method, url string, body []byte) ([]byte, *http.Response) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	der, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return der, reply
}

func request(t *testing.T, leaf, issuer *x509.Certificate, h crypto.Hash) []byte {
	t.Helper()
	der, err := wire.CreateRequest(leaf, issuer, &wire.RequestOptions{Hash: h})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Our own client, which believes little, believes each answer.
func TestAnswers(t *testing.T) {
	a := authority(t)
	for name, delegate := range map[string]*mint.Leaf{"issuer": nil, "delegate": delegateOf(t, a)} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, delegate, a)
			c, err := ocsp.New(ocsp.Config{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, want := range []struct {
				state  responder.State
				answer ocsp.Answer
			}{
				{responder.State{Status: responder.Good}, ocsp.Answer{Status: ocsp.Good}},
				{responder.State{}, ocsp.Answer{Status: ocsp.Unknown}},
				{responder.State{Status: responder.Revoked, RevokedAt: at, Reason: 1}, ocsp.Answer{Status: ocsp.Revoked, RevokedAt: at}},
				{responder.State{Status: responder.Revoked, RevokedAt: at, Reason: 6}, ocsp.Answer{Status: ocsp.Revoked, RevokedAt: at, Hold: true}},
			} {
				got := c.Check(t.Context(), ocsp.Question{Leaf: o.issue(t, want.state).Cert, Issuer: a.Cert})
				if got.Status != want.answer.Status || got.Hold != want.answer.Hold || !got.RevokedAt.Equal(want.answer.RevokedAt) {
					t.Errorf("%+v: %+v", want.state, got)
				}
				if got.NextUpdate.Sub(got.ThisUpdate) != time.Hour {
					t.Errorf("from %v to %v, want an hour", got.ThisUpdate, got.NextUpdate)
				}
			}
		})
	}
}

// GET and POST give the same, by each hash, and a GET may be cached.
func TestMethods(t *testing.T) {
	o := newOffice(t, nil, authority(t))
	leaf := o.issue(t, responder.State{Status: responder.Good})
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		der := request(t, leaf.Cert, o.authority.Cert, h)
		encoded := base64.StdEncoding.EncodeToString(der)
		for method, target := range map[string]string{"escaped": url.PathEscape(encoded), "plain": encoded} {
			reply, response := send(t, http.MethodGet, o.server.URL+"/"+target, nil)
			if r, err := wire.ParseResponseForCert(reply, leaf.Cert, o.authority.Cert); err != nil || r.Status != wire.Good || r.IssuerHash != h {
				t.Errorf("GET %s by %v: %v, %v", method, h, r, err)
			}
			want := "max-age=3600, public, no-transform, must-revalidate"
			if got := response.Header.Get("Cache-Control"); got != want {
				t.Errorf("GET: Cache-Control %q, want %q", got, want)
			}
		}
		reply, response := send(t, http.MethodPost, o.server.URL, der)
		if r, err := wire.ParseResponseForCert(reply, leaf.Cert, o.authority.Cert); err != nil || r.Status != wire.Good {
			t.Errorf("POST by %v: %v, %v", h, r, err)
		}
		if got := response.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("POST: Cache-Control %q", got)
		}
	}
}

func TestRefusals(t *testing.T) {
	o := newOffice(t, nil, authority(t))
	leaf := o.issue(t, responder.State{Status: responder.Good})
	ours := request(t, leaf.Cert, o.authority.Cert, crypto.SHA1)
	cases := []struct {
		name, method, path string
		body               []byte
		want               []byte
	}{
		{"another issuer", http.MethodPost, "/", request(t, leaf.Cert, authority(t).Cert, crypto.SHA256), wire.UnauthorizedErrorResponse},
		{"nothing", http.MethodPost, "/", nil, wire.MalformedRequestErrorResponse},
		{"garbage", http.MethodPost, "/", []byte("hello"), wire.MalformedRequestErrorResponse},
		{"more than a request", http.MethodPost, "/", append(bytes.Clone(ours), 0), wire.MalformedRequestErrorResponse},
		{"endless", http.MethodPost, "/", bytes.Repeat(ours, 1000), wire.MalformedRequestErrorResponse},
		{"two certificates", http.MethodPost, "/", twice(t, ours), wire.MalformedRequestErrorResponse},
		{"no path", http.MethodGet, "/", nil, wire.MalformedRequestErrorResponse},
		{"no base64", http.MethodGet, "/favicon.ico", nil, wire.MalformedRequestErrorResponse},
		{"endless path", http.MethodGet, "/" + strings.Repeat("A", 8<<10), nil, wire.MalformedRequestErrorResponse},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, reply := send(t, c.method, o.server.URL+c.path, c.body)
			if !bytes.Equal(got, c.want) || reply.StatusCode != http.StatusOK {
				t.Errorf("HTTP %d %x, want %x", reply.StatusCode, got, c.want)
			}
		})
	}
	if _, reply := send(t, http.MethodPut, o.server.URL, ours); reply.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("PUT: HTTP %d", reply.StatusCode)
	}
	o.err = errors.New("registry gone")
	if got, _ := send(t, http.MethodPost, o.server.URL, ours); !bytes.Equal(got, wire.InternalErrorErrorResponse) {
		t.Errorf("status not found out: %x", got)
	}
	o.err = nil
	o.states[leaf.Cert.SerialNumber.String()] = responder.State{Status: 9}
	if got, _ := send(t, http.MethodPost, o.server.URL, ours); !bytes.Equal(got, wire.InternalErrorErrorResponse) {
		t.Errorf("a status that is none: %x", got)
	}
}

// twice returns a request that asks about its certificate two times.
func twice(t *testing.T, der []byte) []byte {
	t.Helper()
	var one struct {
		TBS struct{ List []asn1.RawValue }
	}
	if _, err := asn1.Unmarshal(der, &one); err != nil {
		t.Fatal(err)
	}
	one.TBS.List = append(one.TBS.List, one.TBS.List[0])
	two, err := asn1.Marshal(one)
	if err != nil {
		t.Fatal(err)
	}
	return two
}

func TestNewRefuses(t *testing.T) {
	a, other := authority(t), authority(t)
	status := func(context.Context, *big.Int) (responder.State, error) { return responder.State{}, nil }
	delegate, plain, foreign := delegateOf(t, a), issue(t, a, mint.Request{}), delegateOf(t, other)
	_, edKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	ed, err := mint.SelfSigned(mint.Request{Key: edKey})
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]responder.Config{
		"nothing":                {},
		"no status":              {Issuer: a.Cert, Signer: a.Key},
		"another's key":          {Issuer: a.Cert, Signer: other.Key, Status: status},
		"not the delegate's key": {Issuer: a.Cert, Signer: a.Key, Certificate: delegate.Cert, Status: status},
		"no delegate":            {Issuer: a.Cert, Signer: plain.Key, Certificate: plain.Cert, Status: status},
		"another's delegate":     {Issuer: a.Cert, Signer: foreign.Key, Certificate: foreign.Cert, Status: status},
		"Ed25519":                {Issuer: ed.Cert, Signer: ed.Key, Status: status},
		"negative validity":      {Issuer: a.Cert, Signer: a.Key, Status: status, Validity: -1},
	} {
		if _, err := responder.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// OpenSSL's client verifies the answers too, and misses no nonce.
func TestOpenSSLClient(t *testing.T) {
	a := authority(t)
	for name, delegate := range map[string]*mint.Leaf{"issuer": nil, "delegate": delegateOf(t, a)} {
		o := newOffice(t, delegate, a)
		for want, state := range map[string]responder.State{
			"good": {Status: responder.Good}, "revoked": {Status: responder.Revoked, RevokedAt: at, Reason: 1}, "unknown": {},
		} {
			t.Run(name+"/"+want, func(t *testing.T) {
				dir := t.TempDir()
				leaf, ca := filepath.Join(dir, "leaf.pem"), filepath.Join(dir, "ca.pem")
				if err := errors.Join(
					os.WriteFile(leaf, o.issue(t, state).CertPEM(), 0o600), os.WriteFile(ca, a.CertPEM(), 0o600),
				); err != nil {
					t.Fatal(err)
				}
				out, err := exec.Command("openssl", "ocsp", "-issuer", ca, "-CAfile", ca, "-cert", leaf, "-url", o.server.URL).CombinedOutput()
				if err != nil || !strings.Contains(string(out), "Response verify OK") || !strings.Contains(string(out), leaf+": "+want) ||
					strings.Contains(string(out), "no nonce") {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}
