package muster

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
)

// minRSABits is the least RSA modulus that is accepted, as in AWS IoT.
const minRSABits = 2048

// Weakness says in one phrase why a certificate's key or signature is too weak
// to be relied on, or returns "". Accepted are RSA keys of 2,048 bits or more,
// ECDSA on P-256, P-384 and P-521, and Ed25519, signed with SHA-256 or better.
func Weakness(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits {
			return fmt.Sprintf("its RSA key has %d bits, fewer than %d", bits, minRSABits)
		}
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits < 256 {
			return fmt.Sprintf("its ECDSA key is on a curve of %d bits, fewer than 256", bits)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Sprintf("its public key algorithm %v is not supported", c.PublicKeyAlgorithm)
	}
	return weakSignature(c)
}

func weakSignature(c *x509.Certificate) string {
	switch c.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return ""
	}
	return fmt.Sprintf("it is signed with %v, weaker than SHA-256", c.SignatureAlgorithm)
}

// ForClients reports whether a certificate may authenticate a TLS client: it
// has no extended key usage at all, as device certificates often do, or one
// that includes clientAuth (RFC 5280 §4.2.1.12).
func ForClients(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	for _, u := range c.ExtKeyUsage {
		if u == x509.ExtKeyUsageClientAuth || u == x509.ExtKeyUsageAny {
			return true
		}
	}
	return false
}
