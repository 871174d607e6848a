package muster

import "time"

// EventType says what an Event tells of. The set is closed.
type EventType string

// The types of events.
const (
	EventRegistered         EventType = "certificate.registered"          // by a connect, the API or a command
	EventProvisioned        EventType = "certificate.provisioned"         // its template ran
	EventProvisioningFailed EventType = "certificate.provisioning_failed" // Detail says why; told when that changes
	EventStatusChanged      EventType = "certificate.status_changed"      // from PreviousStatus to Status; a revocation is one
	EventDeleted            EventType = "certificate.deleted"             // in PreviousStatus
	EventTransferred        EventType = "certificate.transferred"         // another account, which Detail names, has accepted it
	EventRefused            EventType = "device.refused"                  // a connect, for Reason
	EventClosed             EventType = "device.closed"                   // a live connection, for Reason
)

// Event is something that happened to a certificate or to a device that shows
// it, for people and programs outside. Fields that a type has no use for are
// empty. It holds no certificate and no secret.
type Event struct {
	Type           EventType `json:"type"`
	Time           time.Time `json:"time"`
	Account        string    `json:"account,omitempty"` // "" for a stranger
	CertificateID  string    `json:"certificateId,omitempty"`
	AuthorityID    string    `json:"authorityId,omitempty"` // "" where no authority signed the certificate
	ThingName      string    `json:"thingName,omitempty"`
	Status         Status    `json:"status,omitempty"` // after what happened
	PreviousStatus Status    `json:"previousStatus,omitempty"`
	Reason         Reason    `json:"reason,omitempty"`
	Detail         string    `json:"detail,omitempty"` // for people
	ClientID       string    `json:"clientId,omitempty"`
	Remote         string    `json:"remote,omitempty"` // address and port
	// Count is how many alike EventRefused or EventClosed stands for: this one,
	// and those of the same certificate and reason that were not told since the
	// one before.
	Count int `json:"count,omitempty"`
}
