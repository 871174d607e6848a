package ocsp

import (
	"fmt"
	"strings"
)

// Fault is one word for why there is no answer that counts. The set is closed,
// so that it may label a metric.
type Fault string

// What may be wrong with a response, in the order in which Validate looks.
const (
	FaultMalformed       Fault = "malformed"        // not the ASN.1 of RFC 6960 §4.2.1
	FaultTryLater        Fault = "try_later"        // the responder is busy: tryLater, or HTTP status 429 or 503
	FaultResponder       Fault = "responder_error"  // the responder says internalError, or an undefined status
	FaultRequestRefused  Fault = "request_refused"  // the responder says malformedRequest or sigRequired
	FaultUnauthorized    Fault = "unauthorized"     // the responder does not answer for this issuer, or not to us
	FaultUnsupported     Fault = "unsupported"      // another response type, or an unknown critical extension
	FaultAlgorithm       Fault = "algorithm"        // signed with SHA-1, MD5 or something unknown
	FaultUnknownSigner   Fault = "unknown_signer"   // no certificate at hand has the name that the responder gives itself
	FaultSelfVouched     Fault = "self_vouched"     // signed by the key of the certificate that it is about
	FaultForeignSigner   Fault = "foreign_signer"   // signed by a certificate that the issuer did not sign
	FaultNotDelegate     Fault = "not_a_delegate"   // signed by a certificate that may not sign responses
	FaultSignature       Fault = "signature"        // the signature is not over these bytes, or not by that key
	FaultOtherSubject    Fault = "other_subject"    // about other certificates
	FaultOtherIssuer     Fault = "other_issuer"     // about a certificate of another issuer
	FaultCertIDHash      Fault = "certid_hash"      // names the certificate by an unknown hash
	FaultAmbiguous       Fault = "ambiguous"        // answers twice about the certificate
	FaultFuture          Fault = "future"           // thisUpdate lies ahead
	FaultStale           Fault = "stale"            // nextUpdate is past, or there is none and the answer is old
	FaultSignerValidity  Fault = "signer_validity"  // the delegate is expired, or not valid yet
	FaultMissingArgument Fault = "missing_argument" // no certificate or no issuer was given
)

// What a Client finds wrong with a response that Validate lets pass.
const (
	FaultNonce     Fault = "nonce"     // without the nonce that was sent where that is required, or with another
	FaultOutdated  Fault = "outdated"  // older than what is known already
	FaultUndecided Fault = "undecided" // what a device brought says unknown, which proves nothing
)

// Why no response came.
const (
	FaultSettings   Fault = "settings"          // the settings or the URLs cannot be used
	FaultForbidden  Fault = "forbidden_address" // a private or reserved address, and no allowed range holds it
	FaultConnect    Fault = "connect"           // no connection: no such name, refused, unreachable
	FaultTLS        Fault = "tls"               // the responder's certificate is not trusted, or no TLS came about
	FaultTimeout    Fault = "timeout"           // not in time
	FaultBroken     Fault = "broken"            // the connection ended before the reply did, or it was no HTTP
	FaultRedirect   Fault = "redirect"          // redirects are not followed
	FaultHTTPStatus Fault = "http_status"       // another HTTP status than 200
	FaultOversized  Fault = "oversized"         // longer than is read
	FaultHeldOff    Fault = "breaker_open"      // its breaker is open, so it was not asked
	FaultCrowded    Fault = "too_many_waiting"  // too many wait already, so it was not asked
	FaultEnded      Fault = "ended"             // the caller left, or the Client was closed
)

// Misconfigured reports whether the fault stays until somebody mends the
// settings, the responder or what the authority certified.
func (f Fault) Misconfigured() bool {
	switch f {
	case FaultRequestRefused, FaultUnauthorized, FaultUnsupported, FaultAlgorithm, FaultUnknownSigner,
		FaultSelfVouched, FaultForeignSigner, FaultNotDelegate, FaultSignature, FaultOtherSubject, FaultOtherIssuer,
		FaultCertIDHash, FaultAmbiguous, FaultSignerValidity, FaultNonce, FaultSettings, FaultForbidden,
		FaultTLS, FaultRedirect, FaultHTTPStatus, FaultMalformed:
		return true
	}
	return false
}

// ResponseError says why a response does not count.
type ResponseError struct {
	Fault  Fault
	Detail string // a clause without a full stop
}

func (e *ResponseError) Error() string { return "OCSP response: " + e.Detail }

// maxDetail is how many bytes of a Detail are kept: it is remembered for many
// certificates, and quotes what strangers wrote.
const maxDetail = 512

func fault(f Fault, format string, args ...any) *ResponseError {
	return &ResponseError{Fault: f, Detail: clip(fmt.Sprintf(format, args...))}
}

func clip(detail string) string {
	if len(detail) > maxDetail {
		return strings.ToValidUTF8(detail[:maxDetail], "") + "…"
	}
	return detail
}
