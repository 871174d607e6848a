package registry

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"github.com/muster-mqtt/muster"
)

const (
	// maxOneSubject is how many authorities of one subject an account may have.
	maxOneSubject = 10
	// maxSubjectAnswer bounds what AuthoritiesBySubject returns, and so the
	// signatures that a handshake has checked.
	maxSubjectAnswer = 100
)

// RegisterAuthority registers an authority, INACTIVE unless r.Active.
//
// A DEFAULT authority takes a verification certificate and may be held by one
// account only. An SNI_ONLY one may be held by several, also beside another
// account's DEFAULT: it proves nothing, so it neither keeps the one who can
// prove possession out, nor gets any device that does not name its account.
//
// Where an issuer document of a former registration still stands, its OCSP
// settings are taken over, but for a mode that a tag sets: registering anew does
// not switch the checking off either.
func (s *Store) RegisterAuthority(ctx context.Context, r AuthorityRegistration) (muster.Authority, error) {
	a, commonName, err := s.newAuthority(r)
	if err != nil {
		return muster.Authority{}, err
	}
	var out muster.Authority
	err = s.update(ctx, func(t *tx) error {
		account, _, err := read[muster.Account](t, KindAccount, a.Account)
		if err != nil {
			return err
		}
		if a.Mode == muster.ModeDefault {
			if err := checkCode(account, commonName); err != nil {
				return err
			}
		}
		if err := checkAuthorityRoom(t, a); err != nil {
			return err
		}
		if err := checkTemplate(t, a.Account, a.Registration); err != nil {
			return err
		}
		doc := *a
		if err := inheritOCSP(t, &doc); err != nil {
			return err
		}
		err = t.put(0, &doc)
		if errors.Is(err, muster.ErrExists) { // this account's is free: it is IndexDefault
			return &muster.ExistsError{Resource: "cacert/" + a.ID, Foreign: true}
		}
		if err != nil {
			return err
		}
		out = doc.Authority
		return ensureIssuer(t, out)
	})
	return out, err
}

// newAuthority checks what needs no look-up. The OCSP mode is empty unless a
// tag sets it.
func (s *Store) newAuthority(r AuthorityRegistration) (*authorityDoc, string, error) {
	now := s.now()
	if r.Mode == "" {
		r.Mode = muster.ModeDefault
	}
	if err := checkModeFields(r); err != nil {
		return nil, "", err
	}
	cert, err := parseAuthority(r.PEM, now)
	if err != nil {
		return nil, "", err
	}
	var commonName string
	if r.Mode == muster.ModeDefault {
		if commonName, err = checkPossession(r.VerificationPEM, cert, now); err != nil {
			return nil, "", err
		}
	}
	if err := checkRegistrar(r.Registration); err != nil {
		return nil, "", err
	}
	tags, err := sortedTags(r.Tags)
	if err != nil {
		return nil, "", err
	}
	mode, _, err := ocspMode(tags)
	if err != nil {
		return nil, "", err
	}
	return &authorityDoc{
		Subject: subjectHash(cert.RawSubject),
		Authority: muster.Authority{
			Account:          r.Account,
			ID:               muster.Fingerprint(cert.Raw),
			PEM:              r.PEM,
			Status:           statusOf(r.Active),
			Mode:             r.Mode,
			Verified:         true, // by checkPossession, or its mode asks for no proof
			AutoRegistration: r.AutoRegistration,
			Registration:     r.Registration,
			Tags:             tags,
			Created:          now,
			Modified:         now,
			Revision:         1,
			Generation:       randomUUID(),
			NotBefore:        cert.NotBefore,
			NotAfter:         cert.NotAfter,
			OCSP:             muster.OCSPSettings{Mode: mode},
		},
	}, commonName, nil
}

func checkModeFields(r AuthorityRegistration) error {
	switch {
	case r.Mode == muster.ModeDefault && r.VerificationPEM == "":
		return fmt.Errorf("mode DEFAULT needs a verification certificate, signed by the authority and with the registration code as its common name: %w", muster.ErrInvalid)
	case r.Mode == muster.ModeSNIOnly && r.VerificationPEM != "":
		return fmt.Errorf("mode SNI_ONLY takes no verification certificate: %w", muster.ErrInvalid)
	case r.Mode != muster.ModeDefault && r.Mode != muster.ModeSNIOnly:
		return fmt.Errorf("mode %q: want DEFAULT or SNI_ONLY: %w", r.Mode, muster.ErrInvalid)
	}
	return nil
}

