package metrics

import "github.com/muster-mqtt/muster"

// Words that stand among the reasons of a refusal, for none: of a handshake, and
// of a live connection that was looked at again.
const (
	ok   muster.Reason = "ok"
	kept muster.Reason = "kept"
)

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

// The stages of admission, and the one after it.
const (
	StageHandshake Stage = "handshake" // TLS, of those that succeeded
	StageInspect   Stage = "inspect"   // finding the record, and asking by OCSP
	StageOCSP      Stage = "ocsp"      // of that, the wait for an answer, also for one that is known
	StageConnect   Stage = "connect"   // from CONNECT to its verdict, enrolment included
	StageEnrol     Stage = "enrol"     // rendering the template, and writing
	StageRecheck   Stage = "recheck"   // asking by OCSP about a live connection
)

// OCSPResult is what OCSP says of a certificate.
type OCSPResult string

// The results of a request, and of a question.
const (
	OCSPGood        OCSPResult = "good"
	OCSPRevoked     OCSPResult = "revoked"
	OCSPUnknown     OCSPResult = "unknown"     // the responder does not know the certificate
	OCSPUnavailable OCSPResult = "unavailable" // no answer, or none that could be believed
	OCSPNoURL       OCSPResult = "no_url"      // nobody says which responder to ask
	OCSPNotAsked    OCSPResult = "not_asked"   // nobody was to be asked, and nothing was known
)

// OCSPMethod is how a responder was asked.
type OCSPMethod string

// The methods of RFC 6960 appendix A.
const (
	OCSPGet  OCSPMethod = "GET"
	OCSPPost OCSPMethod = "POST"
)

// OCSPSource is where an answer came from.
type OCSPSource string

// The sources of answers.
const (
	OCSPFromResponder OCSPSource = "responder"
	OCSPFromMemory    OCSPSource = "memory"
	OCSPFromCache     OCSPSource = "cache" // of an earlier run of the server
	OCSPFromDevice    OCSPSource = "brought"
	OCSPFromNowhere   OCSPSource = "none"
)

// OCSPHindrance is why no responder was asked.
type OCSPHindrance string

// The hindrances.
const (
	OCSPBreakerOpen    OCSPHindrance = "breaker_open"
	OCSPTooManyWaiting OCSPHindrance = "too_many_waiting"
)

// Limit is a limit of the listener, by its key under limits in muster.yaml.
type Limit string

// The limits of the listener.
const (
	LimitConnections        Limit = "connections"
	LimitHandshakes         Limit = "handshakes"
	LimitConnects           Limit = "connects"
	LimitConnectsPerAddress Limit = "connects_per_address"
)

// Listener is a listener with a server certificate.
type Listener string

// The listeners with certificates.
const (
	ListenerMQTT Listener = "mqtt"
	ListenerAPI  Listener = "api"
)

// Folder is a folder that the server writes into.
type Folder string

// The folders.
const (
	FolderRegistry Folder = "registry"
	FolderSessions Folder = "sessions"
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
		muster.ReasonBusy,
		muster.ReasonSessionQuota,
	}
}
