package mint

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
)

// Leaf is a certificate with its key and those that vouch for it.
type Leaf struct {
	Cert  *x509.Certificate
	Key   crypto.Signer
	Chain []*x509.Certificate // the issuer, then its issuers up to the root; none when self-signed
}

// TLS returns the leaf, its key and its chain as crypto/tls wants them.
func (l *Leaf) TLS() tls.Certificate {
	raw := [][]byte{l.Cert.Raw}
	for _, c := range l.Chain {
		raw = append(raw, c.Raw)
	}
	return tls.Certificate{Certificate: raw, PrivateKey: l.Key, Leaf: l.Cert}
}

// CertPEM returns the certificate alone.
func (l *Leaf) CertPEM() []byte { return CertPEM(l.Cert) }

// ChainPEM returns the certificate followed by its chain.
func (l *Leaf) ChainPEM() []byte {
	var b bytes.Buffer
	b.Write(CertPEM(l.Cert))
	for _, c := range l.Chain {
		b.Write(CertPEM(c))
	}
	return b.Bytes()
}

// KeyPEM returns the key as PKCS#8, or nil if it was given as a signer that
// does not part with its key.
func (l *Leaf) KeyPEM() []byte { return keyPEM(l.Key) }

// CertPEM returns the authority's certificate.
func (a *Authority) CertPEM() []byte { return CertPEM(a.Cert) }

// KeyPEM returns the authority's key as PKCS#8, or nil if it was given as a
// signer that does not part with its key.
func (a *Authority) KeyPEM() []byte { return keyPEM(a.Key) }

// CertPEM encodes one certificate.
func CertPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func keyPEM(key crypto.Signer) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
