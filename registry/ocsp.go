package registry

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/muster-mqtt/muster"
)

const (
	maxResponder    = 2048     // characters of a responder's URL
	maxResponderCA  = 64 << 10 // bytes of the PEM text of its roots
	maxResponderCAs = 20       // certificates in it
)

// OCSPUpdate is what SetOCSP changes; a nil field stays as it is.
type OCSPUpdate struct {
	Mode        *muster.OCSPMode
	Responder   *string // "": those that the certificates name
	ResponderCA *string // "": the roots of the system
	Nonce       *muster.OCSPNonce
}

// SetOCSP changes the OCSP settings of an issuer, whose authority may be deleted,
// in one transaction, and returns them. Nothing is written when they say the
// same already.
//
// An authority that has the tag TagOCSP keeps it, with the new mode as its
// value; one that has none gets none.
func (s *Store) SetOCSP(ctx context.Context, account, id string, u OCSPUpdate) (muster.OCSPSettings, error) {
	u, err := checkOCSPUpdate(u)
	if err != nil {
		return muster.OCSPSettings{}, fmt.Errorf("authority %s: %w", id, err)
	}
	var out muster.OCSPSettings
	err = s.update(ctx, func(t *tx) error {
		a, version, err := read[authorityDoc](t, KindAuthority, docID(KindAuthority, account, id))
		if errors.Is(err, muster.ErrNotFound) {
			out, err = setIssuerOCSP(t, account, id, u)
			return err
		}
		if err != nil {
			return err
		}
		changed := setAuthorityOCSP(&a.Authority, u)
		out = a.OCSP
		if !changed {
			return nil
		}
		if err := t.put(version, &a); err != nil {
			return err
		}
		return ensureIssuer(t, a.Authority)
	})
	return out, err
}

// setAuthorityOCSP reports whether the update changed anything.
func setAuthorityOCSP(a *muster.Authority, u OCSPUpdate) (changed bool) {
	was := a.OCSP
	u.apply(&a.OCSP)
	if a.OCSP.Mode != was.Mode {
		a.Tags = slices.Clone(a.Tags)
		for i := range a.Tags {
			if a.Tags[i].Key == muster.TagOCSP {
				a.Tags[i].Value = string(a.OCSP.Mode)
			}
		}
	}
	return a.OCSP != was
}

// setIssuerOCSP is for an issuer whose authority is deleted.
func setIssuerOCSP(t *tx, account, id string, u OCSPUpdate) (muster.OCSPSettings, error) {
	i, version, err := read[muster.Issuer](t, KindIssuer, docID(KindIssuer, account, id))
	if err != nil {
		if errors.Is(err, muster.ErrNotFound) {
			err = fmt.Errorf("authority %s: %w", id, muster.ErrNotFound)
		}
		return muster.OCSPSettings{}, err
	}
	was := i.OCSP
	u.apply(&i.OCSP)
	if i.OCSP == was {
		return was, nil
	}
	return i.OCSP, t.put(version, &i)
}

func (u OCSPUpdate) apply(o *muster.OCSPSettings) {
	set(&o.Mode, u.Mode)
	set(&o.Responder, u.Responder)
	set(&o.ResponderCA, u.ResponderCA)
	set(&o.Nonce, u.Nonce)
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// checkOCSPUpdate returns an update with its values in the one form in which
// they are stored, for settings that say the same have to be equal.
func checkOCSPUpdate(u OCSPUpdate) (OCSPUpdate, error) {
	if u.Mode != nil {
		switch *u.Mode {
		case muster.OCSPOff, muster.OCSPSoft, muster.OCSPHard:
		default:
			return u, fmt.Errorf("OCSP mode %.40q: want off, soft or hard: %w", *u.Mode, muster.ErrInvalid)
		}
	}
	if u.Nonce != nil {
		switch *u.Nonce {
		case muster.OCSPNonceOptional, muster.OCSPNonceRequired:
		case muster.OCSPNonceOff, "":
			off := muster.OCSPNonce("")
			u.Nonce = &off
		default:
			return u, fmt.Errorf("OCSP nonce %.40q: want off, optional or required: %w", *u.Nonce, muster.ErrInvalid)
		}
	}
	if u.Responder != nil && *u.Responder != "" {
		if err := checkResponder(*u.Responder); err != nil {
			return u, err
		}
	}
	if u.ResponderCA != nil && *u.ResponderCA != "" {
		roots, err := checkResponderCA(*u.ResponderCA)
		if err != nil {
			return u, err
		}
		u.ResponderCA = &roots
	}
	return u, nil
}

// checkResponder refuses a URL that could not be asked, and one that holds a
// password: settings are shown.
func checkResponder(text string) error {
	invalid := func(why string) error {
		return fmt.Errorf("OCSP responder: its URL %s: want http://host/… or https://host/…: %w", why, muster.ErrInvalid)
	}
	if len(text) > maxResponder {
		return invalid(fmt.Sprintf("has %d characters, more than %d", len(text), maxResponder))
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return invalid("does not parse") // what url says repeats it, with a password that it may hold
	case u.User != nil:
		return invalid("names a user")
	case u.Scheme != "http" && u.Scheme != "https":
		return invalid(fmt.Sprintf("has the scheme %.40q", u.Scheme))
	case u.Hostname() == "":
		return invalid("names no host")
	case strings.Contains(text, "#"):
		return invalid("has a fragment")
	}
	return nil
}

// checkResponderCA returns the certificates of a text and nothing else of it.
func checkResponderCA(text string) (string, error) {
	const what = "CA of the OCSP responder"
	if len(text) > maxResponderCA {
		return "", fmt.Errorf("%s: a PEM text of %d bytes, want at most %d: %w", what, len(text), maxResponderCA, muster.ErrInvalid)
	}
	var roots strings.Builder
	found := 0
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if found++; found > maxResponderCAs {
			return "", fmt.Errorf("%s: more than %d certificates: %w", what, maxResponderCAs, muster.ErrInvalid)
		}
		if block.Type != "CERTIFICATE" {
			return "", fmt.Errorf("%s: PEM block %d is of type %.40q, want CERTIFICATE: %w", what, found, block.Type, muster.ErrCertificate)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return "", fmt.Errorf("%s: certificate %d: %s: %w", what, found, strings.TrimPrefix(err.Error(), "x509: "), muster.ErrCertificate)
		}
		roots.Write(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
	}
	if begun := strings.Count(text, "-----BEGIN "); begun != found || found == 0 {
		return "", fmt.Errorf("%s: %d of %d PEM blocks can be read, want one or more CERTIFICATE: %w", what, found, begun, muster.ErrCertificate)
	}
	return roots.String(), nil
}

// Issuers lists the issuers of all accounts whose ID begins with a prefix, in
// the order of their IDs: every authority, and those deleted ones that a
// certificate still names.
func (s *Store) Issuers(ctx context.Context, prefix string, p Page) ([]muster.Issuer, Cursor, error) {
	return list[muster.Issuer](ctx, s, KindIssuer, "", []byte(prefix), p)
}
