package admission

import (
	"time"

	"github.com/muster-mqtt/muster"
)

// Facts is everything that the rules look at, and nothing else. It is kept as
// JSON with a refusal, so that the refusal can be explained later.
type Facts struct {
	Now  time.Time     `json:"now"`
	Skew time.Duration `json:"skew"` // tolerated difference of clocks

	Leaf      LeafFacts            `json:"leaf"`
	Account   string               `json:"account,omitempty"`   // "" while none could be told
	Ambiguous []string             `json:"ambiguous,omitempty"` // the accounts among which nothing selects
	SNI       string               `json:"sni,omitempty"`
	Tombstone muster.TombstoneKind `json:"tombstone,omitempty"`
	Record    RecordFacts          `json:"record"`
	Authority AuthorityFacts       `json:"authority"`
	Chain     ChainFacts           `json:"chain,omitzero"`
	// Expected says that a device was made beforehand for this certificate, so
	// that it may register although the authority registers no strangers.
	Expected bool `json:"expected,omitempty"`
	// ProvisioningFailure is why the template failed in this connect.
	ProvisioningFailure string    `json:"provisioningFailure,omitempty"`
	OCSP                OCSPFacts `json:"ocsp"`
	// Cause is what ended a connection outside the rules; none of them looks at
	// it, but the mend depends on it.
	Cause Cause `json:"cause,omitempty"`
}

// LeafFacts are those of the device's own certificate.
type LeafFacts struct {
	ID           string    `json:"id"`
	Subject      string    `json:"subject"`
	Issuer       string    `json:"issuer"`
	NotBefore    time.Time `json:"notBefore"`
	NotAfter     time.Time `json:"notAfter"`
	IsCA         bool      `json:"isCA,omitempty"`
	NoClientAuth bool      `json:"noClientAuth,omitempty"` // it has extended key usages, clientAuth not among them
	Weakness     string    `json:"weakness,omitempty"`
}

// RecordFacts are those of the certificate's record. The zero value is none.
type RecordFacts struct {
	Status      muster.Status `json:"status,omitempty"`      // "" when there is no record
	AuthorityID string        `json:"authorityId,omitempty"` // "" when it was registered without one
	Created     time.Time     `json:"created,omitzero"`
	Failure     string        `json:"failure,omitempty"` // why its template failed when it last ran
	// Offered says that the record is another account's, which offers it to this one.
	Offered bool      `json:"offered,omitempty"`
	Expires time.Time `json:"expires,omitzero"` // when the record goes by itself; zero: never
}

// AuthorityState is what rule 7 asks of the authority.
type AuthorityState string

// The states of an authority. The zero value is none: no key that is
// registered signed the certificate.
const (
	AuthorityNone       AuthorityState = ""
	AuthorityUsable     AuthorityState = "usable"
	AuthorityGone       AuthorityState = "gone" // the record names it, and it was deleted
	AuthorityUnverified AuthorityState = "unverified"
	AuthorityInactive   AuthorityState = "inactive"
	AuthorityExpired    AuthorityState = "expired"
)

// AuthorityFacts are those of the authority that signed the certificate, or
// that its record names.
type AuthorityFacts struct {
	ID               string         `json:"id,omitempty"`
	State            AuthorityState `json:"state,omitempty"`
	AutoRegistration bool           `json:"autoRegistration,omitempty"`
	Template         bool           `json:"template,omitempty"` // a template is bound (JITP)
	Pending          int            `json:"pending,omitempty"`  // certificates of it that are PENDING_ACTIVATION
	PendingCap       int            `json:"pendingCap,omitempty"`
}

// ChainFacts tell what is missing where no registered key signed the
// certificate. The zero value is that nothing is known.
type ChainFacts struct {
	Sent      int    `json:"sent,omitempty"`      // certificates that the device sent besides its own
	Issuer    string `json:"issuer,omitempty"`    // ID of the one among them that signed its own
	Above     string `json:"above,omitempty"`     // ID of the registered authority that signed Issuer
	Namesake  string `json:"namesake,omitempty"`  // ID of a registered authority of the issuer's name, with another key
	Elsewhere bool   `json:"elsewhere,omitempty"` // an authority of another account signed it
}

// AnswerStatus is what is known of a certificate's revocation.
type AnswerStatus string

// The words of an answer. The zero value counts as AnswerUnavailable.
const (
	AnswerNotAsked    AnswerStatus = ""
	AnswerGood        AnswerStatus = "good"
	AnswerRevoked     AnswerStatus = "revoked"
	AnswerUnknown     AnswerStatus = "unknown" // the responder does not know the certificate
	AnswerUnavailable AnswerStatus = "unavailable"
	AnswerBusy        AnswerStatus = "busy"   // nobody was asked, for this server has too many questions already
	AnswerNoURL       AnswerStatus = "no_url" // the certificate names no responder
)

// OCSPFacts are those of the issuer's responder.
type OCSPFacts struct {
	Mode       muster.OCSPMode `json:"mode,omitempty"`       // "" is off
	IssuerHeld bool            `json:"issuerHeld,omitempty"` // without the issuer's certificate nothing can be asked
	Answer     AnswerStatus    `json:"answer,omitempty"`
	Responder  string          `json:"responder,omitempty"` // the URL that was asked
	Detail     string          `json:"detail,omitempty"`    // what failed

	learned time.Time // when the answer came
}

// asks reports whether rules 12 and 13 have a say.
func (o OCSPFacts) asks() bool {
	return o.IssuerHeld && (o.Mode == muster.OCSPSoft || o.Mode == muster.OCSPHard)
}

// settled reports whether the answer is a responder's word on the certificate.
func (o OCSPFacts) settled() bool { return o.Answer == AnswerGood || o.Answer == AnswerRevoked }

func (o *OCSPFacts) learn(a Answer) {
	o.learned = time.Now()
	o.Answer, o.Responder, o.Detail = a.Status, clip(a.Responder), clip(a.Detail)
}

// recall takes over what was found out earlier, and leaves the settings.
func (o *OCSPFacts) recall(earlier OCSPFacts) {
	o.Answer, o.Responder, o.Detail = earlier.Answer, earlier.Responder, earlier.Detail
}
