package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

// certificateRoutes serves what cert.go and settle.go answer.
func (a *Admin) certificateRoutes(mux *http.ServeMux) {
	mux.Handle("POST /cert/list", tells(a, a.ListCertificates))
	mux.Handle("POST /cert/count", answers(a, a.CountCertificates))
	mux.Handle("POST /cert/show", answers(a, a.ShowCertificate))
	mux.Handle("POST /cert/set", answers(a, a.SetCertificate))
	mux.Handle("POST /cert/forget", answers(a, a.ForgetCertificate))
	mux.Handle("POST /cert/resolve", answers(a, a.ResolveCertificates))
	mux.Handle("POST /cert/settle", answers(a, a.SettleCertificates))
}

// Selection says which certificates of an account are meant: all that pass each
// of its fields.
type Selection struct {
	OfAccount
	Authority string        `json:"authority,omitempty"` // the ID of the one that signed it, or its first digits
	Status    muster.Status `json:"status,omitempty"`
	From      time.Time     `json:"from,omitzero"` // registered not before
	To        time.Time     `json:"to,omitzero"`   // and before
}

// filter is the selection with its account and authority found.
func (a *Admin) filter(ctx context.Context, s Selection) (f registry.CertificateFilter, err error) {
	switch s.Status {
	case "", muster.Active, muster.Inactive, muster.Revoked, muster.PendingTransfer, muster.PendingActivation:
	default:
		return f, fmt.Errorf("status %q: want ACTIVE, INACTIVE, REVOKED, PENDING_ACTIVATION or PENDING_TRANSFER: %w", s.Status, muster.ErrInvalid)
	}
	if !s.From.IsZero() && !s.To.IsZero() && !s.From.Before(s.To) {
		return f, fmt.Errorf("nothing is newer than %s and older than %s: %w",
			s.From.Format(time.RFC3339), s.To.Format(time.RFC3339), muster.ErrInvalid)
	}
	f = registry.CertificateFilter{Status: s.Status, From: s.From, To: s.To}
	if f.Account, err = a.account(ctx, s.Account); err != nil || s.Authority == "" {
		return f, err
	}
	f.AuthorityID, err = a.config.Registry.AuthorityID(ctx, f.Account, s.Authority)
	return f, err
}

// Record is a certificate as the command line shows it.
type Record struct {
	Account             string        `json:"account"`
	ID                  string        `json:"id"`
	Status              muster.Status `json:"status"`
	Subject             string        `json:"subject"`
	AuthorityID         string        `json:"authorityId,omitempty"`
	Authority           string        `json:"authority,omitempty"` // its subject
	Registered          time.Time     `json:"registered,omitzero"`
	Modified            time.Time     `json:"modified,omitzero"`
	NotBefore           time.Time     `json:"notBefore,omitzero"`
	NotAfter            time.Time     `json:"notAfter,omitzero"`
	Things              []string      `json:"things,omitempty"`
	Policies            []string      `json:"policies,omitempty"`
	ProvisioningFailure string        `json:"provisioningFailure,omitempty"`
	Claim               string        `json:"claim,omitempty"`         // template that it may be used for, and nothing else
	Expires             time.Time     `json:"expires,omitzero"`        // when the record goes by itself
	PreviousOwner       string        `json:"previousOwner,omitempty"` // account that transferred it here
	// Transfer is the last one, under way if the status is PENDING_TRANSFER.
	Transfer muster.Transfer `json:"transfer,omitzero"`
}

// recorder makes records. It parses the certificate of an authority once.
type recorder struct {
	admin    *Admin
	subjects map[string]string // of authorities, by ID
}

func (a *Admin) recorder() *recorder { return &recorder{a, map[string]string{}} }

