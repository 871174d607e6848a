package muster

import "time"

// OCSPMode says how much an account relies on an authority's OCSP responder.
// The zero value is OCSPOff.
type OCSPMode string

// The modes, as the tag TagOCSP writes them.
const (
	OCSPOff  OCSPMode = "off"  // never asked
	OCSPSoft OCSPMode = "soft" // an active device is admitted while the responder cannot be asked; a new one waits
	OCSPHard OCSPMode = "hard" // nobody is admitted without a fresh answer
)

// TagOCSP is the tag of an authority that sets its OCSPMode.
const TagOCSP = "muster:ocsp"

// Authority is a certificate authority that an account registered: the direct
// issuer of its devices' certificates. Its key is (Account, ID).
type Authority struct {
	Account string `json:"account"`
	ID      string `json:"id"`  // Fingerprint of the DER
	PEM     string `json:"pem"` // as it was given, byte for byte
	Status  Status `json:"status"`
	Mode    Mode   `json:"mode"`
	// Verified says that the account showed possession of the key, or that its
	// mode asks for no such proof. An unverified authority registers nobody.
	Verified         bool         `json:"verified"`
	AutoRegistration bool         `json:"autoRegistration"` // AWS: allowAutoRegistration; IoTDA: provision_enable
	Registration     Registrar    `json:"registration,omitzero"`
	Tags             []Tag        `json:"tags,omitempty"` // sorted by key
	Created          time.Time    `json:"created"`
	Modified         time.Time    `json:"modified"`
	Revision         int          `json:"revision"`
	Generation       string       `json:"generation"`
	NotBefore        time.Time    `json:"notBefore"`
	NotAfter         time.Time    `json:"notAfter"`
	OCSP             OCSPSettings `json:"ocsp,omitzero"`
}

// Registrar is what an authority does with a certificate it sees first: AWS's
// registrationConfig. At most one of TemplateName and TemplateBody is set;
// none means that the certificate waits for an operator (JITR).
type Registrar struct {
	TemplateName string `json:"templateName,omitempty"`
	TemplateBody string `json:"templateBody,omitempty"`
	RoleARN      string `json:"roleArn,omitempty"` // kept and shown; Muster needs no role
}

// IsZero reports whether no template is bound.
func (r Registrar) IsZero() bool { return r == Registrar{} }

// OCSPNonce says whether requests carry a nonce (RFC 9654), which keeps old
// answers from being replayed. The zero value is OCSPNonceOff: most responders
// sign their answers ahead of time and have none to give back.
type OCSPNonce string

// The ways to use a nonce.
const (
	OCSPNonceOff      OCSPNonce = "off"
	OCSPNonceOptional OCSPNonce = "optional" // sent; an answer without one counts, one with another does not
	OCSPNonceRequired OCSPNonce = "required" // only an answer that has it counts
)

// OCSPSettings is how to ask whether an issuer's certificates still stand. The
// zero value asks nobody. Two of them are equal if they say the same.
type OCSPSettings struct {
	Mode OCSPMode `json:"mode,omitempty"`
	// Responder is the http or https URL that is asked instead of those that the
	// certificates name; "" asks those.
	Responder string `json:"responder,omitempty"`
	// ResponderCA are the roots, PEM, by which https responders are trusted; ""
	// leaves that to the roots of the system.
	ResponderCA string    `json:"responderCA,omitempty"`
	Nonce       OCSPNonce `json:"nonce,omitempty"`
}

// Issuer is the certificate that signed others, with its OCSP settings. It
// outlives the Authority of the same ID while a certificate names it, so that
// deleting an authority does not switch off the checking of its devices.
type Issuer struct {
	Account string       `json:"account"`
	ID      string       `json:"id"` // Fingerprint of the DER
	PEM     string       `json:"pem"`
	OCSP    OCSPSettings `json:"ocsp,omitzero"`
}

// Tag is metadata of a resource. Its JSON names are those of AWS's API.
type Tag struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}
