// Package mint makes throwaway authorities and certificates: the development
// root of muster init, the fleets of muster demo, and the certificates of the
// tests. Keys are fresh ECDSA P-256 keys that live in memory; nothing here is
// meant to guard a key that has to last, which is what package pca is for.
package mint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	authorityYears = 10
	leafYears      = 1
	// backdate is how far NotBefore lies in the past, so that a peer whose
	// clock is a little behind accepts what was just made.
	backdate = time.Hour
)

// Authority is a root or an intermediate that can sign.
type Authority struct {
	Cert *x509.Certificate
	Key  crypto.Signer

	issuers []*x509.Certificate // above Cert, nearest first; none for a root
}

// Request says what a certificate shall hold. Its zero value is a client
// certificate without a name, good for a year.
type Request struct {
	Subject     pkix.Name
	NotBefore   time.Time          // zero: an hour ago
	NotAfter    time.Time          // zero: in a year
	OCSPServer  []string           // URLs for the authority information access extension
	DNSNames    []string           // subject alternative names
	IPs         []net.IP           // subject alternative names
	ExtKeyUsage []x509.ExtKeyUsage // nil: clientAuth; empty but not nil: no such extension
	IsCA        bool               // basic constraints CA:TRUE, and the key usage to sign certificates
	Key         crypto.Signer      // nil: a fresh ECDSA P-256 key
	// Edit alters the template just before it is signed, for certificates that
	// no reasonable request describes.
	Edit func(*x509.Certificate)
}

// NewAuthority makes a self-signed root, good for ten years.
func NewAuthority(commonName string) (*Authority, error) {
	leaf, err := authorityRequest(commonName).signItself()
	if err != nil {
		return nil, fmt.Errorf("authority %q: %w", commonName, err)
	}
	return &Authority{Cert: leaf.Cert, Key: leaf.Key}, nil
}

// Intermediate makes an authority under this one, good for ten years.
func (a *Authority) Intermediate(commonName string) (*Authority, error) {
	leaf, err := a.Issue(authorityRequest(commonName))
	if err != nil {
		return nil, err
	}
	return &Authority{Cert: leaf.Cert, Key: leaf.Key, issuers: leaf.Chain}, nil
}

// Issue signs a certificate.
func (a *Authority) Issue(req Request) (*Leaf, error) {
	template, err := req.template()
	if err != nil {
		return nil, err
	}
	key, err := req.key()
	if err != nil {
		return nil, err
	}
	cert, err := sign(template, a.Cert, key.Public(), a.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %q: %w", req.Subject.CommonName, err)
	}
	chain := append([]*x509.Certificate{a.Cert}, a.issuers...)
	return &Leaf{Cert: cert, Key: key, Chain: chain}, nil
}

// Verification issues the certificate by which AWS IoT's
// RegisterCACertificate has the holder of an authority prove that it holds the
// key: its common name is the account's registration code.
func (a *Authority) Verification(registrationCode string) (*Leaf, error) {
	return a.Issue(Request{
		Subject:     pkix.Name{CommonName: registrationCode},
		ExtKeyUsage: []x509.ExtKeyUsage{},
	})
}

// SelfSigned makes a certificate that signed itself, as openssl req -x509
// does: it says CA:TRUE whatever req.IsCA is, and has neither key usage nor,
// unless asked for, extended key usage.
func SelfSigned(req Request) (*Leaf, error) {
	if req.ExtKeyUsage == nil {
		req.ExtKeyUsage = []x509.ExtKeyUsage{}
	}
	edit := req.Edit
	req.Edit = func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage = true, 0
		if edit != nil {
			edit(c)
		}
	}
	leaf, err := req.signItself()
	if err != nil {
		return nil, fmt.Errorf("self-signed certificate %q: %w", req.Subject.CommonName, err)
	}
	return leaf, nil
}

// signItself makes a certificate whose own key signs it.
func (req Request) signItself() (*Leaf, error) {
	template, err := req.template()
	if err != nil {
		return nil, err
	}
	key, err := req.key()
	if err != nil {
		return nil, err
	}
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &Leaf{Cert: cert, Key: key}, nil
}

func authorityRequest(commonName string) Request {
	return Request{
		Subject:     pkix.Name{CommonName: commonName},
		NotAfter:    time.Now().AddDate(authorityYears, 0, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{},
		IsCA:        true,
	}
}

func (r Request) key() (crypto.Signer, error) {
	if r.Key != nil {
		return r.Key, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("new key: %w", err)
	}
	return key, nil
}

func (r Request) template() (*x509.Certificate, error) {
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               r.Subject,
		NotBefore:             r.NotBefore,
		NotAfter:              r.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           r.ExtKeyUsage,
		BasicConstraintsValid: true,
		IsCA:                  r.IsCA,
		DNSNames:              r.DNSNames,
		IPAddresses:           r.IPs,
		OCSPServer:            r.OCSPServer,
	}
	if t.NotBefore.IsZero() {
		t.NotBefore = time.Now().Add(-backdate)
	}
	if t.NotAfter.IsZero() {
		t.NotAfter = time.Now().AddDate(leafYears, 0, 0)
	}
	if t.ExtKeyUsage == nil {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if t.IsCA {
		t.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	if r.Edit != nil {
		r.Edit(t)
	}
	return t, nil
}

// serialNumber returns 128 random bits of which the highest is 0 and the next
// is 1: positive, of constant length, and within the 20 octets of RFC 5280
// §4.1.2.2.
func serialNumber() (*big.Int, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:]), nil
}

func sign(template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
