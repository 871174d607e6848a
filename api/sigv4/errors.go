package sigv4

import (
	"fmt"
	"net/http"
	"time"
)

// Error is a refusal in AWS's words: SDKs act on its Code and, for a wrong
// clock, on the beginning of its Message. Every other error of Verify means
// that the key could not be looked up.
type Error struct {
	Code    string
	Status  int // of the HTTP response
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func missing(message string) error {
	return &Error{"MissingAuthenticationTokenException", http.StatusForbidden, message}
}

func incomplete(format string, args ...any) error {
	return &Error{"IncompleteSignatureException", http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error {
	return &Error{"InvalidSignatureException", http.StatusForbidden, fmt.Sprintf(format, args...)}
}

func unrecognized(message string) error {
	return &Error{"UnrecognizedClientException", http.StatusForbidden, message}
}

// malformed is about a body in chunks whose signature may well be right.
func malformed(format string, args ...any) error {
	return &Error{"InvalidRequestException", http.StatusBadRequest, "Body in chunks: " + fmt.Sprintf(format, args...)}
}

// checkTime refuses a signature of a time that is too far from ours. SDKs look for
// these texts, or for the code and the Date header of the answer, to correct
// their clock and try again.
func (a *authorization) checkTime(now time.Time) error {
	now = now.UTC()
	past, told := maxSkew, "5 min."
	if a.presigned {
		past, told = a.expires, fmt.Sprintf("%d sec.", int(a.expires.Seconds()))
	}
	if early := now.Add(-past); a.signed.Before(early) {
		return invalid("Signature expired: %s is now earlier than %s (%s - %s)",
			a.signed.Format(timeFormat), early.Format(timeFormat), now.Format(timeFormat), told)
	}
	if late := now.Add(maxSkew); a.signed.After(late) {
		return invalid("Signature not yet current: %s is still later than %s (%s + 5 min.)",
			a.signed.Format(timeFormat), late.Format(timeFormat), now.Format(timeFormat))
	}
	return nil
}
