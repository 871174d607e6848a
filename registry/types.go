package registry

import "github.com/muster-mqtt/muster"

// Page selects a part of a list. The zero value is the first page in ascending
// order.
type Page struct {
	After Cursor // what the previous page returned; nil is the start
	Limit int    // at most; 0 means 100, more than 1,000 means 1,000
	Desc  bool
}

// AuthorityRegistration is what RegisterAuthority takes.
type AuthorityRegistration struct {
	Account string
	PEM     string
	// VerificationPEM is a certificate that the authority's key signed over the
	// account's registration code. ModeDefault demands it, ModeSNIOnly forbids it.
	VerificationPEM  string
	Mode             muster.Mode // "" means ModeDefault
	Active           bool
	AutoRegistration bool
	Registration     muster.Registrar
	Tags             []muster.Tag
}

// AuthorityUpdate is what UpdateAuthority changes; a nil field stays as it is.
type AuthorityUpdate struct {
	Status             *muster.Status // Active or Inactive
	AutoRegistration   *bool
	Registration       *muster.Registrar
	RemoveRegistration bool // unbinds the template; excludes Registration
	OCSP               OCSPUpdate
}

// CertificateRegistration is what RegisterCertificate takes.
type CertificateRegistration struct {
	Account string
	PEM     string
	// CAPEM selects one of several authorities of one subject that signed the
	// certificate; "" otherwise.
	CAPEM     string
	WithoutCA bool          // no authority is looked for; the mode is ModeSNIOnly
	Status    muster.Status // Active, Inactive or Revoked; "" means Inactive
}
