package ocsp

import "time"

// Status is what is known of a certificate. The zero value says that nobody
// asked.
type Status uint8

// The statuses. Good, Revoked and Unknown are a responder's own words; the
// other three are ours.
const (
	NotAsked    Status = iota
	Good               // it stands
	Revoked            // it was revoked, or is on hold
	Unknown            // the responder does not know it
	Unavailable        // no answer that counts could be had
	NoURL              // the certificate names no responder
)

var statusWords = [...]string{"not_asked", "good", "revoked", "unknown", "unavailable", "no_url"}

// String returns the status as one bounded word, for logs and metrics.
func (s Status) String() string {
	if int(s) >= len(statusWords) {
		return "invalid"
	}
	return statusWords[s]
}

// Answer is what Check or Validate found out about a certificate.
type Answer struct {
	Status     Status
	Hold       bool      // revoked by certificateHold, which may be lifted again
	RevokedAt  time.Time // zero unless Revoked
	ThisUpdate time.Time // when the responder knew this to be so
	NextUpdate time.Time // when it will know better; zero: at any time
	// Expires is when the answer must be asked for again: the earliest of
	// NextUpdate, the end of the signer's validity and the bounds of Limits.
	// Zero for a final revocation, which does not lapse.
	Expires time.Time
	// Refresh is from when on a Check asks again in the background, and answers
	// this meanwhile. Zero: not before it expires.
	Refresh   time.Time
	Source    Source
	Responder string // the URL that gave it or was tried last; empty if the Cache had kept it or the device brought it
	Fault     Fault  // why Unavailable, in one word
	// Detail says in a sentence why the answer is Unavailable, and why what the
	// device brought did not count.
	Detail string
}

// Final reports whether the certificate was revoked for good: every reason but
// certificateHold is irreversible (RFC 5280 §5.3.1).
func (a Answer) Final() bool { return a.Status == Revoked && !a.Hold }

// proves reports whether the answer was signed and says what the certificate
// is worth.
func (a Answer) proves() bool { return a.Status == Good || a.Status == Revoked }

func unavailable(f Fault, detail string) Answer {
	return Answer{Status: Unavailable, Fault: f, Detail: detail}
}