func (r *recorder) record(ctx context.Context, c muster.Certificate) (Record, error) {
	subject, err := subjectOf(c.PEM)
	if err != nil {
		return Record{}, fmt.Errorf("certificate %s: %w", c.ID, err)
	}
	authority, err := r.authority(ctx, c.Account, c.AuthorityID)
	return Record{
		Account: c.Account, ID: c.ID, Status: c.Status, Subject: subject,
		AuthorityID: c.AuthorityID, Authority: authority, Registered: c.Created, Modified: c.Modified,
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, Things: c.Things, Policies: c.Policies,
		ProvisioningFailure: c.ProvisioningFailure, Claim: c.Claim, Expires: c.Expires,
		PreviousOwner: c.PreviousOwner, Transfer: c.Transfer,
	}, err
}

func (r *recorder) authority(ctx context.Context, account, id string) (string, error) {
	if subject, ok := r.subjects[id]; ok || id == "" {
		return subject, nil
	}
	issuer, err := r.admin.config.Registry.Issuer(ctx, account, id)
	if errors.Is(err, muster.ErrNotFound) { // the last certificate that named it has just gone
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if r.subjects[id], err = subjectOf(issuer.PEM); err != nil {
		return "", fmt.Errorf("authority %s: %w", id, err)
	}
	return r.subjects[id], nil
}

func subjectOf(text string) (string, error) {
	chain, err := parse(text)
	if err != nil {
		return "", err
	}
	return muster.NameText(chain[0].Subject), nil
}

// Listing asks for a list of certificates.
type Listing struct {
	Selection
	NewestFirst bool `json:"newestFirst,omitempty"`
	Limit       int  `json:"limit,omitempty"` // at most; 0: all
}

// listPage is how many certificates are read from one state of the registry.
const listPage = 200

// ListCertificates tells of the certificates of a selection, in the order of
// their registration. What is registered or changed meanwhile may be told or not.
func (a *Admin) ListCertificates(ctx context.Context, in Listing, tell func(Record) error) error {
	filter, err := a.filter(ctx, in.Selection)
	if err != nil {
		return err
	}
	if in.Limit < 0 {
		return fmt.Errorf("a limit of %d: %w", in.Limit, muster.ErrInvalid)
	}
	records := a.recorder()
	p := registry.Page{Limit: listPage, Desc: in.NewestFirst}
	for left := in.Limit; ; left -= listPage {
		if in.Limit > 0 {
			p.Limit = min(left, listPage)
		}
		page, next, err := a.config.Registry.SelectCertificates(ctx, filter, p)
		if err != nil {
			return err
		}
		for _, c := range page {
			r, err := records.record(ctx, c)
			if err != nil {
				return err
			}
			if err := tell(r); err != nil {
				return err
			}
		}
		if p.After = next; next == nil || in.Limit > 0 && left <= listPage {
			return nil
		}
	}
}

// Counted is a selection with its account and authority found, and how many
// certificates it has.
type Counted struct {
	Selection
	AuthoritySubject string `json:"authoritySubject,omitempty"`
	Count            int    `json:"count"`
}

// CountCertificates counts what a selection has at the moment.
func (a *Admin) CountCertificates(ctx context.Context, in Selection) (out Counted, err error) {
	f, err := a.filter(ctx, in)
	if err != nil {
		return out, err
	}
	in.Account, in.Authority = f.Account, f.AuthorityID
	out.Selection = in
	if out.AuthoritySubject, err = a.recorder().authority(ctx, f.Account, f.AuthorityID); err != nil {
		return out, err
	}
	out.Count, err = a.config.Registry.CountCertificates(ctx, f)
	return out, err
}

// CertificateName names a certificate of an account.
type CertificateName struct {
	OfAccount
	ID string `json:"id"` // or its first digits
}

// find completes a name.
func (a *Admin) find(ctx context.Context, n CertificateName) (account, id string, err error) {
	if account, err = a.account(ctx, n.Account); err != nil {
		return "", "", err
	}
	id, err = a.config.Registry.CertificateID(ctx, account, n.ID)
	return account, id, err
}

// Showing is all that an account knows of a certificate.
type Showing struct {
	Account   string            `json:"account"`
	ID        string            `json:"id"`
	Record    *Record           `json:"record,omitempty"` // nil: there is a tombstone alone
	Mode      muster.Mode       `json:"mode,omitempty"`
	PEM       string            `json:"pem,omitempty"`
	Authority *AuthorityState   `json:"authority,omitempty"` // nil: it was registered without one
	Tombstone *muster.Tombstone `json:"tombstone,omitempty"`
}

// AuthorityState is what an authority means for a certificate that it signed.
type AuthorityState struct {
	ID               string              `json:"id"`
	Subject          string              `json:"subject"`
	Status           muster.Status       `json:"status,omitempty"` // "": it was deleted
	AutoRegistration bool                `json:"autoRegistration"`
	Template         string              `json:"template,omitempty"` // its name; inline, if it has none; "" without one
	OCSP             muster.OCSPSettings `json:"ocsp,omitzero"`
}

// ShowCertificate returns the record of a certificate, or its tombstone.
func (a *Admin) ShowCertificate(ctx context.Context, in CertificateName) (Showing, error) {
	account, id, err := a.find(ctx, in)
	if err != nil {
		return Showing{}, err
	}
	out := Showing{Account: account, ID: id}
	certificates, tombstones, err := a.config.Registry.Find(ctx, id)
	if err != nil {
		return out, err
	}
	for i, t := range tombstones {
		if t.Account == account {
			out.Tombstone = &tombstones[i]
		}
	}
	for _, c := range certificates {
		if c.Account != account {
			continue
		}
		r, err := a.recorder().record(ctx, c)
		if err != nil {
			return out, err
		}
		out.Record, out.Mode, out.PEM = &r, c.Mode, c.PEM
		if out.Authority, err = a.authorityOf(ctx, r); err != nil {
			return out, err
		}
	}
	if out.Record == nil && out.Tombstone == nil { // it went since it was found
		return out, fmt.Errorf("certificate %s: %w", id, muster.ErrNotFound)
	}
	return out, nil
}

func (a *Admin) authorityOf(ctx context.Context, r Record) (*AuthorityState, error) {
	if r.AuthorityID == "" {
		return nil, nil
	}
	out := &AuthorityState{ID: r.AuthorityID, Subject: r.Authority}
	issuer, err := a.config.Registry.Issuer(ctx, r.Account, r.AuthorityID)
	if err != nil && !errors.Is(err, muster.ErrNotFound) {
		return nil, err
	}
	out.OCSP = issuer.OCSP
	x, err := a.config.Registry.Authority(ctx, r.Account, r.AuthorityID)
	if errors.Is(err, muster.ErrNotFound) {
		return out, nil
	}
	out.Status, out.AutoRegistration, out.Template = x.Status, x.AutoRegistration, x.Registration.TemplateName
	if x.Registration.TemplateBody != "" {
		out.Template = "inline"
	}
	return out, err
}

// StatusChange sets the status of a certificate.
type StatusChange struct {
	CertificateName
	Status muster.Status `json:"status"` // ACTIVE, INACTIVE or REVOKED
}

// SetCertificate sets a status, by the rules of UpdateCertificate.
func (a *Admin) SetCertificate(ctx context.Context, in StatusChange) (Record, error) {
	account, id, err := a.find(ctx, in.CertificateName)
	if err != nil {
		return Record{}, err
	}
	c, err := a.config.Registry.UpdateCertificateStatus(ctx, account, id, in.Status)
	if err != nil {
		return Record{}, err
	}
	return a.recorder().record(ctx, c)
}

// ForgetCertificate removes the tombstone of a certificate.
func (a *Admin) ForgetCertificate(ctx context.Context, in CertificateName) (CertificateName, error) {
	account, id, err := a.find(ctx, in)
	if err != nil {
		return CertificateName{}, err
	}
	err = a.config.Registry.ForgetCertificate(ctx, account, id)
	return CertificateName{OfAccount{account}, id}, err
}
