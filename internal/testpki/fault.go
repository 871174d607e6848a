package testpki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"github.com/muster-mqtt/muster/internal/mint"
)

// Fault is one way in which a responder deviates from the plainest honest
// answer. The zero value is that answer.
type Fault string

// Deviations that an honest responder may show: the answer still counts.
const (
	None             Fault = ""
	ByKeyHash        Fault = "names itself by the hash of its key"
	EmbeddedIssuer   Fault = "embeds the certificate of the issuer"
	Delegate         Fault = "signed by a proper delegate"
	DelegateOnly     Fault = "signed by a delegate without key usage"
	SHA256CertID     Fault = "CertID by SHA-256"
	SHA512CertID     Fault = "CertID by SHA-512"
	NoNextUpdate     Fault = "no nextUpdate"
	SeveralAnswers   Fault = "answers about another certificate first"
	WrongContentType Fault = "content type text/plain"
)

// Faults of the signer.
const (
	SelfVouched      Fault = "signed by the device about itself"
	SelfDelegated    Fault = "signed by a delegate that has the device's key"
	DelegateExpired  Fault = "delegate expired"
	DelegateNotYet   Fault = "delegate not yet valid"
	DelegateNoEKU    Fault = "delegate without OCSPSigning"
	DelegateAnyEKU   Fault = "delegate with anyExtendedKeyUsage alone"
	DelegateKeyUsage Fault = "delegate whose key usage lacks digitalSignature"
	DelegateCritical Fault = "delegate with an unknown critical extension"
	DelegateStranger Fault = "delegate of another authority"
	DelegateMissing  Fault = "delegate not embedded"
	Stranger         Fault = "signed by another authority"
	WrongResponder   Fault = "names a responder that did not sign"
	BadSignature     Fault = "signature over other bytes"
	SHA1Signature    Fault = "SHA-1 signature"
	SHA1Delegate     Fault = "delegate certified by a SHA-1 signature"
)

// Faults of what is said, and of the form in which it is said.
const (
	WrongSerial       Fault = "another serial number"
	WrongNameHash     Fault = "another issuer's name"
	WrongKeyHash      Fault = "another issuer's key"
	UnknownHash       Fault = "CertID by an unknown hash"
	AnsweredTwice     Fault = "the same certificate twice"
	NoAnswers         Fault = "no certificate at all"
	Stale             Fault = "nextUpdate past"
	Future            Fault = "thisUpdate ahead"
	Backwards         Fault = "nextUpdate before thisUpdate"
	OldNoNextUpdate   Fault = "no nextUpdate, and two hours old"
	CriticalExtension Fault = "unknown critical extension"
	CriticalSingle    Fault = "unknown critical extension of the answer"
	NoSuchStatus      Fault = "a status that is none"
	TryLater          Fault = "tryLater"
	MalformedRequest  Fault = "malformedRequest"
	InternalError     Fault = "internalError"
	SigRequired       Fault = "sigRequired"
	Unauthorized      Fault = "unauthorized"
	Garbage           Fault = "garbage"
	Empty             Fault = "no bytes"
	Trailing          Fault = "bytes after the end"
)

// Faults of the transport, which only a Responder shows.
const (
	Oversized  Fault = "endless body"
	Slow       Fault = "no reply until the client leaves"
	SlowBody   Fault = "half a reply, and no more until the client leaves"
	Redirect   Fault = "redirect to an honest responder"
	HTTP500    Fault = "HTTP 500"
	Busy       Fault = "HTTP 503"
	Reset      Fault = "connection reset"
	GetRefused Fault = "HTTP 405 to GET"
	GetPage    Fault = "a page to GET"
	GetReset   Fault = "connection reset on GET"
	PostAlone  Fault = "malformedRequest to GET"
)

// What a Responder does to the nonce of a request, which it gives back at
// first.
const (
	NoNonce     Fault = "no nonce" // also what one does that signs ahead of time
	OtherNonce  Fault = "another nonce"
	LongNonce   Fault = "a nonce of 129 octets"
	EmptyNonce  Fault = "a nonce of no octets"
	TwoNonces   Fault = "two nonces"
	BareNonce   Fault = "a nonce without its OCTET STRING"
	StrictNonce Fault = "a critical nonce"
)

var statusOf = map[Fault]int{
	MalformedRequest: 1, InternalError: 2, TryLater: 3, SigRequired: 5, Unauthorized: 6,
}

// Forge answers about leaf with the given status as an authority's responder
// would that has the fault. Faults of the transport change nothing here.
func Forge(f Fault, a *mint.Authority, leaf *mint.Leaf, status asn1.RawValue, now time.Time) ([]byte, error) {
	return forge(f, a, leaf, status, now, nil)
}

// forge is Forge for a request with a nonce.
func forge(f Fault, a *mint.Authority, leaf *mint.Leaf, status asn1.RawValue, now time.Time, nonce []byte) ([]byte, error) {
	forged := Forgery{
		Status:      statusOf[f],
		ResponderID: ByName(a.Cert),
		Singles: []Single{{
			CertID:     IDFor(crypto.SHA1, a.Cert, leaf.Cert.SerialNumber),
			Status:     status,
			ThisUpdate: now.Add(-time.Minute),
			NextUpdate: now.Add(time.Hour),
		}},
		Key: a.Key,
	}
	if err := forged.setSigner(f, a, leaf, now); err != nil {
		return nil, err
	}
	if err := forged.setAnswers(f, a, now); err != nil {
		return nil, err
	}
	if err := forged.setNonce(f, nonce); err != nil {
		return nil, err
	}
	der, err := forged.DER()
	if err != nil {
		return nil, err
	}
	return spoil(f, der, leaf)
}

