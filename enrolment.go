package muster

import (
	"encoding/json"
	"time"
)

// Enrolment asks the registry to register a certificate at its first connect,
// or to run the template again for one that is still PendingActivation.
type Enrolment struct {
	Account     string
	AuthorityID string
	PEM         string
	// Registration is what the template made; nil when the authority has no
	// template (JITR) or when Failure says that rendering failed.
	Registration *Registration
	Failure      string
}

// Enrolled is the record of a certificate after an Enrolment.
type Enrolled struct {
	Certificate
	// Wrote says that this enrolment changed the record; another caller's may
	// have, or nothing was to be changed.
	Wrote bool
}

// Provisioning asks the registry to apply what a template made to a certificate
// that exists: one that fleet provisioning issued and that waits as
// PendingActivation, with no authority.
type Provisioning struct {
	Account       string
	CertificateID string
	Registration  Registration
	// Template is the name of the fleet provisioning template that made it: it
	// has to exist and to be enabled, and the things that it makes are its own.
	Template string
}

// Provisioned is the record of a certificate after a Provisioning.
type Provisioned struct {
	Certificate
	// Wrote says that this call changed something; a repeat of the same does not.
	Wrote bool
}

// Principal is what a connection may act as: the certificate, the policies that
// reach it, and the thing that it is: the one that the certificate is attached to
// exclusively, or else the one of its things whose name is the client ID.
type Principal struct {
	Certificate Certificate
	Policies    []PrincipalPolicy // of the certificate and of the groups of its things
	Thing       *Thing
	Watch       []ResourceKey // whose change may change this answer
}

// ResourceKey names a resource within an account.
type ResourceKey struct {
	Kind ResourceKind `json:"kind"`
	ID   string       `json:"id,omitempty"` // certificate or authority ID, or name
}

// PrincipalPolicy is a policy text in force.
type PrincipalPolicy struct {
	Name     string
	Version  string
	Document string
}

// ResourceKind is a kind of resource, in the word that its ARN uses.
type ResourceKind string

// The kinds of resources.
const (
	KindCertificate ResourceKind = "cert"
	KindAuthority   ResourceKind = "cacert"
	KindIssuer      ResourceKind = "issuer" // no ARN: AWS has no such resource
	KindPolicy      ResourceKind = "policy"
	KindThing       ResourceKind = "thing"
	KindThingType   ResourceKind = "thingtype"
	KindThingGroup  ResourceKind = "thinggroup"
	KindTemplate    ResourceKind = "provisioningtemplate"
	KindAccount     ResourceKind = "account" // no ARN
)

// Change says that a resource was written or deleted.
type Change struct {
	Seq     uint64
	Kind    ResourceKind
	Account string
	ID      string // certificate or authority ID, or name
}

// Refusal is one remembered refusal, kept so that it can be explained later.
type Refusal struct {
	Time          time.Time       `json:"time"`                  // of the latest
	First         time.Time       `json:"first"`                 // of the first in a row for the same reason
	Count         int             `json:"count"`                 // how many in a row
	Account       string          `json:"account,omitempty"`     // "" for a stranger: never on disk
	AuthorityID   string          `json:"authorityId,omitempty"` // "" where none signed it, or none was needed
	CertificateID string          `json:"certificateId"`
	Reason        Reason          `json:"reason"`
	Detail        string          `json:"detail,omitempty"`
	ClientID      string          `json:"clientId,omitempty"`
	Remote        string          `json:"remote,omitempty"`
	Facts         json.RawMessage `json:"facts,omitempty"` // what the rules saw
}
