package admin

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

// authorityRoutes serves what ca.go answers.
func (a *Admin) authorityRoutes(mux *http.ServeMux) {
	mux.Handle("POST /ca/list", tells(a, a.ListAuthorities))
	mux.Handle("POST /ca/show", answers(a, a.ShowAuthority))
	mux.Handle("POST /ca/set", answers(a, a.SetAuthority))
}

// Authority is an authority as the command line shows it, or what is left of one
// that was deleted.
type Authority struct {
	Account          string        `json:"account"`
	ID               string        `json:"id"`
	Subject          string        `json:"subject"`
	Status           muster.Status `json:"status,omitempty"` // "": deleted, and certificates that it signed are left
	Mode             muster.Mode   `json:"mode,omitempty"`
	AutoRegistration bool          `json:"autoRegistration"`
	Template         string        `json:"template,omitempty"` // its name; inline, if it has none; "" without one
	OCSP             Supervision   `json:"ocsp"`
	Pending          int           `json:"pending"` // certificates that wait for activation
	Registered       time.Time     `json:"registered,omitzero"`
	NotBefore        time.Time     `json:"notBefore"`
	NotAfter         time.Time     `json:"notAfter"`
	Tags             []muster.Tag  `json:"tags,omitempty"`
}

// Supervision is how OCSP is asked about an authority's certificates.
type Supervision struct {
	Mode        muster.OCSPMode  `json:"mode"`
	Responder   string           `json:"responder,omitempty"` // "": those that the certificates name
	ResponderCA []Root           `json:"responderCA,omitempty"`
	Nonce       muster.OCSPNonce `json:"nonce"`
}

// Root is a certificate by which an https responder is trusted.
type Root struct {
	ID       string    `json:"id"`
	Subject  string    `json:"subject"`
	NotAfter time.Time `json:"notAfter"`
}

// authority joins an issuer to the authority of its ID, where that still stands.
func (a *Admin) authority(ctx context.Context, i muster.Issuer) (Authority, error) {
	chain, err := parse(i.PEM)
	if err != nil {
		return Authority{}, fmt.Errorf("authority %s: %w", i.ID, err)
	}
	leaf := chain[0]
	out := Authority{Account: i.Account, ID: i.ID, Subject: muster.NameText(leaf.Subject), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter}
	if out.OCSP, err = supervision(i.OCSP); err != nil {
		return out, fmt.Errorf("authority %s: %w", i.ID, err)
	}
	if out.Pending, err = a.config.Registry.PendingCount(ctx, i.Account, i.ID); err != nil {
		return out, err
	}
	x, err := a.config.Registry.Authority(ctx, i.Account, i.ID)
	if errors.Is(err, muster.ErrNotFound) {
		return out, nil
	}
	out.Status, out.Mode, out.AutoRegistration, out.Registered, out.Tags = x.Status, x.Mode, x.AutoRegistration, x.Created, x.Tags
	if out.Template = x.Registration.TemplateName; x.Registration.TemplateBody != "" {
		out.Template = "inline"
	}
	return out, err
}

func supervision(o muster.OCSPSettings) (Supervision, error) {
	out := Supervision{Mode: o.Mode, Responder: o.Responder, Nonce: o.Nonce}
	if out.Mode == "" {
		out.Mode = muster.OCSPOff
	}
	if out.Nonce == "" {
		out.Nonce = muster.OCSPNonceOff
	}
	for block, rest := pem.Decode([]byte(o.ResponderCA)); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return out, fmt.Errorf("the CA of its responder: %w", err)
		}
		out.ResponderCA = append(out.ResponderCA, Root{ID: muster.Fingerprint(c.Raw), Subject: muster.NameText(c.Subject), NotAfter: c.NotAfter})
	}
	return out, nil
}

// ListAuthorities tells of the authorities of an account, or of all accounts, in
// the order of their registration, and then of deleted ones of which certificates
// are left.
func (a *Admin) ListAuthorities(ctx context.Context, in OfAccount, tell func(Authority) error) error {
	accounts, err := a.config.Registry.Accounts(ctx)
	if err != nil {
		return err
	}
	if in.Account != "" {
		if in.Account, err = a.account(ctx, in.Account); err != nil {
			return err
		}
		accounts = []muster.Account{{ID: in.Account}}
	}
	for _, x := range accounts {
		if err := a.standing(ctx, x.ID, tell); err != nil {
			return err
		}
	}
	return a.deleted(ctx, in.Account, tell)
}

