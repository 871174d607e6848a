package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/muster-mqtt/muster"
)

// RegisterThing applies what an operator's template made, whole or not at all, to
// the certificate that it names: one that is registered, one that it brings, or
// one that is issued for the request in it. What is there already, all of it, is
// answered and written no second time.
//
// The status is set whatever it was, unless StatusOverride says DO_NOTHING; but a
// certificate that waits for its activation has nobody's word on it yet, so that
// the template's holds. One that is REVOKED or offered to another account is not
// provisioned. A thing is the operator's to speak for, whoever's template made it.
//
// What cannot be written is ErrRegistration, or ErrConflict where OverrideSettings
// say FAIL; the errors of RegisterCertificate and IssueCertificate come as they
// are, and a certificate that the account does not have is ErrNotFound.
func (s *Store) RegisterThing(ctx context.Context, account string, r muster.Registration) (muster.Provisioned, error) {
	none := muster.Provisioned{}
	job, err := newApplication(account, "", r, s.now())
	if err != nil {
		return none, err
	}
	named, err := s.named(ctx, account, r)
	if err != nil {
		return none, err
	}
	var out muster.Provisioned
	err = s.update(ctx, func(t *tx) error {
		c, err := t.toRegister(named)
		if err != nil {
			return err
		}
		status, err := statusFor(c, &r)
		if err != nil {
			return err
		}
		if err := job.run(t, c, status); err != nil {
			return err
		}
		out = muster.Provisioned{Certificate: c.Certificate, Wrote: len(t.written) > 0}
		return nil
	})
	var exists *muster.ExistsError
	if errors.Is(err, muster.ErrExists) && !errors.As(err, &exists) { // all else was looked up: it is IndexDefault
		err = &muster.ExistsError{Resource: "cert/" + named.ID, Foreign: true}
	}
	if err != nil {
		return none, err
	}
	return out, nil
}

// named returns the record that is to be created, or no more than the ID of one
// that there is.
func (s *Store) named(ctx context.Context, account string, r muster.Registration) (muster.Certificate, error) {
	stored := muster.Certificate{Account: account}
	source := r.Source
	switch {
	case source == nil:
		return stored, fmt.Errorf("the registration names no certificate: %w", muster.ErrInvalid)
	case source.CSR != "":
		issued, err := s.issue(ctx, account, source.CSR, issuedUntil)
		return issued.Certificate, err
	case source.PEM == "":
		stored.ID = source.ID
		return stored, nil
	}
	cert, err := parsePEM("device certificate", source.PEM)
	if err != nil {
		return stored, err
	}
	stored.ID = muster.Fingerprint(cert.Raw)
	_, err = s.Certificate(ctx, account, stored.ID)
	if errors.Is(err, muster.ErrNotFound) {
		return s.newCertificate(ctx, CertificateRegistration{Account: account, PEM: source.PEM, CAPEM: source.CAPEM})
	}
	return stored, err
}

// toRegister returns the certificate that named stands for. One that was to be
// created may have been, meanwhile, by the same call made twice.
func (t *tx) toRegister(named muster.Certificate) (*certificateTx, error) {
	c, err := t.certificate(named.Account, named.ID)
	if named.PEM == "" || !errors.Is(err, muster.ErrNotFound) {
		return c, err
	}
	return &certificateTx{Certificate: named}, t.makeRoom(named)
}

// statusFor is the status that a certificate shall have.
func statusFor(c *certificateTx, r *muster.Registration) (muster.Status, error) {
	switch {
	case c.version == 0 || c.Status == muster.PendingActivation:
		return r.Status, nil
	case c.Status == muster.Revoked, c.Status == muster.PendingTransfer:
		return "", obstructed("the certificate %s is %s, and nothing is provisioned for it", c.ID, c.Status)
	case r.StatusOverride == muster.OverrideFail:
		return "", &obstacle{fmt.Sprintf("the certificate %s exists, and the template's OverrideSettings say FAIL for Status", c.ID), muster.ErrConflict}
	case r.StatusOverride == muster.OverrideDoNothing:
		return c.Status, nil
	}
	return r.Status, nil
}
