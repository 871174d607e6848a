package ocsp_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
)

// newTLSBench is newBench with a responder that speaks HTTPS, which the
// device's certificate does not name.
func newTLSBench(t *testing.T) *bench {
	t.Helper()
	r, c := testpki.NewTLSResponder(t), newClock()
	r.Now = c.Now
	return &bench{
		Responder: r, clock: c, leaf: r.Issue(t, mint.Request{OCSPServer: []string{}}),
		cfg: ocsp.Config{Now: c.Now, AllowPrivate: loopback},
	}
}

// The responder of the settings is asked, and no other.
func TestResponderOverride(t *testing.T) {
	b, named := newBench(t), testpki.NewResponder(t)
	b.leaf = b.Issue(t, mint.Request{OCSPServer: []string{named.URL}})
	silent := b.Issue(t, mint.Request{OCSPServer: []string{}})
	c := b.client(t)
	settings := muster.OCSPSettings{Responder: b.URL}
	if a := b.ask(t, c, settings); a.Status != ocsp.Good || a.Responder != b.URL {
		t.Errorf("another responder: %+v", a)
	}
	if got := named.Requests(); got != 0 {
		t.Errorf("%d requests to the responder that the certificate names", got)
	}
	q := ocsp.Question{Leaf: silent.Cert, Issuer: b.Authority.Cert}
	if a := c.Check(t.Context(), q); a.Status != ocsp.NoURL {
		t.Errorf("no responder: %+v", a)
	}
	q.Settings = settings
	if a := c.Check(t.Context(), q); a.Status != ocsp.Good {
		t.Errorf("no responder but that of the settings: %+v", a)
	}
}

