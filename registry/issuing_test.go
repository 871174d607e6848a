package registry_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"testing"

	"github.com/muster-mqtt/muster"
)

// csr is a request for a key; nil has one made.
func csr(tb testing.TB, key crypto.Signer, template x509.CertificateRequest) string {
	tb.Helper()
	if key == nil {
		made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		key = made
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// issue makes a certificate by a request.
func (f *fixture) issue(name string, status muster.Status) muster.Certificate {
	f.Helper()
	request := csr(f, nil, x509.CertificateRequest{Subject: pkix.Name{CommonName: name}})
	return must(f.IssueCertificate(f.Context(), muster.Issuance{Account: account, CSR: request, Status: status}))(f).Certificate
}
