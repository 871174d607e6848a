package muster

import (
	"regexp"
	"time"
)

// Account owns authorities, certificates, things and policies, and has an MQTT
// name space of its own.
type Account struct {
	ID string `json:"id"` // 12 digits
	// Endpoint is the host name that devices of this account connect to. As
	// SNI it selects the account.
	Endpoint         string    `json:"endpoint"`
	RegistrationCode string    `json:"registrationCode,omitempty"` // 64 hex digits; "" until first asked for
	Created          time.Time `json:"created"`
}

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// ValidAccountID reports whether id has the form of an account: 12 digits.
func ValidAccountID(id string) bool { return accountID.MatchString(id) }

// AccessKey signs API requests for one account.
type AccessKey struct {
	ID       string
	Account  string
	Secret   string // in clear; sealed where it is stored, never logged
	Disabled bool
	Created  time.Time
}