func TestSettingsRefused(t *testing.T) {
	b := newBench(t)
	c := b.client(t)
	root := string(b.Authority.CertPEM())
	key := string(b.Authority.KeyPEM())
	cases := []struct {
		name     string
		settings muster.OCSPSettings
		detail   string
	}{
		{"no URL", muster.OCSPSettings{Responder: "ocsp.example.com"}, "no http or https URL"},
		{"another scheme", muster.OCSPSettings{Responder: "ldap://ocsp.example.com/"}, "no http or https URL"},
		{"no host", muster.OCSPSettings{Responder: "http:///ocsp"}, "no http or https URL"},
		{"no roots", muster.OCSPSettings{ResponderCA: "/etc/ssl/ca.pem"}, "no PEM block"},
		{"a key", muster.OCSPSettings{ResponderCA: root + key}, "block 2 is a"},
		{"a broken root", muster.OCSPSettings{ResponderCA: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "certificate 1"},
		{"half a root", muster.OCSPSettings{ResponderCA: root + root[:200]}, "after the last certificate"},
	}
	for _, k := range cases {
		if a := b.ask(t, c, k.settings); a.Status != ocsp.Unavailable || a.Fault != ocsp.FaultSettings || !strings.Contains(a.Detail, k.detail) {
			t.Errorf("%s: %+v, want %q", k.name, a, k.detail)
		}
	}
	if got := b.Requests(); got != 0 {
		t.Errorf("%d requests", got)
	}
	if a := b.ask(t, c, muster.OCSPSettings{ResponderCA: "# ours\n" + root + "\n" + root}); a.Status != ocsp.Good {
		t.Errorf("text before a root: %+v", a)
	}
}

func TestHTTPS(t *testing.T) {
	b := newTLSBench(t)
	stranger, err := mint.NewAuthority("Private root") // the same name, another key
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := stranger.Issue(mint.Request{
		DNSNames: []string{"ocsp.example.com"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		t.Fatal(err)
	}
	here, err := stranger.Issue(mint.Request{
		IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		t.Fatal(err)
	}
	other := httptest.NewUnstartedServer(b.Responder)
	other.Config.ErrorLog = log.New(io.Discard, "", 0)
	other.TLS = &tls.Config{Certificates: []tls.Certificate{elsewhere.TLS()}}
	other.StartTLS()
	defer other.Close()
	picky := httptest.NewUnstartedServer(b.Responder)
	picky.Config.ErrorLog = other.Config.ErrorLog
	picky.TLS = &tls.Config{Certificates: []tls.Certificate{here.TLS()}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}
	picky.StartTLS()
	defer picky.Close()
	byName := strings.Replace(b.URL, "127.0.0.1", "localhost", 1)
	plain := testpki.NewResponder(t)
	cases := []struct {
		name, url, roots string
		want             ocsp.Fault
	}{
		{"by address", b.URL, b.RootPEM, ""},
		{"by name", byName, b.RootPEM, ""},
		{"one root of two", b.URL, string(stranger.CertPEM()) + b.RootPEM, ""},
		{"the system's roots", b.URL, "", ocsp.FaultTLS},
		{"another root", b.URL, string(stranger.CertPEM()), ocsp.FaultTLS},
		{"a name that it is not for", other.URL, string(stranger.CertPEM()), ocsp.FaultTLS},
		{"it ends TLS", picky.URL, string(stranger.CertPEM()), ocsp.FaultTLS},
		{"no TLS", strings.Replace(plain.URL, "http", "https", 1), b.RootPEM, ocsp.FaultTLS},
		{"TLS unasked", strings.Replace(b.URL, "https", "http", 1), b.RootPEM, ocsp.FaultHTTPStatus},
	}
	c := b.client(t)
	for _, k := range cases {
		b.leaf = b.Issue(t, mint.Request{OCSPServer: []string{}})
		a := b.ask(t, c, muster.OCSPSettings{Responder: k.url, ResponderCA: k.roots})
		if a.Fault != k.want || (a.Status == ocsp.Good) != (k.want == "") {
			t.Errorf("%s: %+v, want the fault %q", k.name, a, k.want)
		}
	}
	b.leaf = b.Issue(t, mint.Request{OCSPServer: []string{}})
	b.cfg.Roots = x509.NewCertPool()
	b.cfg.Roots.AppendCertsFromPEM([]byte(b.RootPEM))
	if a := b.ask(t, b.client(t), muster.OCSPSettings{Responder: b.URL}); a.Status != ocsp.Good {
		t.Errorf("roots of the Config: %+v", a)
	}
}

// The guard holds for the responders of the settings, and redirects are not
// followed there either.
func TestOverrideIsGuarded(t *testing.T) {
	b := newTLSBench(t)
	b.cfg.AllowPrivate = nil
	settings := muster.OCSPSettings{Responder: b.URL, ResponderCA: b.RootPEM}
	if a := b.ask(t, b.client(t), settings); a.Fault != ocsp.FaultForbidden {
		t.Errorf("a private address: %+v", a)
	}
	b.cfg.AllowPrivate = loopback
	b.Fail(testpki.Redirect)
	if a := b.ask(t, b.client(t), settings); a.Fault != ocsp.FaultRedirect {
		t.Errorf("a redirect: %+v", a)
	}
}

// A failure under one setting is none under another; what was signed holds
// under all.
func TestSettingsChange(t *testing.T) {
	b, dead := newBench(t), testpki.NewResponder(t)
	dead.Stop()
	c := b.client(t)
	old, mended := muster.OCSPSettings{Responder: dead.URL}, muster.OCSPSettings{Responder: b.URL}
	if a := b.ask(t, c, old); a.Fault != ocsp.FaultConnect {
		t.Fatalf("a dead responder: %+v", a)
	}
	if a := b.ask(t, c, mended); a.Status != ocsp.Good || known(a) {
		t.Errorf("mended at once: %+v", a)
	}
	if a := b.ask(t, c, old); a.Status != ocsp.Good || !known(a) {
		t.Errorf("changed back: %+v", a)
	}
	b.Fail(testpki.NoNonce)
	b.next(t)
	strict := mended
	strict.Nonce = muster.OCSPNonceRequired
	if a := b.ask(t, c, strict); a.Fault != ocsp.FaultNonce {
		t.Errorf("no nonce: %+v", a)
	}
	if a := b.ask(t, c, mended); a.Status != ocsp.Good || known(a) {
		t.Errorf("no nonce needed any more: %+v", a)
	}
	mended.Mode = muster.OCSPHard
	if a := b.ask(t, c, mended); a.Source != ocsp.SourceMemory {
		t.Errorf("another mode: %+v", a)
	}
}

// Two who ask by different settings at once do not share a flight.
func TestSettingsAtOnce(t *testing.T) {
	b, other := newBench(t), testpki.NewResponder(t)
	other.Fail(testpki.Garbage)
	release, open := b.Hold(), other.Hold()
	c := b.client(t)
	answers := make(chan ocsp.Answer, 2)
	for _, url := range []string{b.URL, other.URL} {
		go func() { answers <- b.ask(t, c, muster.OCSPSettings{Responder: url}) }()
	}
	open()
	if a := <-answers; a.Fault != ocsp.FaultMalformed {
		t.Errorf("by the other responder: %+v", a)
	}
	release()
	if a := <-answers; a.Status != ocsp.Good {
		t.Errorf("by the good one: %+v", a)
	}
}
