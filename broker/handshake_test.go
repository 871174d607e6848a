package broker_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/internal/mint"
)

// TestHandshakeCauses has each cause remembered, by the words of this crypto/tls:
// it has no types for them.
func TestHandshakeCauses(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	l := f.registered("sensor", "all")
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	for name, tc := range map[string]struct {
		reason muster.Reason
		cause  admission.Cause
		says   string
		edit   func(*tls.Config)
	}{
		"TLS 1.0": {muster.ReasonHandshakeFailed, admission.CauseVersion, "TLS 1.0 at most", func(c *tls.Config) {
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
		}},
		"no suite": {muster.ReasonHandshakeFailed, admission.CauseCipher, "cipher suite", func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		}},
		"another protocol": {muster.ReasonHandshakeFailed, admission.CauseProtocol, `"h2"`, func(c *tls.Config) {
			c.NextProtos = []string{"h2", "http/1.1"}
		}},
		"no certificate by TLS 1.3": {muster.ReasonNoCertificate, admission.CauseNoCertificate, "no certificate", func(c *tls.Config) {
			c.Certificates = nil
		}},
		"no certificate by TLS 1.2": {muster.ReasonNoCertificate, admission.CauseNoCertificate, "no certificate", func(c *tls.Config) {
			c.Certificates, c.MaxVersion = nil, tls.VersionTLS12
		}},
		"another key": {muster.ReasonHandshakeFailed, admission.CauseKey, "another key", func(c *tls.Config) {
			c.Certificates[0].PrivateKey = stranger
		}},
		"another kind of key": {muster.ReasonHandshakeFailed, admission.CauseKey, "", func(c *tls.Config) {
			c.Certificates[0].PrivateKey = curve
		}},
		"an unknown server": {muster.ReasonHandshakeFailed, admission.CauseDistrust, "does not accept the server's certificate", func(c *tls.Config) {
			c.RootCAs = x509.NewCertPool()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			counted := f.seen.count("handshake " + string(tc.reason))
			c := &tls.Config{RootCAs: f.roots, ServerName: "localhost",
				Certificates: []tls.Certificate{{Certificate: [][]byte{l.Cert.Raw}, PrivateKey: l.Key}}}
			tc.edit(c)
			conn, err := tls.Dial("tcp", f.address, c)
			if err == nil { // TLS 1.3 tells a client only when it reads
				_, err = conn.Read(make([]byte, 1))
				_ = conn.Close()
			}
			if err == nil {
				t.Error("the handshake succeeded")
			}
			f.seen.wait(t, "handshake "+string(tc.reason), func(n int) bool { return n == counted+1 })
			f.remembered(t, tc.reason, tc.cause, tc.says)
		})
	}
}

// remembered demands that the latest refusal is this, of nobody's certificate.
func (f *fixture) remembered(t *testing.T, reason muster.Reason, cause admission.Cause, says string) {
	t.Helper()
	r := f.memory.Recent(1)[0]
	var facts admission.Facts
	must(t, json.Unmarshal(r.Facts, &facts))
	if r.Reason != reason || facts.Cause != cause || !strings.Contains(r.Detail, says) || r.CertificateID != "" {
		t.Errorf("remembered %s %s %q", r.Reason, facts.Cause, r.Detail)
	}
	if admission.Mend(r.Reason, facts) == admission.Mend(r.Reason, admission.Facts{}) {
		t.Errorf("%s has no mend of its own", cause)
	}
}

// TestLongGreetings: what a stranger says in its ClientHello, and shows as its
// certificate, is told and remembered at a bounded length.
func TestLongGreetings(t *testing.T) {
	lines := make(logLines, 8)
	f := newFixture(t, options{broker: func(c *broker.Config) { c.Log = zerolog.New(lines) }})
	stranger, err := mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: "stranger", Organization: manyNames(5000)}})
	must(t, err)
	for reason, protocols := range map[muster.Reason][]string{
		muster.ReasonHandshakeFailed: manyNames(5000),
		muster.ReasonUntrustedIssuer: nil,
	} {
		c := &tls.Config{InsecureSkipVerify: true, ServerName: strings.Repeat("\x01", 30_000), NextProtos: protocols,
			Certificates: []tls.Certificate{stranger.TLS()}}
		if conn, err := tls.Dial("tcp", f.address, c); err == nil {
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
		if n := len(<-lines); n > 8<<10 {
			t.Errorf("%s: a line of %d bytes in the log", reason, n)
		}
		if r := f.memory.Recent(1)[0]; r.Reason != reason || len(r.Facts)+len(r.Detail) > 8<<10 {
			t.Errorf("%s: remembered are %d bytes of facts and %d of %s", reason, len(r.Facts), len(r.Detail), r.Reason)
		}
	}
}

// logLines passes on what is logged.
type logLines chan string

func (l logLines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func manyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%05d", i)
	}
	return names
}

// TestNoTLS remembers who speaks something else, and who says nothing.
func TestNoTLS(t *testing.T) {
	f := newFixture(t, options{})
	for name, tc := range map[string]struct {
		bytes string
		cause admission.Cause
		says  string
	}{
		"MQTT":    {"\x10\x0E\x00\x04MQTT\x04\x02\x00\x3C\x00\x02ab", admission.CauseNotTLS, "look like MQTT"},
		"HTTP":    {"GET / HTTP/1.1\r\n\r\n", admission.CauseNotTLS, "look like HTTP"},
		"neither": {"SSH-2.0-x\r\n", admission.CauseNotTLS, "no TLS"},
		"nothing": {"", admission.CauseLeft, "closed the connection"},
		"little":  {"\x16\x03", admission.CauseLeft, "closed the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			counted := f.seen.count("handshake handshake_failed")
			conn, err := net.Dial("tcp", f.address)
			must(t, err)
			_, err = io.WriteString(conn, tc.bytes)
			must(t, err)
			if tc.cause == admission.CauseLeft {
				must(t, conn.Close())
			}
			f.seen.wait(t, "handshake handshake_failed", func(n int) bool { return n == counted+1 })
			f.remembered(t, muster.ReasonHandshakeFailed, tc.cause, tc.says)
			_ = conn.Close()
		})
	}
}

// TestStrangerIsLocated: the check in the handshake does not know the address.
func TestStrangerIsLocated(t *testing.T) {
	f := newFixture(t, options{})
	a, err := mint.NewAuthority("garage")
	must(t, err)
	l := f.leaf(a, "stranger")
	if conn, err := f.dial(l); err == nil {
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	f.seen.wait(t, "handshake untrusted_issuer", func(n int) bool { return n == 1 })
	if r := f.memory.Recall(id(l)); len(r) != 1 || !strings.HasPrefix(r[0].Remote, "127.0.0.1:") {
		t.Errorf("remembered: %+v", r)
	}
}
