package registry

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/muster-mqtt/muster"
)

// RegisterCertificate registers a device's certificate by hand. Its signer has
// to be an ACTIVE authority of the account (ErrState when it is not, ErrCertificate
// when there is none) unless r.WithoutCA; where several ACTIVE ones hold a key
// that signed it, r.CAPEM selects (else ErrAmbiguous). A tombstone of the
// certificate goes.
func (s *Store) RegisterCertificate(ctx context.Context, r CertificateRegistration) (muster.Certificate, error) {
	c, err := s.newCertificate(ctx, r)
	if err != nil {
		return muster.Certificate{}, err
	}
	err = s.update(ctx, func(t *tx) error {
		if err := t.makeRoom(c); err != nil {
			return err
		}
		err := t.putCertificate(&certificateTx{Certificate: c})
		if errors.Is(err, muster.ErrExists) { // this account's is free: it is IndexDefault
			return &muster.ExistsError{Resource: "cert/" + c.ID, Foreign: true}
		}
		return err
	})
	if err != nil {
		return muster.Certificate{}, err
	}
	return c, nil
}

// makeRoom is for a record that an operator has created: the account does not have
// it, its authority may register certificates still, and a tombstone goes.
func (t *tx) makeRoom(c muster.Certificate) error {
	if err := require(t, KindAccount, c.Account); err != nil {
		return err
	}
	found, err := exists(t, KindCert, docID(KindCert, c.Account, c.ID))
	if err != nil {
		return err
	}
	if found {
		return &muster.ExistsError{Resource: "cert/" + c.ID}
	}
	if c.AuthorityID != "" { // it was read outside this transaction
		a, _, err := read[muster.Authority](t, KindAuthority, docID(KindAuthority, c.Account, c.AuthorityID))
		if errors.Is(err, muster.ErrNotFound) { // which would mean the certificate
			return fmt.Errorf("authority %s: it was deleted meanwhile: %w", c.AuthorityID, muster.ErrState)
		}
		if err != nil {
			return err
		}
		if err := checkSigner(a); err != nil {
			return err
		}
	}
	return dropTombstone(t, c.Account, c.ID)
}

// newCertificate checks what the transaction need not judge.
func (s *Store) newCertificate(ctx context.Context, r CertificateRegistration) (muster.Certificate, error) {
	none := muster.Certificate{}
	status, err := registrationStatus(r.Status)
	if err != nil {
		return none, err
	}
	if r.WithoutCA && r.CAPEM != "" {
		return none, fmt.Errorf("a certificate registered without an authority takes no CA certificate: %w", muster.ErrInvalid)
	}
	now := s.now()
	cert, err := parseDevice(r.PEM, now, r.WithoutCA)
	if err != nil {
		return none, err
	}
	c := muster.Certificate{
		Account:    r.Account,
		ID:         muster.Fingerprint(cert.Raw),
		PEM:        r.PEM,
		Status:     status,
		Mode:       muster.ModeSNIOnly,
		Created:    now,
		Modified:   now,
		Revision:   1,
		Generation: randomUUID(),
		NotBefore:  cert.NotBefore,
		NotAfter:   cert.NotAfter,
	}
	if !r.WithoutCA {
		signer, err := s.findSigner(ctx, r, cert)
		if err != nil {
			return none, err
		}
		c.AuthorityID, c.Mode = signer.ID, signer.Mode
	}
	return c, nil
}

func registrationStatus(status muster.Status) (muster.Status, error) {
	switch status {
	case "":
		return muster.Inactive, nil
	case muster.Active, muster.Inactive, muster.Revoked:
		return status, nil
	case muster.PendingActivation, muster.PendingTransfer, registerInactive:
		return "", fmt.Errorf("a certificate cannot be registered as %s; register it as ACTIVE or INACTIVE: %w", status, muster.ErrState)
	}
	return "", fmt.Errorf("status %q: want ACTIVE, INACTIVE or REVOKED: %w", status, muster.ErrInvalid)
}

// findSigner returns the one authority of the account that signed cert.
func (s *Store) findSigner(ctx context.Context, r CertificateRegistration, cert *x509.Certificate) (muster.Authority, error) {
	const what = "device certificate"
	none := muster.Authority{}
	var selected string
	if r.CAPEM != "" {
		ca, err := parsePEM("CA certificate", r.CAPEM)
		if err != nil {
			return none, err
		}
		selected = muster.Fingerprint(ca.Raw)
	}
	var namesakes []muster.Authority
	err := s.engine.View(ctx, func(v Reader) (err error) {
		namesakes, err = all[muster.Authority](v, KindAuthority, Query{Index: IndexSubject, Prefix: Key(subjectHash(cert.RawIssuer))})
		return err
	})
	if err != nil {
		return none, err
	}
	var known bool
	var signers []muster.Authority
	for _, a := range namesakes {
		if a.Account != r.Account || selected != "" && a.ID != selected {
			continue
		}
		known = true
		ca, err := parsePEM("authority "+a.ID, a.PEM)
		if err != nil {
			return none, err
		}
		if checkSignature(what, cert, ca) == nil {
			signers = append(signers, a)
		}
	}
	switch {
	case !known && selected != "":
		return none, fmt.Errorf("%s: the CA certificate given is no registered authority with the subject %s: %w", what, cert.Issuer, muster.ErrCertificate)
	case !known:
		return none, fmt.Errorf("%s: its issuer %s is not registered; register that authority, or this certificate without one: %w", what, cert.Issuer, muster.ErrCertificate)
	case len(signers) == 0:
		return none, fmt.Errorf("%s: not signed by the key of the registered authority %s: %w", what, cert.Issuer, muster.ErrCertificate)
	}
	return chooseSigner(signers)
}

// chooseSigner returns the only one that may register.
func chooseSigner(signers []muster.Authority) (muster.Authority, error) {
	var usable []muster.Authority
	for _, a := range signers {
		if checkSigner(a) == nil {
			usable = append(usable, a)
		}
	}
	switch len(usable) {
	case 0:
		return muster.Authority{}, checkSigner(signers[0])
	case 1:
		return usable[0], nil
	}
	return muster.Authority{}, fmt.Errorf("device certificate: %d registered authorities hold the key that signed it; name one by its CA certificate: %w", len(usable), muster.ErrAmbiguous)
}

// checkSigner says whether an authority may register certificates at all.
func checkSigner(a muster.Authority) error {
	if !a.Verified {
		return fmt.Errorf("authority %s: possession of its key was not shown: %w", a.ID, muster.ErrState)
	}
	if a.Status != muster.Active {
		return fmt.Errorf("authority %s: it is %s, set it ACTIVE first: %w", a.ID, a.Status, muster.ErrState)
	}
	return nil
}

func dropTombstone(t *tx, account, id string) error {
	key := docID(KindTombstone, account, id)
	found, err := exists(t, KindTombstone, key)
	if err != nil || !found {
		return err
	}
	return t.remove(KindTombstone, key)
}
