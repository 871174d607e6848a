package fleet

import (
	"context"
	"errors"

	"github.com/muster-mqtt/muster"
)

// createdAnswer is the payload of a certificate that was made.
type createdAnswer struct {
	CertificateID  string `json:"certificateId"`
	CertificatePEM string `json:"certificatePem"`
	PrivateKey     string `json:"privateKey,omitempty"` // of OpCreate alone
	OwnershipToken string `json:"certificateOwnershipToken"`
}

// create makes a certificate that waits for its provisioning.
func (s *Service) create(ctx context.Context, r Request, a address) (any, error) {
	csr, err := s.readCreate(a, r.Payload)
	if err != nil {
		return nil, err
	}
	asking, err := s.asking(ctx, r)
	if err == nil && asking.Claim != "" { // what could not be provisioned is not made
		_, err = s.usable(ctx, r.Account, asking.Claim)
	}
	if err != nil {
		return nil, err
	}
	start := s.now()
	if !s.unused.reserve(r.Account, r.CertificateID, start) {
		return nil, reject(CodeThrottling, "too many certificates were made that nobody has provisioned; they go after an hour").
			because("%d certificates of this claim, or %d of the account, were made and not provisioned", maxClaimUnused, maxUnused)
	}
	expires := start.Add(tokenLife)
	issued, err := s.registry.IssueCertificate(ctx, muster.Issuance{
		Account: r.Account, CSR: csr, Status: muster.PendingActivation, Expires: expires,
	})
	if err != nil {
		s.unused.release(r.Account, r.CertificateID)
		if csr != "" && (errors.Is(err, muster.ErrInvalid) || errors.Is(err, muster.ErrCertificate)) {
			return nil, reject(CodeCSR, "%v", err)
		}
		return nil, err
	}
	s.unused.keep(r.Account, r.CertificateID, issued.ID, expires)
	token, err := s.tokens.make(r.Account, ownership{issued.ID, r.CertificateID, expires})
	if err != nil {
		return nil, err
	}
	s.log.Info().Str("event", "fleet_created").Str("certificate", issued.ID).Str("claim", r.CertificateID).
		Str("client", short(r.ClientID)).Str("account", r.Account).Str("remote", r.Remote).Msg("certificate made for a device")
	return createdAnswer{issued.ID, issued.PEM, issued.PrivateKey, token}, nil
}

// maxCSR is how long a request may be (CreateCertificateFromCsr of the AWS IoT
// API reference).
const maxCSR = 4096

// readCreate reads a request for a certificate. One for a key pair too has
// nothing to say: AWS's SDKs send {} or no bytes.
func (s *Service) readCreate(a address, payload []byte) (csr string, err error) {
	if a.op == OpCreate && len(payload) == 0 {
		return "", nil
	}
	m, err := s.codec.read(a.format, payload)
	if err != nil {
		return "", reject(CodePayload, "the request cannot be read: %v", err)
	}
	const name = "certificateSigningRequest"
	if a.op == OpCreate {
		err = m.only()
	} else {
		err = m.only(name)
	}
	if err == nil {
		csr, err = m.text(name)
	}
	switch {
	case err != nil:
		return "", reject(CodePayload, "the request cannot be read: %v", err)
	case a.op == OpFromCSR && csr == "":
		return "", reject(CodePayload, "%s is missing", name)
	case len(csr) > maxCSR:
		return "", reject(CodeCSR, "%s has %d bytes, at most %d are read", name, len(csr), maxCSR)
	}
	return csr, nil
}
