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
	// Events says which kinds of events of its registry are published; one that is
	// absent is off.
	Events         map[EventKind]bool `json:"events,omitempty"`
	EventsModified time.Time          `json:"eventsModified,omitzero"`
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
	Name     string // for people; "" for none
	// ReadOnly lets it call operations that change nothing, and those alone.
	ReadOnly bool
	// Operations are those that it may call, in the words of the API, with * at the
	// end for any ending ("Describe*"); none means all.
	Operations []string
	Used       time.Time // when it last signed a request, to the hour after a restart; zero for never
}
