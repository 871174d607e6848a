package awsiot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/sigv4"
)

// fault is an error in AWS's words. SDKs act on the code, not on the status.
type fault struct {
	status                  int
	code                    string
	message                 string
	resourceID, resourceARN string        // of ResourceAlreadyExistsException
	allow                   []string      // methods, with 405
	again                   time.Duration // when to come again, with 429
}

func (f *fault) Error() string { return f.code + ": " + f.message }

func invalidRequest(format string, args ...any) error {
	return &fault{status: http.StatusBadRequest, code: "InvalidRequestException", message: fmt.Sprintf(format, args...)}
}

// answer sends the error as restJson1 has it: the code in a header, a body whose
// message is in lower case.
func (f *fault) answer(w http.ResponseWriter) {
	encoded, err := json.Marshal(struct {
		Message     string `json:"message"`
		ResourceID  string `json:"resourceId,omitempty"`
		ResourceARN string `json:"resourceArn,omitempty"`
	}{f.message, f.resourceID, f.resourceARN})
	if err != nil {
		encoded = []byte("{}") // strings always encode
	}
	w.Header().Set("X-Amzn-ErrorType", f.code)
	if len(f.allow) > 0 {
		w.Header().Set("Allow", strings.Join(f.allow, ", "))
	}
	if f.again > 0 {
		// The standard's, in seconds, and that of newer SDKs, in milliseconds.
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.again.Seconds()))))
		w.Header().Set("X-Amz-Retry-After", strconv.FormatInt(f.again.Milliseconds(), 10))
	}
	answer(w, f.status, encoded)
}

// translate names an error of the registry, of the signature or of an operation.
// What it does not know is an internal failure, whose text stays in the log.
func translate(err error, region, account string) *fault {
	var ready *fault
	var refused *sigv4.Error
	var exists *muster.ExistsError
	switch {
	case errors.As(err, &ready):
		return ready
	case errors.As(err, &refused):
		return &fault{status: refused.Status, code: refused.Code, message: refused.Message}
	case errors.As(err, &exists):
		return alreadyExists(exists, region, account)
	}
	status, code := name(err)
	f := &fault{status: status, code: code, message: err.Error()}
	if status >= http.StatusInternalServerError {
		f.message = "An internal failure occurred; the log has it under the id of this request."
	}
	return f
}

// name gives an error of the registry its AWS name. The first that it is counts.
func name(err error) (status int, code string) {
	switch {
	case errors.Is(err, muster.ErrNotFound):
		return http.StatusNotFound, "ResourceNotFoundException"
	case errors.Is(err, muster.ErrExists):
		return http.StatusConflict, "ResourceAlreadyExistsException"
	case errors.Is(err, muster.ErrState):
		return http.StatusNotAcceptable, "CertificateStateException"
	case errors.Is(err, muster.ErrInUse):
		return http.StatusConflict, "DeleteConflictException"
	case errors.Is(err, muster.ErrLimit):
		return http.StatusGone, "LimitExceededException"
	case errors.Is(err, muster.ErrRegistrationCode):
		return http.StatusBadRequest, "RegistrationCodeValidationException"
	case errors.Is(err, muster.ErrCertificate):
		return http.StatusBadRequest, "CertificateValidationException"
	case errors.Is(err, muster.ErrAmbiguous):
		return http.StatusConflict, "CertificateConflictException"
	case errors.Is(err, muster.ErrMalformedPolicy):
		return http.StatusBadRequest, "MalformedPolicyException"
	case errors.Is(err, muster.ErrVersion):
		return http.StatusConflict, "VersionConflictException"
	case errors.Is(err, muster.ErrVersions):
		return http.StatusConflict, "VersionsLimitExceededException"
	case errors.Is(err, muster.ErrTransfer):
		return http.StatusConflict, "TransferConflictException"
	case errors.Is(err, muster.ErrTransferDone):
		return http.StatusGone, "TransferAlreadyCompletedException"
	case errors.Is(err, muster.ErrRegistration):
		return http.StatusBadRequest, "ResourceRegistrationFailureException"
	case errors.Is(err, muster.ErrInvalid):
		return http.StatusBadRequest, "InvalidRequestException"
	case errors.Is(err, muster.ErrConflict):
		return http.StatusConflict, "ConflictingResourceUpdateException"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, "ServiceUnavailableException"
	}
	return http.StatusInternalServerError, "InternalFailureException"
}

// alreadyExists names the resource in the way, unless another account has it.
func alreadyExists(e *muster.ExistsError, region, account string) *fault {
	f := &fault{status: http.StatusConflict, code: "ResourceAlreadyExistsException"}
	if e.Foreign {
		f.message = "The resource is registered by another account already."
		return f
	}
	f.message = e.Error()
	_, f.resourceID, _ = strings.Cut(e.Resource, "/")
	f.resourceARN = muster.ARN(region, account, e.Resource)
	return f
}