func statusOf(active bool) muster.Status {
	if active {
		return muster.Active
	}
	return muster.Inactive
}

func checkCode(account muster.Account, commonName string) error {
	code := account.RegistrationCode
	if code == "" || subtle.ConstantTimeCompare([]byte(code), []byte(commonName)) != 1 {
		return fmt.Errorf("verification certificate: its common name %.70q is not the registration code of account %s, which GetRegistrationCode tells: %w",
			commonName, account.ID, muster.ErrRegistrationCode)
	}
	return nil
}

// checkAuthorityRoom refuses an authority that the account has already, and an
// eleventh of one subject.
func checkAuthorityRoom(r Reader, a *authorityDoc) error {
	found, err := exists(r, KindAuthority, docID(KindAuthority, a.Account, a.ID))
	if err != nil {
		return err
	}
	if found {
		return &muster.ExistsError{Resource: "cacert/" + a.ID}
	}
	namesakes, err := all[muster.Authority](r, KindAuthority, Query{Index: IndexSubject, Prefix: Key(a.Subject)})
	if err != nil {
		return err
	}
	own := 0
	for _, other := range namesakes {
		if other.Account == a.Account {
			own++
		}
	}
	if own >= maxOneSubject {
		return fmt.Errorf("%d authorities with the subject of %s: %w", own, a.ID, muster.ErrLimit)
	}
	return nil
}

// inheritOCSP completes the OCSP settings of a new authority.
func inheritOCSP(r Reader, a *authorityDoc) error {
	issuer, _, err := read[muster.Issuer](r, KindIssuer, docID(KindIssuer, a.Account, a.ID))
	if _, err := optional(0, err); err != nil {
		return err
	}
	tagged := a.OCSP.Mode
	a.OCSP = issuer.OCSP
	a.OCSP.Mode = cmp.Or(tagged, issuer.OCSP.Mode, muster.OCSPOff)
	return nil
}

// ensureIssuer makes the issuer document of an authority say what it says.
func ensureIssuer(t *tx, a muster.Authority) error {
	want := muster.Issuer{Account: a.Account, ID: a.ID, PEM: a.PEM, OCSP: a.OCSP}
	have, version, err := read[muster.Issuer](t, KindIssuer, docID(KindIssuer, a.Account, a.ID))
	if version, err = optional(version, err); err != nil {
		return err
	}
	if version != 0 && have == want {
		return nil
	}
	return t.put(version, &want)
}

// UpdateAuthority changes an authority. What is the same already is no change.
func (s *Store) UpdateAuthority(ctx context.Context, account, id string, u AuthorityUpdate) (muster.Authority, error) {
	err := checkAuthorityUpdate(u)
	if err == nil {
		u.OCSP, err = checkOCSPUpdate(u.OCSP)
	}
	if err != nil {
		return muster.Authority{}, fmt.Errorf("authority %s: %w", id, err)
	}
	now := s.now()
	var out muster.Authority
	err = s.update(ctx, func(t *tx) error {
		a, version, err := read[authorityDoc](t, KindAuthority, docID(KindAuthority, account, id))
		if err != nil {
			return err
		}
		changed, supervised := applyAuthorityUpdate(&a.Authority, u), setAuthorityOCSP(&a.Authority, u.OCSP)
		if changed {
			a.Modified = now
			a.Revision++
		}
		out = a.Authority
		if !changed && !supervised {
			return nil
		}
		if u.Registration != nil {
			if err := checkTemplate(t, account, a.Registration); err != nil {
				return err
			}
		}
		if err := t.put(version, &a); err != nil {
			return err
		}
		return ensureIssuer(t, a.Authority)
	})
	return out, err
}

func checkAuthorityUpdate(u AuthorityUpdate) error {
	if u.Status != nil && *u.Status != muster.Active && *u.Status != muster.Inactive {
		return fmt.Errorf("status %q: want ACTIVE or INACTIVE: %w", *u.Status, muster.ErrInvalid)
	}
	if u.Registration == nil {
		return nil
	}
	if u.RemoveRegistration {
		return fmt.Errorf("a template is bound or removed, not both: %w", muster.ErrInvalid)
	}
	if u.Registration.IsZero() {
		return fmt.Errorf("the registration configuration names no template: %w", muster.ErrInvalid)
	}
	return checkRegistrar(*u.Registration)
}

