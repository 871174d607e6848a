package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/muster-mqtt/muster"
)

// Code is the errorCode of a rejection, as a word for logs and metrics too.
type Code string

// The codes. The set is closed. AWS publishes no list: the first two, and
// InvalidPayload, are those that devices have been seen to get.
const (
	CodeToken         Code = "InvalidCertificateOwnershipToken"
	CodeDenied        Code = "AccessDenied"
	CodePayload       Code = "InvalidPayload"
	CodeCSR           Code = "InvalidCertificateSigningRequest"
	CodeParameters    Code = "InvalidParameters"
	CodeNotSubscribed Code = "NotSubscribed"
	CodeNotFound      Code = "ResourceNotFound"
	CodeConflict      Code = "ResourceConflict"
	CodeThrottling    Code = "Throttling"
	CodeInternal      Code = "InternalFailure"
	CodeUnavailable   Code = "ServiceUnavailable"
)

// Codes lists them all.
func Codes() []Code {
	return []Code{
		CodeToken, CodeDenied, CodePayload, CodeCSR, CodeParameters, CodeNotSubscribed,
		CodeNotFound, CodeConflict, CodeThrottling, CodeInternal, CodeUnavailable,
	}
}

// status is the statusCode that goes with a code.
func (c Code) status() int {
	switch c {
	case CodeDenied:
		return http.StatusForbidden
	case CodeNotFound:
		return http.StatusNotFound
	case CodeConflict:
		return http.StatusConflict
	case CodeThrottling:
		return http.StatusTooManyRequests
	case CodeInternal:
		return http.StatusInternalServerError
	case CodeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// rejection is a request that is not granted.
type rejection struct {
	code    Code
	message string // for the device
	detail  string // for the operator; "" is the message
}

func (r *rejection) Error() string {
	if r.detail != "" {
		return r.detail
	}
	return r.message
}

func reject(code Code, format string, args ...any) *rejection {
	return &rejection{code: code, message: fmt.Sprintf(format, args...)}
}

// because has the operator read more than the device is told.
func (r *rejection) because(format string, args ...any) *rejection {
	r.detail = fmt.Sprintf(format, args...)
	return r
}

// rejectionOf turns what went wrong into what the device is told. What is not
// its business is for the log alone.
func rejectionOf(err error) *rejection {
	var r *rejection
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, muster.ErrLimit):
		return reject(CodeThrottling, "a limit of the account is reached").because("%v", err)
	case errors.Is(err, muster.ErrNotFound):
		return reject(CodeNotFound, "%v", err)
	case errors.Is(err, muster.ErrExists), errors.Is(err, muster.ErrRegistration), errors.Is(err, muster.ErrConflict),
		errors.Is(err, muster.ErrState), errors.Is(err, muster.ErrInUse):
		return reject(CodeConflict, "%v", err)
	case errors.Is(err, muster.ErrInvalid), errors.Is(err, muster.ErrMalformedPolicy):
		return reject(CodeParameters, "%v", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return reject(CodeUnavailable, "the server is busy or stops; try again").because("%v", err)
	}
	return reject(CodeInternal, "the server could not do it").because("%v", err)
}
