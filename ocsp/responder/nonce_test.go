package responder_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"

	wire "golang.org/x/crypto/ocsp"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
	"github.com/muster-mqtt/muster/ocsp/responder"
)

// withExtensions adds extensions to a request that has none.
func withExtensions(t testing.TB, der []byte, extensions ...pkix.Extension) []byte {
	t.Helper()
	var request struct {
		TBS struct {
			List       []asn1.RawValue
			Extensions []pkix.Extension `asn1:"explicit,tag:2,optional"`
		}
	}
	if _, err := asn1.Unmarshal(der, &request); err != nil {
		t.Fatal(err)
	}
	request.TBS.Extensions = extensions
	der, err := asn1.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func nonce(t testing.TB, size int) pkix.Extension {
	t.Helper()
	e, err := testpki.Nonce(bytes.Repeat([]byte{7}, size))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Our own client has its nonce back, over HTTPS, whatever signs.
func TestNonce(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate, root := testpki.ServerCertificate(t)
	for name, key := range map[string]crypto.Signer{"P-256": nil, "P-384": p384, "RSA": rsaKey} {
		t.Run(name, func(t *testing.T) {
			issued := issue(t, authority(t), mint.Request{Subject: pkix.Name{CommonName: name}, IsCA: true, Key: key})
			o := newOffice(t, nil, &mint.Authority{Cert: issued.Cert, Key: issued.Key})
			server := httptest.NewUnstartedServer(o.server.Config.Handler)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
			server.StartTLS()
			defer server.Close()
			c, err := ocsp.New(ocsp.Config{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			a := c.Check(t.Context(), ocsp.Question{
				Leaf: o.issue(t, responder.State{Status: responder.Good}).Cert, Issuer: issued.Cert,
				Settings: muster.OCSPSettings{Responder: server.URL, ResponderCA: root, Nonce: muster.OCSPNonceRequired},
			})
			if a.Status != ocsp.Good {
				t.Errorf("%+v", a)
			}
		})
	}
}

// Nonces of any possible length are given back, by GET too, where nobody may
// keep the answer; impossible ones make the request malformed.
func TestNonceLengths(t *testing.T) {
	o := newOffice(t, nil, authority(t))
	leaf := o.issue(t, responder.State{Status: responder.Good})
	plain := request(t, leaf.Cert, o.authority.Cert, crypto.SHA1)
	for _, size := range []int{1, 32, 128} {
		e := nonce(t, size)
		der := withExtensions(t, plain, e)
		byPost, _ := send(t, http.MethodPost, o.server.URL, der)
		byGet, reply := send(t, http.MethodGet, o.server.URL+"/"+url.PathEscape(base64.StdEncoding.EncodeToString(der)), nil)
		for _, got := range [][]byte{byPost, byGet} {
			if r, err := wire.ParseResponseForCert(got, leaf.Cert, o.authority.Cert); err != nil || r.Status != wire.Good {
				t.Errorf("%d octets: %+v, %v", size, r, err)
			}
			if !bytes.Contains(got, e.Value) {
				t.Errorf("%d octets: not given back", size)
			}
		}
		if got := reply.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%d octets: Cache-Control %q", size, got)
		}
	}
	bare, odd := nonce(t, 32), nonce(t, 32)
	bare.Value = bytes.Repeat([]byte{7}, 32)
	odd.Id, odd.Critical = asn1.ObjectIdentifier{1, 2, 3}, true
	for name, extensions := range map[string][]pkix.Extension{
		"no octets": {nonce(t, 0)}, "129 octets": {nonce(t, 129)}, "two": {nonce(t, 32), nonce(t, 32)},
		"bare": {bare}, "unknown critical extension": {odd},
	} {
		got, _ := send(t, http.MethodPost, o.server.URL, withExtensions(t, plain, extensions...))
		if !bytes.Equal(got, wire.MalformedRequestErrorResponse) {
			t.Errorf("%s: %x", name, got)
		}
	}
}
