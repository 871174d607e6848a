package ocsp

import (
	"bytes"
	"crypto/sha1" // RFC 6960 §4.2.1 defines KeyHash by it; it names, it proves nothing
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"

	"github.com/muster-mqtt/muster"
)

// maxEmbedded is how many embedded certificates are looked at. One is enough;
// some responders add the issuer.
const maxEmbedded = 4

// The alternatives of ResponderID, by tag.
const (
	tagByName = 1
	tagByKey  = 2
)

// signer returns the certificate whose key signed the response and that may
// sign for issuer: the issuer itself, or a delegate that it certified directly
// (RFC 6960 §4.2.2.2). The delegate's validity is left to the caller, and its
// own revocation is not checked: RFC 6960 §4.2.2.2.1 leaves that to local
// policy, and an answer is never kept beyond the delegate's validity.
func (r *basicResponse) signer(leaf, issuer *x509.Certificate) (*x509.Certificate, error) {
	algorithm, err := r.algorithm()
	if err != nil {
		return nil, err
	}
	var refusal error = fault(FaultUnknownSigner, "no certificate at hand has the name that its responder gives itself")
	for _, c := range r.candidates(issuer) {
		if !r.names(c) {
			continue
		}
		if err := maySign(c, leaf, issuer); err != nil {
			refusal = err
			continue
		}
		if err := c.CheckSignature(algorithm, r.Data.Raw, r.Signature.RightAlign()); err != nil {
			refusal = fault(FaultSignature, "its signature is not by %q: %v", muster.NameText(c.Subject), err)
			continue
		}
		return c, nil
	}
	return nil, refusal
}

// candidates returns the certificates that may have signed: the issuer, which
// need not be embedded, and what is embedded. One that does not parse is none.
func (r *basicResponse) candidates(issuer *x509.Certificate) []*x509.Certificate {
	list := []*x509.Certificate{issuer}
	for _, raw := range r.Certificates[:min(len(r.Certificates), maxEmbedded)] {
		if c, err := x509.ParseCertificate(raw.FullBytes); err == nil {
			list = append(list, c)
		}
	}
	return list
}

// names reports whether the response's ResponderID means c.
func (r *basicResponse) names(c *x509.Certificate) bool {
	id := r.Data.ResponderID
	if id.Class != asn1.ClassContextSpecific {
		return false
	}
	switch id.Tag {
	case tagByName:
		return bytes.Equal(id.Bytes, c.RawSubject)
	case tagByKey:
		var hash []byte
		if err := unmarshal(id.Bytes, &hash); err != nil {
			return false
		}
		sum := sha1.Sum(publicKeyBits(c))
		return bytes.Equal(hash, sum[:])
	}
	return false
}

// maySign says whether c's signature counts for certificates of issuer.
//
// The first rule is what keeps a device from vouching for itself: its issuer
// did sign its certificate, and the parsers that look no further take it for a
// delegate.
func maySign(c, leaf, issuer *x509.Certificate) error {
	if bytes.Equal(c.RawSubjectPublicKeyInfo, leaf.RawSubjectPublicKeyInfo) {
		return fault(FaultSelfVouched, "it is signed by the key of the certificate that it is about")
	}
	if bytes.Equal(c.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo) {
		return nil
	}
	if err := c.CheckSignatureFrom(issuer); err != nil { // refuses SHA-1
		return fault(FaultForeignSigner, "its signer %q is not certified by the issuer: %v", muster.NameText(c.Subject), err)
	}
	if !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
		return fault(FaultNotDelegate, "its signer %q lacks the extended key usage OCSPSigning", muster.NameText(c.Subject))
	}
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return fault(FaultNotDelegate, "its signer %q lacks the key usage digitalSignature", muster.NameText(c.Subject))
	}
	if len(c.UnhandledCriticalExtensions) > 0 {
		return fault(FaultNotDelegate, "its signer %q has the critical extension %v", muster.NameText(c.Subject), c.UnhandledCriticalExtensions[0])
	}
	return nil
}

// publicKeyBits returns what RFC 6960 hashes of a key: the content of the BIT
// STRING, without the algorithm before it.
func publicKeyBits(c *x509.Certificate) []byte {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &info); err != nil {
		return nil // not of a certificate that crypto/x509 parsed
	}
	return info.Key.RightAlign()
}
