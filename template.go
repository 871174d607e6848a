package muster

import "time"

// TemplateType says who may use a provisioning template.
type TemplateType string

// The types of CreateProvisioningTemplate.
const (
	TemplateFleet TemplateType = "FLEET_PROVISIONING"
	TemplateJITP  TemplateType = "JITP"
)

// Template is a named provisioning template with up to five versions, one of
// them in force. Its key is (Account, Name).
type Template struct {
	Account     string            `json:"account"`
	Name        string            `json:"name"`
	Type        TemplateType      `json:"type"`
	Description string            `json:"description,omitempty"`
	Enabled     bool              `json:"enabled"`
	RoleARN     string            `json:"roleArn"` // kept and shown; Muster needs no role
	Versions    []TemplateVersion `json:"versions"`
	Default     int               `json:"default"`
	Next        int               `json:"next"`
	Hook        *Hook             `json:"hook,omitempty"` // of TemplateFleet alone; nil for none
	Tags        []Tag             `json:"tags,omitempty"`
	Created     time.Time         `json:"created"`
	Modified    time.Time         `json:"modified"`
}

// Hook is a pre-provisioning hook: who is asked before a device provisions
// itself by the template.
type Hook struct {
	TargetARN      string `json:"targetArn"`                // the configuration says where it is
	PayloadVersion string `json:"payloadVersion,omitempty"` // "2020-04-01"
}

// TemplateVersion is one text of a template.
type TemplateVersion struct {
	ID      int       `json:"id"` // from 1
	Body    string    `json:"body"`
	Created time.Time `json:"created"`
}

// Body returns the text of the version in force, or "" if there is none.
func (t Template) Body() string {
	for _, v := range t.Versions {
		if v.ID == t.Default {
			return v.Body
		}
	}
	return ""
}

// Override says what a template does to a resource that exists already: the
// values of OverrideSettings. The zero value is none given.
type Override string

// The values of OverrideSettings.
const (
	OverrideDoNothing Override = "DO_NOTHING" // keep what is there
	OverrideReplace   Override = "REPLACE"
	OverrideFail      Override = "FAIL"
	OverrideMerge     Override = "MERGE" // of attributes and groups alone
)

// Registration is what a template makes of one certificate: everything to
// write, with no reference left open. It is applied whole or not at all.
type Registration struct {
	Status   Status              `json:"status"`             // of the certificate: Active or Inactive
	Thing    *RegistrationThing  `json:"thing,omitempty"`    // nil when the template names none
	Policies []RegistrationGrant `json:"policies,omitempty"` // attached to the certificate
	// StatusOverride is the certificate's OverrideSettings. What registers the
	// certificate itself need not ask for it: nothing was there before.
	StatusOverride Override `json:"statusOverride,omitempty"`
	// DeviceConfiguration is told to a device that provisions itself by a claim;
	// a first connect has no place for it.
	DeviceConfiguration map[string]string `json:"deviceConfiguration,omitempty"`
	// Source is where the certificate comes from; nil if it is the one that
	// connects, or that is provisioned by a claim.
	Source *CertificateSource `json:"source,omitempty"`
	// Resources are what the template names, by their logical IDs in it. That of
	// the certificate has no ID here: it may be issued only later.
	Resources map[string]ResourceKey `json:"resources,omitempty"`
}

// CertificateSource is the certificate that the template of a RegisterThing
// request names: exactly one of ID, CSR and PEM.
type CertificateSource struct {
	ID    string `json:"id,omitempty"`    // of one that is registered
	CSR   string `json:"csr,omitempty"`   // PEM; it is issued
	PEM   string `json:"pem,omitempty"`   // it is registered unless it is already
	CAPEM string `json:"caPem,omitempty"` // with PEM: which of several authorities signed it; "" where there is one
}

// RegistrationThing is the thing that a template makes or finds.
type RegistrationThing struct {
	Name       string            `json:"name"`
	Type       string            `json:"type,omitempty"`       // must exist; "" for none
	Groups     []string          `json:"groups,omitempty"`     // must exist
	Attributes map[string]string `json:"attributes,omitempty"` // of a new thing; Override says what becomes of those of an existing one
	Billing    string            `json:"billing,omitempty"`
	// Override says what becomes of a thing that exists; nil if the template has
	// no OverrideSettings for it: then it is kept as it is, and one that another
	// authority's template made is not taken over.
	Override *ThingOverride `json:"override,omitempty"`
}

// ThingOverride is the OverrideSettings of a thing. What is not given there is
// OverrideDoNothing.
type ThingOverride struct {
	Attributes Override `json:"attributes"`
	Type       Override `json:"type"` // never OverrideMerge
	Groups     Override `json:"groups"`
}

// RegistrationGrant is a policy that a template attaches: one that exists by
// Name, or one that is made of Document under the Name derived from it.
type RegistrationGrant struct {
	Name     string `json:"name"`
	Document string `json:"document,omitempty"` // "" when the policy must exist
}
