package ocsp

import "fmt"

// Fault is one word for what is wrong with a response. The set is closed, so
// that it may label a metric.
type Fault string

// The faults, in the order in which Validate looks for them.
const (
	FaultMalformed       Fault = "malformed"        // not the ASN.1 of RFC 6960 §4.2.1
	FaultResponder       Fault = "responder_error"  // the responder itself says that it cannot answer
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

// ResponseError says why a response does not count.
type ResponseError struct {
	Fault  Fault
	Detail string // a clause without a full stop
}

func (e *ResponseError) Error() string { return "OCSP response: " + e.Detail }

func fault(f Fault, format string, args ...any) *ResponseError {
	return &ResponseError{Fault: f, Detail: fmt.Sprintf(format, args...)}
}
