package ocsp

import (
	"bytes"
	"crypto"
	_ "crypto/sha256" // CertIDs
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"time"

	"github.com/muster-mqtt/muster"
)

// Limits say how old an answer may be. Zero fields take their defaults.
type Limits struct {
	// Skew is how far the responder's clock and ours may differ. Default 5
	// minutes.
	Skew time.Duration
	// MaxAge is how long after its thisUpdate an answer counts that has no
	// nextUpdate. Default 1 hour.
	MaxAge time.Duration
	// Keep is how long an answer is kept at most, however far its nextUpdate
	// lies ahead. Default 24 hours.
	Keep time.Duration
}

// keepOpenEnded is how long an answer without nextUpdate is kept. Its
// responder says that it may know better at any time (RFC 6960 §4.2.2.1), so
// this only takes the edge off a device that reconnects in a loop.
const keepOpenEnded = 5 * time.Minute

func (l Limits) orDefaults() Limits {
	if l.Skew == 0 {
		l.Skew = 5 * time.Minute
	}
	if l.MaxAge == 0 {
		l.MaxAge = time.Hour
	}
	if l.Keep == 0 {
		l.Keep = 24 * time.Hour
	}
	return l
}

// Validate reads a DER response and says what it proves about leaf at the time
// now. It is pure: no network, no clock, nothing kept. The caller has checked
// that issuer's key signed leaf, and bounds the length of der. The error is a
// *ResponseError; the Answer beside an error says nothing.
//
// A final revocation does not lapse: it counts after its nextUpdate too, and
// its delegate must have been valid when it was made.
func Validate(der []byte, leaf, issuer *x509.Certificate, now time.Time, limits Limits) (Answer, error) {
	v, err := judge(der, leaf, issuer, now, limits)
	if err != nil {
		return Answer{}, err
	}
	return v.answer, nil
}

// verdict is what a response proves. Beside an error, its answer is what the
// response proved at another time: it was signed, and FaultStale, FaultFuture
// or FaultSignerValidity says that it does not count now.
type verdict struct {
	answer     Answer
	extensions []pkix.Extension
}

func judge(der []byte, leaf, issuer *x509.Certificate, now time.Time, limits Limits) (v verdict, err error) {
	if leaf == nil || issuer == nil {
		return v, fault(FaultMissingArgument, "the certificate or its issuer is missing")
	}
	r, err := parse(der)
	if err != nil {
		return v, err
	}
	signer, err := r.signer(leaf, issuer)
	if err != nil {
		return v, err
	}
	single, err := r.about(leaf, issuer)
	if err != nil {
		return v, err
	}
	a, err := single.answer()
	if err != nil {
		return v, err
	}
	v = verdict{a, r.Data.Extensions}
	limits = limits.orDefaults()
	if err := limits.check(a, now); err != nil {
		return v, err
	}
	delegated := !bytes.Equal(signer.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo)
	if delegated {
		if err := checkValidity(signer, a, now); err != nil {
			return v, err
		}
	}
	if !a.Final() {
		v.answer.Expires = limits.expiry(a, now)
		if delegated && signer.NotAfter.Before(v.answer.Expires) {
			v.answer.Expires = signer.NotAfter
		}
	}
	return v, nil
}

// about returns the one answer whose CertID is leaf's under issuer.
func (r *basicResponse) about(leaf, issuer *x509.Certificate) (*singleResponse, error) {
	var found *singleResponse
	var refusal error = fault(FaultOtherSubject, "it is about another certificate: the serial number %x is missing", leaf.SerialNumber)
	for i := range r.Data.Responses {
		s := &r.Data.Responses[i]
		if s.CertID.Serial.Cmp(leaf.SerialNumber) != 0 {
			continue
		}
		if err := s.CertID.checkIssuer(issuer); err != nil {
			refusal = err
			continue
		}
		if found != nil {
			return nil, fault(FaultAmbiguous, "it answers twice about the certificate")
		}
		found = s
	}
	if found == nil {
		return nil, refusal
	}
	return found, nil
}

// checkIssuer recomputes the hashes by which id names the issuer. Without
// that, another authority's answer about the same serial number would do.
func (id *certID) checkIssuer(issuer *x509.Certificate) error {
	var hash crypto.Hash
	for _, h := range hashes {
		if id.Algorithm.Algorithm.Equal(h.oid) {
			hash = h.hash
		}
	}
	if hash == 0 {
		return fault(FaultCertIDHash, "it names the certificate by the unknown hash %v", id.Algorithm.Algorithm)
	}
	if !bytes.Equal(id.NameHash, sum(hash, issuer.RawSubject)) {
		return fault(FaultOtherIssuer, "it is about a certificate of an issuer with another name")
	}
	if !bytes.Equal(id.KeyHash, sum(hash, publicKeyBits(issuer))) {
		return fault(FaultOtherIssuer, "it is about a certificate of an issuer with another key")
	}
	return nil
}

func sum(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// check holds the answer's times against the clock.
func (l Limits) check(a Answer, now time.Time) error {
	if ahead := a.ThisUpdate.Sub(now); ahead > l.Skew {
		return fault(FaultFuture, "its thisUpdate %s lies ahead of our clock", stamp(a.ThisUpdate))
	}
	if !a.NextUpdate.IsZero() && a.NextUpdate.Before(a.ThisUpdate) {
		return fault(FaultMalformed, "its nextUpdate %s is before its thisUpdate %s", stamp(a.NextUpdate), stamp(a.ThisUpdate))
	}
	if a.Final() {
		return nil
	}
	if a.NextUpdate.IsZero() {
		if age := now.Sub(a.ThisUpdate); age > l.MaxAge+l.Skew {
			return fault(FaultStale, "it has no nextUpdate and its thisUpdate %s is more than %s ago", stamp(a.ThisUpdate), l.MaxAge)
		}
		return nil
	}
	if now.Sub(a.NextUpdate) > l.Skew {
		return fault(FaultStale, "its nextUpdate %s is past", stamp(a.NextUpdate))
	}
	return nil
}

// expiry returns when an answer received now must be asked for again.
func (l Limits) expiry(a Answer, now time.Time) time.Time {
	end, keep := a.NextUpdate, l.Keep
	if end.IsZero() {
		end, keep = a.ThisUpdate.Add(l.MaxAge), min(keep, keepOpenEnded)
	}
	if latest := now.Add(keep); latest.Before(end) {
		return latest
	}
	return end
}

// checkValidity says whether a delegate was valid when its answer was needed.
func checkValidity(delegate *x509.Certificate, a Answer, now time.Time) error {
	at := now
	if a.Final() {
		at = a.ThisUpdate
	}
	if at.Before(delegate.NotBefore) {
		return fault(FaultSignerValidity, "its signer %q is not valid before %s", muster.NameText(delegate.Subject), stamp(delegate.NotBefore))
	}
	if at.After(delegate.NotAfter) {
		return fault(FaultSignerValidity, "its signer %q expired at %s", muster.NameText(delegate.Subject), stamp(delegate.NotAfter))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
