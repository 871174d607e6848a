package muster

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Status is the state of a device certificate or of an authority, in the words
// of AWS IoT. The zero value is no status and admits nobody.
type Status string

// The states of a certificate. An authority is only ever Active or Inactive.
const (
	Active            Status = "ACTIVE"
	Inactive          Status = "INACTIVE"
	Revoked           Status = "REVOKED"            // terminal: only deletion follows
	PendingTransfer   Status = "PENDING_TRANSFER"   // offered to another account
	PendingActivation Status = "PENDING_ACTIVATION" // seen at a first connect, not let in yet
)

// Mode says whether a certificate may be held by one account or by several
// that tell themselves apart by SNI.
type Mode string

// The modes of RegisterCACertificate.
const (
	ModeDefault Mode = "DEFAULT"
	ModeSNIOnly Mode = "SNI_ONLY"
)

// Certificate is a registered device certificate. Its key is (Account, ID).
type Certificate struct {
	Account string `json:"account"`
	ID      string `json:"id"`  // Fingerprint of the DER
	PEM     string `json:"pem"` // as it was given, byte for byte
	Status  Status `json:"status"`
	Mode    Mode   `json:"mode"`
	// AuthorityID is the Fingerprint of the authority that signed it, which is
	// also the ID of its Issuer; empty when it was registered without one. It
	// stays when the authority is deleted.
	AuthorityID string    `json:"authorityId,omitempty"`
	Created     time.Time `json:"created"`
	Modified    time.Time `json:"modified"`
	Revision    int       `json:"revision"`   // customerVersion: 1 at first, one more at each change
	Generation  string    `json:"generation"` // generationId: opaque, new whenever the ID is registered anew
	NotBefore   time.Time `json:"notBefore"`
	NotAfter    time.Time `json:"notAfter"`

	Things []string `json:"things,omitempty"` // names of attached things, sorted
	// Exclusive says that the one thing in Things was attached exclusively
	// (EXCLUSIVE_THING): no other may be, and what connects with the certificate
	// is that thing whatever its client ID.
	Exclusive bool     `json:"exclusive,omitempty"`
	Policies  []string `json:"policies,omitempty"` // names of attached policies, sorted

	// ProvisioningFailure says why the template last failed; empty once it succeeded.
	ProvisioningFailure string `json:"provisioningFailure,omitempty"`

	// PreviousOwner is the account that transferred it here; "" if none did.
	PreviousOwner string   `json:"previousOwner,omitempty"`
	Transfer      Transfer `json:"transfer,omitzero"` // the last one; zero if there was none
	// Claim is the provisioning template that a claim certificate may be used
	// for (CreateProvisioningClaim). Such a certificate is not listed, has no
	// policies of its own, and may do nothing else. "" for any other.
	Claim string `json:"claim,omitempty"`
	// Expires is when the record goes by itself: that of a claim, and of a
	// certificate that fleet provisioning made and nobody has used. Zero: it stays.
	Expires time.Time `json:"expires,omitzero"`
}

// Transfer is the course of a certificate's transfer to another account, AWS's
// transferData. It is under way while the status is PendingTransfer.
type Transfer struct {
	To           string    `json:"to"` // account
	Message      string    `json:"message,omitempty"`
	RejectReason string    `json:"rejectReason,omitempty"`
	Offered      time.Time `json:"offered"`
	Accepted     time.Time `json:"accepted,omitzero"`
	Rejected     time.Time `json:"rejected,omitzero"`
}

// Fingerprint returns the lower-case hex SHA-256 of a certificate's DER, which
// is the ID of certificates and authorities alike.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// TombstoneKind says how a certificate left its account.
type TombstoneKind string

// The ways to leave.
const (
	TombstoneDeleted     TombstoneKind = "deleted"
	TombstoneTransferred TombstoneKind = "transferred"
)

// Tombstone keeps a certificate that left its account from being registered
// again by its next connect. It stands until the certificate's NotAfter.
type Tombstone struct {
	Account  string        `json:"account"`
	ID       string        `json:"id"`
	Mode     Mode          `json:"mode"`
	Kind     TombstoneKind `json:"kind"`
	To       string        `json:"to,omitempty"` // account that it was transferred to
	Created  time.Time     `json:"created"`
	NotAfter time.Time     `json:"notAfter"`
}