// spoil applies the faults of the encoding.
func spoil(f Fault, der []byte, leaf *mint.Leaf) ([]byte, error) {
	switch f {
	case Garbage:
		return []byte("<html>It works!</html>"), nil
	case Empty:
		return nil, nil
	case Trailing:
		return append(der, 0), nil
	case BadSignature:
		serial, err := asn1.Marshal(leaf.Cert.SerialNumber)
		if err != nil {
			return nil, err
		}
		at := bytes.Index(der, serial)
		if at < 0 {
			return nil, fmt.Errorf("no serial number in the response")
		}
		der[at+len(serial)-1] ^= 1
	}
	return der, nil
}

// setSigner applies the faults of the signer.
func (f *Forgery) setSigner(fault Fault, a *mint.Authority, leaf *mint.Leaf, now time.Time) (err error) {
	switch fault {
	case ByKeyHash:
		f.ResponderID, err = ByKey(a.Cert)
		return err
	case EmbeddedIssuer:
		f.Certificates = []*x509.Certificate{a.Cert}
		return nil
	case SHA1Signature:
		f.Hash = crypto.SHA1
		return nil
	case SelfVouched:
		f.signAs(leaf)
		return nil
	case Stranger, WrongResponder:
		other, err := mint.NewAuthority("Stranger")
		if err != nil {
			return err
		}
		if fault == WrongResponder {
			f.ResponderID = ByName(other.Cert)
			return nil
		}
		f.signAs(&mint.Leaf{Cert: other.Cert, Key: other.Key})
		return nil
	}
	req, ok := delegateRequest(fault, leaf, now)
	if !ok {
		return nil
	}
	if fault == DelegateStranger {
		// The same name with another key, so that only the signature tells.
		if a, err = mint.NewAuthority(a.Cert.Subject.CommonName); err != nil {
			return err
		}
	}
	delegate, err := a.Issue(req)
	if err != nil {
		return err
	}
	f.signAs(delegate)
	if fault == DelegateMissing {
		f.Certificates = nil
	}
	return nil
}

func (f *Forgery) signAs(l *mint.Leaf) {
	f.ResponderID, f.Key, f.Certificates = ByName(l.Cert), l.Key, []*x509.Certificate{l.Cert}
}

// delegateRequest describes the delegate that a fault calls for; ok is false
// if it calls for none.
func delegateRequest(fault Fault, leaf *mint.Leaf, now time.Time) (req mint.Request, ok bool) {
	req = mint.Request{
		Subject:     pkix.Name{CommonName: "OCSP delegate"},
		NotBefore:   now.Add(-24 * time.Hour),
		NotAfter:    now.Add(30 * time.Minute),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
	}
	switch fault {
	case Delegate, DelegateStranger, DelegateMissing:
	case DelegateOnly:
		req.Edit = func(c *x509.Certificate) { c.KeyUsage = 0 }
	case SelfDelegated:
		req.Key = leaf.Key
	case DelegateExpired:
		req.NotAfter = now.Add(-time.Hour)
	case DelegateNotYet:
		req.NotBefore, req.NotAfter = now.Add(time.Hour), now.Add(2*time.Hour)
	case DelegateNoEKU:
		req.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case DelegateAnyEKU:
		req.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	case DelegateKeyUsage:
		req.Edit = func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }
	case DelegateCritical:
		req.Edit = func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{unknownCritical} }
	case SHA1Delegate:
		req.Edit = func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }
	default:
		return req, false
	}
	return req, true
}

var unknownCritical = pkix.Extension{
	Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0},
}

// setAnswers applies the faults of what is said.
func (f *Forgery) setAnswers(fault Fault, a *mint.Authority, now time.Time) error {
	s := &f.Singles[0]
	other := new(big.Int).Add(s.CertID.Serial, big.NewInt(1))
	switch fault {
	case SHA256CertID:
		s.CertID = IDFor(crypto.SHA256, a.Cert, s.CertID.Serial)
	case SHA512CertID:
		s.CertID = IDFor(crypto.SHA512, a.Cert, s.CertID.Serial)
	case UnknownHash:
		s.CertID = IDFor(crypto.MD5, a.Cert, s.CertID.Serial)
	case WrongSerial:
		s.CertID.Serial = other
	case WrongNameHash, WrongKeyHash:
		stranger, err := mint.NewAuthority("Stranger")
		if err != nil {
			return err
		}
		id := IDFor(crypto.SHA1, stranger.Cert, s.CertID.Serial)
		if fault == WrongNameHash {
			s.CertID.NameHash = id.NameHash
		} else {
			s.CertID.KeyHash = id.KeyHash
		}
	case AnsweredTwice:
		f.Singles = append(f.Singles, *s)
	case SeveralAnswers:
		first := *s
		first.CertID.Serial, first.Status = other, Unknown()
		f.Singles = []Single{first, *s}
	case NoAnswers:
		f.Singles = nil
	case NoNextUpdate:
		s.NextUpdate = time.Time{}
	case OldNoNextUpdate:
		s.ThisUpdate, s.NextUpdate = now.Add(-2*time.Hour), time.Time{}
	case Stale:
		s.ThisUpdate, s.NextUpdate = now.Add(-3*time.Hour), now.Add(-time.Hour)
	case Future:
		s.ThisUpdate, s.NextUpdate = now.Add(time.Hour), now.Add(2*time.Hour)
	case Backwards:
		s.NextUpdate = s.ThisUpdate.Add(-time.Second)
	case CriticalExtension:
		f.Extensions = []pkix.Extension{unknownCritical}
	case CriticalSingle:
		s.Extensions = []pkix.Extension{unknownCritical}
	case NoSuchStatus:
		s.Status.Tag = 3
	}
	return nil
}
