package ocsp_test

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
)

// openssl is an `openssl ocsp` responder for one authority.
type openssl struct {
	authority *mint.Authority
	url       string
	leaves    map[string]*x509.Certificate // by status
}

// startOpenSSL runs a responder whose index has one certificate of each
// status. signer, if not nil, answers in the authority's place.
func startOpenSSL(t *testing.T, a *mint.Authority, signer *mint.Leaf, args ...string) *openssl {
	t.Helper()
	dir := t.TempDir()
	path := func(name string, content []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	o := &openssl{authority: a, leaves: map[string]*x509.Certificate{}}
	var index strings.Builder
	for _, status := range []string{"good", "revoked", "hold", "unknown"} {
		leaf, err := a.Issue(mint.Request{Subject: pkix.Name{CommonName: status}})
		if err != nil {
			t.Fatal(err)
		}
		o.leaves[status] = leaf.Cert
		index.WriteString(indexLine(status, leaf.Cert))
	}
	if signer == nil {
		signer = &mint.Leaf{Cert: a.Cert, Key: a.Key}
	}
	cmd := exec.Command("openssl", append([]string{
		"ocsp", "-port", "0", "-index", path("index.txt", []byte(index.String())), "-CA", path("ca.pem", a.CertPEM()),
		"-rsigner", path("signer.pem", signer.CertPEM()), "-rkey", path("signer.key", signer.KeyPEM()),
	}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("openssl is needed: %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	// "ACCEPT [::]:40123 PID=77": a probe by TCP would hang it.
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("openssl ocsp did not start: %v", err)
	}
	address := strings.Fields(line)[1]
	o.url = "http://127.0.0.1" + address[strings.LastIndexByte(address, ':'):]
	return o
}

// indexLine is a line of the text database of openssl ca.
func indexLine(status string, c *x509.Certificate) string {
	const form = "060102150405Z"
	flag, revoked := "V", ""
	at := time.Now().Add(-time.Hour).UTC().Format(form)
	switch status {
	case "revoked":
		flag, revoked = "R", at+",keyCompromise"
	case "hold":
		flag, revoked = "R", at+",holdInstruction,1.2.840.10040.2.1"
	case "unknown":
		return ""
	}
	return fmt.Sprintf("%s\t%s\t%s\t%X\tunknown\t/CN=%s\n", flag, c.NotAfter.UTC().Format(form), revoked, c.SerialNumber, status)
}

// expect checks one certificate of each status.
func (o *openssl) expect(t *testing.T, want map[string]ocsp.Answer) {
	t.Helper()
	o.expectBy(t, muster.OCSPSettings{}, "GET", want)
}

// expectBy does so by those settings, and expects to be asked by that method.
func (o *openssl) expectBy(t *testing.T, settings muster.OCSPSettings, method string, want map[string]ocsp.Answer) {
	t.Helper()
	c, err := ocsp.New(ocsp.Config{AllowPrivate: loopback, Observe: func(e ocsp.Event) {
		if e.Kind == ocsp.EventAsked && e.Status != ocsp.Unavailable && e.Method != method {
			t.Errorf("asked by %s, want %s", e.Method, method)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for status, w := range want {
		leaf := *o.leaves[status]
		leaf.OCSPServer = []string{o.url}
		a := c.Check(t.Context(), ocsp.Question{Leaf: &leaf, Issuer: o.authority.Cert, Settings: settings})
		if a.Status != w.Status || a.Hold != w.Hold {
			t.Errorf("%s: %+v", status, a)
		}
		if a.Status == ocsp.Unavailable && !strings.Contains(a.Detail, w.Detail) {
			t.Errorf("%s: %q, want %q", status, a.Detail, w.Detail)
		}
	}
}

var truth = map[string]ocsp.Answer{
	"good":    {Status: ocsp.Good},
	"revoked": {Status: ocsp.Revoked},
	"hold":    {Status: ocsp.Revoked, Hold: true},
	"unknown": {Status: ocsp.Unknown},
}

func refusal(detail string) map[string]ocsp.Answer {
	all := map[string]ocsp.Answer{}
	for status := range truth {
		all[status] = ocsp.Answer{Status: ocsp.Unavailable, Detail: detail}
	}
	return all
}

func TestOpenSSL(t *testing.T) {
	cases := []struct {
		name string
		args []string
		want map[string]ocsp.Answer
	}{
		{"with nextUpdate", []string{"-nmin", "5"}, truth},
		{"without nextUpdate", nil, truth},
		{"responder by key", []string{"-resp_key_id"}, truth},
		{"nothing embedded", []string{"-resp_no_certs"}, truth},
		{"SHA-512 signature", []string{"-rmd", "sha512"}, truth},
		{"SHA-1 signature", []string{"-rmd", "sha1"}, refusal("signature algorithm")},
		{"broken signature", []string{"-badsig"}, refusal("its signature is not by")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			startOpenSSL(t, newParty(t).authority, nil, c.args...).expect(t, c.want)
		})
	}
}

func TestOpenSSLDelegate(t *testing.T) {
	cases := []struct {
		name string
		req  mint.Request
		want map[string]ocsp.Answer
	}{
		{"proper", mint.Request{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}, truth},
		{"without OCSPSigning", mint.Request{}, refusal("lacks the extended key usage OCSPSigning")},
		{"expired", mint.Request{
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
			NotBefore:   time.Now().AddDate(0, -1, 0), NotAfter: time.Now().AddDate(0, 0, -1),
		}, refusal("expired at")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := newParty(t).authority
			c.req.Subject = pkix.Name{CommonName: "OCSP delegate"}
			delegate, err := a.Issue(c.req)
			if err != nil {
				t.Fatal(err)
			}
			startOpenSSL(t, a, delegate, "-nmin", "5").expect(t, c.want)
		})
	}
}

func TestOpenSSLRSA(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := newParty(t).authority.Issue(mint.Request{Subject: pkix.Name{CommonName: "RSA"}, IsCA: true, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	a := &mint.Authority{Cert: issued.Cert, Key: key}
	startOpenSSL(t, a, nil, "-nmin", "5").expect(t, truth)
}

// tlsProxy speaks TLS for the responder, and returns the settings to ask it
// by: its address and the private root of its certificate.
func (o *openssl) tlsProxy(t *testing.T) muster.OCSPSettings {
	t.Helper()
	certificate, root := testpki.ServerCertificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	var pipes sync.WaitGroup
	pipes.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			pipes.Go(func() { splice(from, strings.TrimPrefix(o.url, "http://")) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		pipes.Wait()
	})
	return muster.OCSPSettings{Responder: "https://" + l.Addr().String(), ResponderCA: root}
}

// splice carries bytes both ways until one side has enough.
func splice(from net.Conn, address string) {
	defer from.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		io.Copy(to, from)
		to.Close()
	}()
	io.Copy(from, to)
}

// HTTPS with a private root, by GET, by POST and with each use of a nonce.
func TestOpenSSLBehindTLS(t *testing.T) {
	o := startOpenSSL(t, newParty(t).authority, nil, "-nmin", "5")
	settings := o.tlsProxy(t)
	for mode, method := range map[muster.OCSPNonce]string{
		muster.OCSPNonceOff: "GET", muster.OCSPNonceOptional: "POST", muster.OCSPNonceRequired: "POST",
	} {
		t.Run(string(mode), func(t *testing.T) {
			settings := settings
			settings.Nonce = mode
			o.expectBy(t, settings, method, truth)
		})
	}
	t.Run("POST without a nonce", func(t *testing.T) {
		settings := settings
		settings.Responder += "/?by=POST"
		o.expectBy(t, settings, "POST", truth)
	})
	t.Run("the system's roots", func(t *testing.T) {
		o.expectBy(t, muster.OCSPSettings{Responder: settings.Responder}, "", refusal("certificate"))
	})
}

// An answer that openssl's client fetched for the device counts as brought,
// whatever nonce that had sent.
func TestOpenSSLBrought(t *testing.T) {
	o := startOpenSSL(t, newParty(t).authority, nil, "-nmin", "5")
	dir := t.TempDir()
	ca, leaf, out := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "leaf.pem"), filepath.Join(dir, "answer.der")
	for status, want := range map[string]ocsp.Status{"good": ocsp.Good, "revoked": ocsp.Revoked} {
		if err := errors.Join(
			os.WriteFile(ca, o.authority.CertPEM(), 0o600), os.WriteFile(leaf, mint.CertPEM(o.leaves[status]), 0o600),
		); err != nil {
			t.Fatal(err)
		}
		text, err := exec.Command("openssl", "ocsp", "-issuer", ca, "-noverify", "-cert", leaf, "-url", o.url, "-respout", out).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		der, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ocsp.New(ocsp.Config{})
		if err != nil {
			t.Fatal(err)
		}
		a := c.Check(t.Context(), ocsp.Question{Leaf: o.leaves[status], Issuer: o.authority.Cert, Brought: der, Offline: true})
		c.Close()
		if a.Status != want || a.Source != ocsp.SourceBrought {
			t.Errorf("%s: %+v", status, a)
		}
	}
}
