package muster

import "errors"

// What a store of these words answers with, wrapped with the operation and the
// key: "certificate 4f…: not found". Dialects translate them once, at their
// edge; nobody matches texts.
var (
	// ErrNotFound: the thing named does not exist in the account that asked.
	ErrNotFound = errors.New("not found")
	// ErrExists: it exists already, in this account or, for what may exist
	// only once, in another.
	ErrExists = errors.New("already exists")
	// ErrInvalid: a value breaks its form or a rule that needs no look-up.
	ErrInvalid = errors.New("invalid")
	// ErrState: the present status does not allow this.
	ErrState = errors.New("not allowed in this state")
	// ErrInUse: something that still refers to it must go first.
	ErrInUse = errors.New("in use")
	// ErrLimit: one more would pass a documented limit.
	ErrLimit = errors.New("limit reached")
	// ErrCertificate: a certificate is malformed, too weak, outside its
	// validity, or not signed by whom it should be.
	ErrCertificate = errors.New("certificate not acceptable")
	// ErrRegistrationCode: a verification certificate does not carry the
	// account's registration code as its common name.
	ErrRegistrationCode = errors.New("registration code does not match")
	// ErrAmbiguous: several candidates fit and the request selects none.
	ErrAmbiguous = errors.New("ambiguous")
	// ErrMalformedPolicy: a policy document does not parse.
	ErrMalformedPolicy = errors.New("malformed policy")
	// ErrConflict: it changed since it was read.
	ErrConflict = errors.New("changed meanwhile")
	// ErrVersion: it does not have the version that the caller expects.
	ErrVersion = errors.New("not of the expected version")
	// ErrVersions: it has as many versions as it may.
	ErrVersions = errors.New("too many versions")
	// ErrTransfer: a certificate cannot be transferred as it is attached.
	ErrTransfer = errors.New("cannot be transferred")
	// ErrTransferDone: a transfer is not under way (any more).
	ErrTransferDone = errors.New("transfer already completed")
	// ErrRegistration: what a template makes cannot be registered.
	ErrRegistration = errors.New("registration failed")
)

// ExistsError is an ErrExists that says which resource is in the way.
type ExistsError struct {
	Resource string // kind and key, as in an ARN: "cert/4f…"
	Foreign  bool   // held by another account: do not tell whose
}

func (e *ExistsError) Error() string { return e.Resource + ": already exists" }

// Is makes errors.Is(err, ErrExists) true.
func (e *ExistsError) Is(target error) bool { return target == ErrExists }
