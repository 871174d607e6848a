package testpki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // SHA-1 signatures and CertIDs
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// Forgery is an OCSP response field by field, so that a test can make those
// that no honest responder gives and that x/crypto/ocsp cannot make.
type Forgery struct {
	Status       int                 // responseStatus of RFC 6960 §4.2.1; other than 0, the rest is left out
	ResponderID  asn1.RawValue       // by ByName or ByKey
	Singles      []Single            // one for each certificate answered about
	Extensions   []pkix.Extension    // responseExtensions
	Hash         crypto.Hash         // what the signature is over; zero: SHA-256
	Key          crypto.Signer       // signs
	Certificates []*x509.Certificate // embedded
}

// Single answers about one certificate.
type Single struct {
	CertID     CertID
	Status     asn1.RawValue // by Good, Revoked or Unknown
	ThisUpdate time.Time
	NextUpdate time.Time // zero: left out
	Extensions []pkix.Extension
}

// CertID names the certificate, as RFC 6960 §4.1.1 has it.
type CertID struct {
	Algorithm pkix.AlgorithmIdentifier
	NameHash  []byte
	KeyHash   []byte
	Serial    *big.Int
}

type singleResponse struct {
	CertID     CertID
	Status     asn1.RawValue
	ThisUpdate time.Time        `asn1:"generalized"`
	NextUpdate time.Time        `asn1:"generalized,explicit,tag:0,optional"`
	Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

type responseData struct {
	ResponderID asn1.RawValue
	ProducedAt  time.Time `asn1:"generalized"`
	Responses   []singleResponse
	Extensions  []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

type basicResponse struct {
	Data         asn1.RawValue
	Algorithm    pkix.AlgorithmIdentifier
	Signature    asn1.BitString
	Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

type responseBytes struct {
	Type     asn1.ObjectIdentifier
	Response []byte
}

type ocspResponse struct {
	Status asn1.Enumerated
	Bytes  responseBytes `asn1:"explicit,tag:0,optional"`
}

type revokedInfo struct {
	At     time.Time       `asn1:"generalized"`
	Reason asn1.Enumerated `asn1:"explicit,tag:0,optional"`
}

var (
	oidBasicResponse = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}

	hashOIDs = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.MD5:    {1, 2, 840, 113549, 2, 5},
		crypto.SHA1:   {1, 3, 14, 3, 2, 26},
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
		crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
	}
	ecdsaOIDs = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA1:   {1, 2, 840, 10045, 4, 1},
		crypto.SHA256: {1, 2, 840, 10045, 4, 3, 2},
		crypto.SHA384: {1, 2, 840, 10045, 4, 3, 3},
		crypto.SHA512: {1, 2, 840, 10045, 4, 3, 4},
	}
	rsaOIDs = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA1:   {1, 2, 840, 113549, 1, 1, 5},
		crypto.SHA256: {1, 2, 840, 113549, 1, 1, 11},
		crypto.SHA384: {1, 2, 840, 113549, 1, 1, 12},
		crypto.SHA512: {1, 2, 840, 113549, 1, 1, 13},
	}
)

// ByName identifies a responder by its subject.
func ByName(c *x509.Certificate) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: c.RawSubject}
}

// ByKey identifies a responder by the SHA-1 of its public key.
func ByKey(c *x509.Certificate) (asn1.RawValue, error) {
	inner, err := asn1.Marshal(digest(crypto.SHA1, publicKeyBits(c)))
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, IsCompound: true, Bytes: inner}, err
}

// Good is the status of a certificate that stands.
func Good() asn1.RawValue { return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0} }

// Unknown is the status of a certificate that the responder does not know.
func Unknown() asn1.RawValue { return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2} }

// Revoked is the status of a certificate that was revoked. The reason is a
// CRLReason of RFC 5280 §5.3.1; 0 is left out.
func Revoked(at time.Time, reason int) (asn1.RawValue, error) {
	der, err := asn1.MarshalWithParams(revokedInfo{at.UTC(), asn1.Enumerated(reason)}, "tag:1")
	return asn1.RawValue{FullBytes: der}, err
}

// IDFor names the certificate of that serial number under issuer. The hash may
// be MD5 to make an identifier that no client knows.
func IDFor(h crypto.Hash, issuer *x509.Certificate, serial *big.Int) CertID {
	return CertID{
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: hashOIDs[h], Parameters: asn1.NullRawValue},
		NameHash:  digest(h, issuer.RawSubject),
		KeyHash:   digest(h, publicKeyBits(issuer)),
		Serial:    serial,
	}
}

// DER signs the response and encodes it.
func (f Forgery) DER() ([]byte, error) {
	if f.Status != 0 {
		return asn1.Marshal(struct{ Status asn1.Enumerated }{asn1.Enumerated(f.Status)})
	}
	data := responseData{ResponderID: f.ResponderID, ProducedAt: time.Unix(0, 0).UTC(), Extensions: f.Extensions}
	for _, s := range f.Singles {
		data.ProducedAt = s.ThisUpdate.UTC()
		data.Responses = append(data.Responses, singleResponse{
			s.CertID, s.Status, s.ThisUpdate.UTC(), s.NextUpdate.UTC(), s.Extensions,
		})
	}
	tbs, err := asn1.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("response data: %w", err)
	}
	algorithm, signature, err := f.sign(tbs)
	if err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	basic := basicResponse{
		Data:      asn1.RawValue{FullBytes: tbs},
		Algorithm: algorithm,
		Signature: asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	}
	for _, c := range f.Certificates {
		basic.Certificates = append(basic.Certificates, asn1.RawValue{FullBytes: c.Raw})
	}
	inner, err := asn1.Marshal(basic)
	if err != nil {
		return nil, fmt.Errorf("basic response: %w", err)
	}
	return asn1.Marshal(ocspResponse{Bytes: responseBytes{oidBasicResponse, inner}})
}

func (f Forgery) sign(tbs []byte) (pkix.AlgorithmIdentifier, []byte, error) {
	h := f.Hash
	if h == 0 {
		h = crypto.SHA256
	}
	var id pkix.AlgorithmIdentifier
	if f.Key == nil {
		return id, nil, fmt.Errorf("no key to sign with")
	}
	switch f.Key.Public().(type) {
	case *ecdsa.PublicKey:
		id.Algorithm = ecdsaOIDs[h]
	case *rsa.PublicKey:
		id = pkix.AlgorithmIdentifier{Algorithm: rsaOIDs[h], Parameters: asn1.NullRawValue}
	}
	if id.Algorithm == nil {
		return id, nil, fmt.Errorf("no signature of %v by a %T", h, f.Key.Public())
	}
	signature, err := f.Key.Sign(rand.Reader, digest(h, tbs), h)
	return id, signature, err
}

func digest(h crypto.Hash, b []byte) []byte {
	if !h.Available() { // MD5 is only ever a name here
		h = crypto.SHA1
	}
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// publicKeyBits returns what RFC 6960 hashes of a key: the content of the BIT
// STRING, without the algorithm before it.
func publicKeyBits(c *x509.Certificate) []byte {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &info); err != nil {
		return nil // crypto/x509 parsed it already
	}
	return info.Key.RightAlign()
}