func (a *Admin) standing(ctx context.Context, account string, tell func(Authority) error) error {
	for p := (registry.Page{Limit: listPage}); ; {
		page, next, err := a.config.Registry.ListAuthorities(ctx, account, "", p)
		if err != nil {
			return err
		}
		for _, x := range page {
			out, err := a.authority(ctx, muster.Issuer{Account: x.Account, ID: x.ID, PEM: x.PEM, OCSP: x.OCSP})
			if err != nil {
				return err
			}
			if err := tell(out); err != nil {
				return err
			}
		}
		if p.After = next; next == nil {
			return nil
		}
	}
}

func (a *Admin) deleted(ctx context.Context, account string, tell func(Authority) error) error {
	for p := (registry.Page{Limit: listPage}); ; {
		page, next, err := a.config.Registry.Issuers(ctx, "", p)
		if err != nil {
			return err
		}
		for _, i := range page {
			if account != "" && i.Account != account {
				continue
			}
			out, err := a.authority(ctx, i)
			if err != nil {
				return err
			}
			if out.Status != "" {
				continue
			}
			if err := tell(out); err != nil {
				return err
			}
		}
		if p.After = next; next == nil {
			return nil
		}
	}
}

// AuthorityName names an authority of an account.
type AuthorityName struct {
	OfAccount
	ID string `json:"id"` // or its first digits
}

// ShowAuthority returns an authority, also one that was deleted while
// certificates of it are left.
func (a *Admin) ShowAuthority(ctx context.Context, in AuthorityName) (Authority, error) {
	account, id, err := a.findAuthority(ctx, in)
	if err != nil {
		return Authority{}, err
	}
	return a.shown(ctx, account, id)
}

func (a *Admin) findAuthority(ctx context.Context, n AuthorityName) (account, id string, err error) {
	if account, err = a.account(ctx, n.Account); err != nil {
		return "", "", err
	}
	id, err = a.config.Registry.AuthorityID(ctx, account, n.ID)
	return account, id, err
}

func (a *Admin) shown(ctx context.Context, account, id string) (Authority, error) {
	i, err := a.config.Registry.Issuer(ctx, account, id)
	if err != nil {
		return Authority{}, err
	}
	return a.authority(ctx, i)
}

// AuthorityChange says what to change of an authority; a nil field stays.
type AuthorityChange struct {
	AuthorityName
	OCSP             *muster.OCSPMode  `json:"ocsp,omitempty"`
	Responder        *string           `json:"responder,omitempty"`   // "": those that the certificates name
	ResponderCA      *string           `json:"responderCA,omitempty"` // PEM; "": the roots of the system
	Nonce            *muster.OCSPNonce `json:"nonce,omitempty"`
	Status           *muster.Status    `json:"status,omitempty"` // ACTIVE or INACTIVE
	AutoRegistration *bool             `json:"autoRegistration,omitempty"`
	Template         *string           `json:"template,omitempty"` // its name; "" binds none
}

// SetAuthority changes an authority, all of it or nothing. Of one that was
// deleted the OCSP settings alone are left to be set.
func (a *Admin) SetAuthority(ctx context.Context, in AuthorityChange) (Authority, error) {
	account, id, err := a.findAuthority(ctx, in.AuthorityName)
	if err != nil {
		return Authority{}, err
	}
	u := registry.AuthorityUpdate{
		Status: in.Status, AutoRegistration: in.AutoRegistration,
		OCSP: registry.OCSPUpdate{Mode: in.OCSP, Responder: in.Responder, ResponderCA: in.ResponderCA, Nonce: in.Nonce},
	}
	switch {
	case in.Template == nil:
	case *in.Template == "":
		u.RemoveRegistration = true
	default:
		u.Registration = &muster.Registrar{TemplateName: *in.Template}
	}
	if in.Status == nil && in.AutoRegistration == nil && in.Template == nil {
		_, err = a.config.Registry.SetOCSP(ctx, account, id, u.OCSP)
	} else if _, err = a.config.Registry.UpdateAuthority(ctx, account, id, u); errors.Is(err, muster.ErrNotFound) {
		err = a.whyNotFound(ctx, account, id, err)
	}
	if err != nil {
		return Authority{}, err
	}
	return a.shown(ctx, account, id)
}

// whyNotFound tells an authority that was deleted from a template that is
// missing.
func (a *Admin) whyNotFound(ctx context.Context, account, id string, err error) error {
	if _, gone := a.config.Registry.Authority(ctx, account, id); errors.Is(gone, muster.ErrNotFound) {
		return fmt.Errorf("authority %s was deleted: only its OCSP settings can be set; register it again for the others: %w", id, muster.ErrState)
	}
	return err
}