func applyAuthorityUpdate(a *muster.Authority, u AuthorityUpdate) (changed bool) {
	was := *a
	if u.Status != nil {
		a.Status = *u.Status
	}
	if u.AutoRegistration != nil {
		a.AutoRegistration = *u.AutoRegistration
	}
	if u.Registration != nil {
		a.Registration = *u.Registration
	}
	if u.RemoveRegistration {
		a.Registration = muster.Registrar{}
	}
	return was.Status != a.Status || was.AutoRegistration != a.AutoRegistration || was.Registration != a.Registration
}

// Authority returns an authority of the account.
func (s *Store) Authority(ctx context.Context, account, id string) (muster.Authority, error) {
	key := docID(KindAuthority, account, id)
	a, err := s.authorities.load(key, func() (muster.Authority, error) {
		return get[muster.Authority](ctx, s, KindAuthority, key)
	})
	a.Tags = slices.Clone(a.Tags)
	return a, err
}

// ListAuthorities lists the account's authorities in the order of their
// registration; with a templateName, those that it is bound to.
func (s *Store) ListAuthorities(ctx context.Context, account, templateName string, p Page) ([]muster.Authority, Cursor, error) {
	if templateName != "" {
		return list[muster.Authority](ctx, s, KindAuthority, IndexTemplate, Key(account, templateName), p)
	}
	return list[muster.Authority](ctx, s, KindAuthority, IndexOwner, Key(account), p)
}

// AuthoritiesBySubject returns the authorities of every account whose subject
// has this DER, newest first, at most 100. It is asked at each handshake of an
// unknown certificate, so that an empty answer is kept too.
func (s *Store) AuthoritiesBySubject(ctx context.Context, rawSubject []byte) ([]muster.Authority, error) {
	subject := subjectHash(rawSubject)
	shared, err := s.subjects.load(subject, func() ([]muster.Authority, error) {
		found, _, err := list[muster.Authority](ctx, s, KindAuthority, IndexSubject, Key(subject), Page{Desc: true, Limit: maxSubjectAnswer})
		return found, err
	})
	found := slices.Clone(shared)
	for i := range found {
		found[i].Tags = slices.Clone(found[i].Tags)
	}
	return found, err
}

// Issuer returns the certificate that signed others of this account, which may
// have outlived its authority.
func (s *Store) Issuer(ctx context.Context, account, id string) (muster.Issuer, error) {
	key := docID(KindIssuer, account, id)
	return s.issuers.load(key, func() (muster.Issuer, error) {
		return get[muster.Issuer](ctx, s, KindIssuer, key)
	})
}

// DeleteAuthority deletes an INACTIVE authority. The certificates that it
// signed stay as they are, and its issuer document stays while there are any.
func (s *Store) DeleteAuthority(ctx context.Context, account, id string) error {
	key := docID(KindAuthority, account, id)
	return s.update(ctx, func(t *tx) error {
		a, _, err := read[muster.Authority](t, KindAuthority, key)
		if err != nil {
			return err
		}
		if a.Status != muster.Inactive {
			return fmt.Errorf("authority %s: it is %s, set it INACTIVE first: %w", id, a.Status, muster.ErrState)
		}
		if err := t.remove(KindAuthority, key); err != nil {
			return err
		}
		return dropIssuer(t, account, id)
	})
}

// dropIssuer deletes the issuer document that neither an authority nor a
// certificate needs any more.
func dropIssuer(t *tx, account, id string) error {
	if id == "" {
		return nil
	}
	found, err := exists(t, KindAuthority, docID(KindAuthority, account, id))
	if err != nil || found {
		return err
	}
	certs, _, err := t.List(KindCert, Query{Index: IndexAuthority, Prefix: Key(account, id), Limit: 1})
	if err != nil || len(certs) > 0 {
		return err
	}
	key := docID(KindIssuer, account, id)
	if found, err = exists(t, KindIssuer, key); err != nil || !found {
		return err
	}
	return t.remove(KindIssuer, key)
}
