package metrics

import "github.com/muster-mqtt/muster"

// ok stands among the reasons for which a handshake fails: for none.
const ok muster.Reason = "ok"

type outcome string

const (
	admitted   outcome = "admitted"
	registered outcome = "registered"
	refused    outcome = "refused"
)

// Registration is what came of a record that a connect wrote.
type Registration string

// The outcomes of a registration.
const (
	RegistrationActive  Registration = "active"  // its template ran (JITP)
	RegistrationPending Registration = "pending" // it waits for an operator (JITR)
	RegistrationFailed  Registration = "failed"  // its template failed; it runs again at the next connect
)

// Stage is a stage of admission, in the order that a connection takes.
type Stage string

// The stages of admission.
const (
	StageHandshake Stage = "handshake" // TLS, of those that succeeded
	StageInspect   Stage = "inspect"   // finding the record, and asking by OCSP
	StageConnect   Stage = "connect"   // from CONNECT to its verdict, enrolment included
	StageEnrol     Stage = "enrol"     // rendering the template, and writing
)

// OCSPResult is what became of a request to a responder.
type OCSPResult string

// The results of a request.
const (
	OCSPGood        OCSPResult = "good"
	OCSPRevoked     OCSPResult = "revoked"
	OCSPUnknown     OCSPResult = "unknown"     // the responder does not know the certificate
	OCSPUnavailable OCSPResult = "unavailable" // no answer, or none that could be believed
)

// Limit is a limit of the listener, by its key under limits in muster.yaml.
type Limit string

// The limits of the listener.
const (
	LimitConnections        Limit = "connections"
	LimitHandshakes         Limit = "handshakes"
	LimitConnectsPerAddress Limit = "connects_per_address"
)

// Listener is a listener with a server certificate.
type Listener string

// The listeners with certificates.
const (
	ListenerMQTT Listener = "mqtt"
	ListenerAPI  Listener = "api"
)

// reasons lists every reason of package muster.
func reasons() []muster.Reason {
	return []muster.Reason{
		muster.ReasonUnacceptableCertificate,
		muster.ReasonOutsideValidity,
		muster.ReasonAmbiguousAccount,
		muster.ReasonDeleted,
		muster.ReasonTransferred,
		muster.ReasonInactive,
		muster.ReasonRevoked,
		muster.ReasonPendingTransfer,
		muster.ReasonUntrustedIssuer,
		muster.ReasonAuthorityDeleted,
		muster.ReasonAuthorityUnverified,
		muster.ReasonAuthorityInactive,
		muster.ReasonAuthorityExpired,
		muster.ReasonAutoRegistrationDisabled,
		muster.ReasonProvisioningFailed,
		muster.ReasonPendingActivation,
		muster.ReasonPendingQuota,
		muster.ReasonRevocationUnknown,
		muster.ReasonInternalError,
		muster.ReasonNoCertificate,
		muster.ReasonHandshakeFailed,
		muster.ReasonHandshakeTimeout,
		muster.ReasonConnectInvalid,
		muster.ReasonTooManyConnections,
		muster.ReasonPolicyDenied,
		muster.ReasonFirstConnection,
		muster.ReasonShutdown,
		muster.ReasonTakenOver,
	}
}
