package muster

// Reason is the one word for the cause of a refusal: log field, metric label,
// field of events, key of the CONNACK table, and what explain prints. The set
// is closed, so that labels stay bounded. The zero value is no refusal.
type Reason string

// The reasons that the rules of admission give, in the order of the rules.
const (
	ReasonUnacceptableCertificate  Reason = "unacceptable_certificate"
	ReasonOutsideValidity          Reason = "outside_validity"
	ReasonAmbiguousAccount         Reason = "ambiguous_account"
	ReasonDeleted                  Reason = "deleted"
	ReasonTransferred              Reason = "transferred"
	ReasonInactive                 Reason = "inactive"
	ReasonRevoked                  Reason = "revoked"
	ReasonPendingTransfer          Reason = "pending_transfer"
	ReasonUntrustedIssuer          Reason = "untrusted_issuer"
	ReasonAuthorityDeleted         Reason = "authority_deleted"
	ReasonAuthorityUnverified      Reason = "authority_unverified"
	ReasonAuthorityInactive        Reason = "authority_inactive"
	ReasonAuthorityExpired         Reason = "authority_expired"
	ReasonAutoRegistrationDisabled Reason = "auto_registration_disabled"
	ReasonProvisioningFailed       Reason = "provisioning_failed"
	ReasonPendingActivation        Reason = "pending_activation"
	ReasonPendingQuota             Reason = "pending_quota"
	ReasonRevocationUnknown        Reason = "revocation_unknown"
	ReasonInternalError            Reason = "internal_error"
)

// The reasons of what comes before and after the rules: the transport, the
// CONNECT packet and the policy.
const (
	ReasonNoCertificate      Reason = "no_certificate"       // the TLS handshake showed none
	ReasonHandshakeFailed    Reason = "handshake_failed"     // TLS failed for a cause of its own
	ReasonHandshakeTimeout   Reason = "handshake_timeout"    // TLS or CONNECT took too long
	ReasonConnectInvalid     Reason = "connect_invalid"      // the first packet is no acceptable CONNECT
	ReasonTooManyConnections Reason = "too_many_connections" // a limit of the listener
	ReasonPolicyDenied       Reason = "policy_denied"        // iot:Connect, or iot:Publish for the will
	ReasonFirstConnection    Reason = "first_connection"     // provisioned; configured to close as AWS does
	ReasonShutdown           Reason = "shutdown"             // the server is stopping
	ReasonTakenOver          Reason = "taken_over"           // another connection took the client ID
	ReasonBusy               Reason = "busy"                 // more devices want in than the server can serve
	ReasonSessionQuota       Reason = "session_quota"        // the account keeps as many sessions as it may
)
