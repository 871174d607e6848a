package ocsp

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"time"
)

// The ASN.1 of RFC 6960 §4.2.1. x/crypto/ocsp parses it too, but keeps from
// its callers the CertID and responseExtensions, verifies with the first
// embedded certificate whatever that may sign, and refuses an embedded issuer
// (golang/go #43522, #59641).

type ocspResponse struct {
	Status asn1.Enumerated
	Bytes  responseBytes `asn1:"explicit,tag:0,optional"`
}

type responseBytes struct {
	Type     asn1.ObjectIdentifier
	Response []byte
}

type basicResponse struct {
	Data         responseData
	Algorithm    pkix.AlgorithmIdentifier
	Signature    asn1.BitString
	Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

type responseData struct {
	Raw         asn1.RawContent // what the signature is over
	Version     int             `asn1:"optional,default:0,explicit,tag:0"`
	ResponderID asn1.RawValue
	ProducedAt  time.Time `asn1:"generalized"`
	Responses   []singleResponse
	Extensions  []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

type singleResponse struct {
	CertID     certID
	CertStatus asn1.RawValue
	ThisUpdate time.Time        `asn1:"generalized"`
	NextUpdate time.Time        `asn1:"generalized,explicit,tag:0,optional"`
	Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

type certID struct {
	Algorithm pkix.AlgorithmIdentifier
	NameHash  []byte
	KeyHash   []byte
	Serial    *big.Int
}

type revokedInfo struct {
	At     time.Time       `asn1:"generalized"`
	Reason asn1.Enumerated `asn1:"explicit,tag:0,optional"`
}

// certificateHold is the only CRLReason that can be undone.
const certificateHold = 6

// The alternatives of CertStatus, by tag.
const (
	tagGood    = 0
	tagRevoked = 1
	tagUnknown = 2
)

// statusErrors are the values of responseStatus other than successful; the
// clause says what an operator should know.
var statusErrors = map[asn1.Enumerated]ResponseError{
	1: {FaultRequestRefused, "the responder could not read the request (malformedRequest)"},
	2: {FaultResponder, "the responder has an internal error (internalError)"},
	3: {FaultTryLater, "the responder is busy and asks to try later (tryLater)"},
	5: {FaultRequestRefused, "the responder answers signed requests only (sigRequired)"},
	6: {FaultUnauthorized, "the responder does not answer for this issuer, or not to us (unauthorized)"},
}

var (
	oidBasicResponse = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}

	hashes = []struct {
		oid  asn1.ObjectIdentifier
		hash crypto.Hash
	}{
		{asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, crypto.SHA1}, // names only, see RFC 5019 §2.1.1
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, crypto.SHA256},
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, crypto.SHA384},
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, crypto.SHA512},
	}

	// signatures lists what may sign. SHA-1 and MD5 are missing on purpose:
	// x509.Certificate.CheckSignature would let SHA-1 pass.
	signatures = []struct {
		oid       asn1.ObjectIdentifier
		algorithm x509.SignatureAlgorithm
	}{
		{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, x509.ECDSAWithSHA256},
		{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, x509.ECDSAWithSHA384},
		{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, x509.ECDSAWithSHA512},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, x509.SHA256WithRSA},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, x509.SHA384WithRSA},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, x509.SHA512WithRSA},
		{asn1.ObjectIdentifier{1, 3, 101, 112}, x509.PureEd25519},
	}
)

// parse decodes a successful basic response. Nothing in it is proven yet.
func parse(der []byte) (*basicResponse, error) {
	var outer ocspResponse
	if err := unmarshal(der, &outer); err != nil {
		return nil, fault(FaultMalformed, "it is not an OCSPResponse: %v", err)
	}
	if outer.Status != 0 {
		if e, ok := statusErrors[outer.Status]; ok {
			return nil, &e
		}
		return nil, fault(FaultResponder, "its responseStatus is %d, which is not defined", outer.Status)
	}
	if !outer.Bytes.Type.Equal(oidBasicResponse) {
		return nil, fault(FaultUnsupported, "its type is %v, not id-pkix-ocsp-basic", outer.Bytes.Type)
	}
	basic := new(basicResponse)
	if err := unmarshal(outer.Bytes.Response, basic); err != nil {
		return nil, fault(FaultMalformed, "it holds no BasicOCSPResponse: %v", err)
	}
	if err := refuseCritical(basic.Data.Extensions, oidNonce); err != nil {
		return nil, err
	}
	return basic, nil
}

func unmarshal(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return errors.New("bytes after the end")
	}
	return nil
}

// refuseCritical holds us to RFC 6960 §4.4: what is critical and not
// understood spoils the response.
func refuseCritical(extensions []pkix.Extension, understood ...asn1.ObjectIdentifier) error {
	for _, e := range extensions {
		if e.Critical && !slices.ContainsFunc(understood, e.Id.Equal) {
			return fault(FaultUnsupported, "it has the critical extension %v", e.Id)
		}
	}
	return nil
}

// algorithm returns what signed the response.
func (r *basicResponse) algorithm() (x509.SignatureAlgorithm, error) {
	for _, s := range signatures {
		if r.Algorithm.Algorithm.Equal(s.oid) {
			return s.algorithm, nil
		}
	}
	return 0, fault(FaultAlgorithm, "its signature algorithm %v is not accepted: use SHA-256 or better", r.Algorithm.Algorithm)
}

// answer reads the status. A response that names none of the three is
// malformed; x/crypto/ocsp takes it for revoked.
func (s *singleResponse) answer() (Answer, error) {
	a := Answer{ThisUpdate: s.ThisUpdate, NextUpdate: s.NextUpdate}
	if err := refuseCritical(s.Extensions); err != nil {
		return Answer{}, err
	}
	if s.CertStatus.Class != asn1.ClassContextSpecific {
		return Answer{}, fault(FaultMalformed, "it has no status")
	}
	switch s.CertStatus.Tag {
	case tagGood:
		a.Status = Good
	case tagUnknown:
		a.Status = Unknown
	case tagRevoked:
		var info revokedInfo
		if _, err := asn1.UnmarshalWithParams(s.CertStatus.FullBytes, &info, "tag:1"); err != nil {
			return Answer{}, fault(FaultMalformed, "its RevokedInfo: %v", err)
		}
		a.Status, a.RevokedAt, a.Hold = Revoked, info.At, info.Reason == certificateHold
	default:
		return Answer{}, fault(FaultMalformed, "its status has the tag %d, which is not defined", s.CertStatus.Tag)
	}
	return a, nil
}
