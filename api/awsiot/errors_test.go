package awsiot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/sigv4"
)

// TestTranslate has every error of the root package: one that is missing here
// becomes a 500 that nobody can act on.
func TestTranslate(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{muster.ErrNotFound, 404, "ResourceNotFoundException"},
		{muster.ErrExists, 409, "ResourceAlreadyExistsException"},
		{muster.ErrInvalid, 400, "InvalidRequestException"},
		{muster.ErrState, 406, "CertificateStateException"},
		{muster.ErrInUse, 409, "DeleteConflictException"},
		{muster.ErrLimit, 410, "LimitExceededException"},
		{muster.ErrCertificate, 400, "CertificateValidationException"},
		{muster.ErrRegistrationCode, 400, "RegistrationCodeValidationException"},
		{muster.ErrAmbiguous, 409, "CertificateConflictException"},
		{muster.ErrMalformedPolicy, 400, "MalformedPolicyException"},
		{muster.ErrConflict, 409, "ConflictingResourceUpdateException"},
		{context.Canceled, 503, "ServiceUnavailableException"},
		{context.DeadlineExceeded, 503, "ServiceUnavailableException"},
		{errors.New("disk full"), 500, "InternalFailureException"},
	} {
		f := translate(fmt.Errorf("policy p: %w", c.err), "us-east-1", "123456789012")
		if f.status != c.status || f.code != c.code {
			t.Errorf("%v: %d %s, want %d %s", c.err, f.status, f.code, c.status, c.code)
		}
		// What went wrong within stays in the log.
		if told := strings.Contains(f.message, "policy p"); told != (c.status < 500) {
			t.Errorf("%v: message %q", c.err, f.message)
		}
	}
}

func TestTranslateSignature(t *testing.T) {
	f := translate(&sigv4.Error{Code: "InvalidSignatureException", Status: 403, Message: "Signature expired: x"}, "", "")
	if f.status != 403 || f.code != "InvalidSignatureException" || f.message != "Signature expired: x" {
		t.Errorf("%+v", f)
	}
}

func TestTranslateExists(t *testing.T) {
	const id = "0123"
	own := translate(fmt.Errorf("register: %w", &muster.ExistsError{Resource: "cert/" + id}), "us-east-1", "123456789012")
	if own.resourceID != id || own.resourceARN != "arn:aws:iot:us-east-1:123456789012:cert/"+id {
		t.Errorf("%+v", own)
	}
	foreign := translate(&muster.ExistsError{Resource: "cacert/" + id, Foreign: true}, "us-east-1", "123456789012")
	if foreign.code != "ResourceAlreadyExistsException" || foreign.resourceID != "" || foreign.resourceARN != "" {
		t.Errorf("%+v", foreign)
	}
}
