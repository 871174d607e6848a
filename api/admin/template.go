package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/provisioning"
	"github.com/muster-mqtt/muster/registry"
)

// templateRoutes serves what this file answers.
func (a *Admin) templateRoutes(mux *http.ServeMux) {
	mux.Handle("POST /template/replay", tells(a, a.ReplayTemplate))
	a.storedTemplateRoutes(mux)
}

// maxReplay bounds the certificates of one replay.
const maxReplay = 1_000_000

// Replay asks what a template would have made of certificates that are
// registered, beside what the template in force makes of them.
type Replay struct {
	OfAccount
	Body  string `json:"body"`
	Count int    `json:"count"` // at most so many, the newest first
	// Authority selects the certificates that it signed, by its ID or its first
	// digits; "" those of every authority.
	Authority string `json:"authority,omitempty"`
	// Template is the name of the one to compare with, and selects the
	// certificates of the authorities that it is bound to unless Authority is
	// given; "" compares with what each certificate's authority has bound.
	Template string `json:"template,omitempty"`
}

// Outcome is what the new template means for a certificate.
type Outcome string

// The outcomes.
const (
	OutcomeSame    Outcome = "same"
	OutcomeChanged Outcome = "changed"
	OutcomeFails   Outcome = "fails"   // and the one in force does not
	OutcomeWorks   Outcome = "works"   // and the one in force does not
	OutcomeFailing Outcome = "failing" // as does the one in force
)

// Replayed is what came of one certificate.
type Replayed struct {
	ID          string  `json:"id"`
	Subject     string  `json:"subject"`
	AuthorityID string  `json:"authorityId"`
	Outcome     Outcome `json:"outcome"`
	Diff        string  `json:"diff,omitempty"` // of the registrations, or of why there is none, unified
}

// ReplayTemplate tells of each certificate in turn. It writes nothing.
func (a *Admin) ReplayTemplate(ctx context.Context, in Replay, tell func(Replayed) error) error {
	if in.Count < 1 || in.Count > maxReplay {
		return fmt.Errorf("a replay of %d certificates, want 1 to %d: %w", in.Count, maxReplay, muster.ErrInvalid)
	}
	r := &replay{admin: a, named: in.Template, selected: in.Authority != "", bound: map[string]bound{}}
	var err error
	if r.template, err = provisioning.Parse([]byte(in.Body)); err != nil {
		return err
	}
	if r.account, err = a.account(ctx, in.Account); err != nil {
		return err
	}
	if in.Template != "" {
		if r.against, err = a.config.Registry.Template(ctx, r.account, in.Template); err != nil {
			return err
		}
	}
	filter := registry.CertificateFilter{Account: r.account}
	if in.Authority != "" {
		if filter.AuthorityID, err = a.config.Registry.AuthorityID(ctx, r.account, in.Authority); err != nil {
			return err
		}
	}
	return r.run(ctx, filter, in.Count, tell)
}

// replay is one under way.
type replay struct {
	admin    *Admin
	account  string
	template *provisioning.Template // the new one
	named    string                 // the one to compare with, if it is always the same
	against  muster.Template        // of that name
	selected bool                   // by authority, so that any certificate counts
	bound    map[string]bound       // by authority
}

// bound is what an authority has in force.
type bound struct {
	name     string                 // of the template, if it has one
	template *provisioning.Template // nil: every device fails
	failure  string
}

func (r *replay) run(ctx context.Context, filter registry.CertificateFilter, count int, tell func(Replayed) error) error {
	p := registry.Page{Limit: listPage, Desc: true}
	for told := 0; ; {
		page, next, err := r.admin.config.Registry.SelectCertificates(ctx, filter, p)
		if err != nil {
			return err
		}
		for _, c := range page {
			out, meant, err := r.certificate(ctx, c)
			if err != nil {
				return fmt.Errorf("certificate %s: %w", c.ID, err)
			}
			if !meant {
				continue
			}
			if err := tell(out); err != nil {
				return err
			}
			if told++; told == count {
				return nil
			}
		}
		if p.After = next; next != nil {
			continue
		}
		if told == 0 {
			return fmt.Errorf("no certificate to replay: none that is registered was signed by such an authority: %w", muster.ErrNotFound)
		}
		return nil
	}
}

// certificate replays one; meant is false if it is not among those asked for.
func (r *replay) certificate(ctx context.Context, c muster.Certificate) (out Replayed, meant bool, err error) {
	if c.AuthorityID == "" {
		return out, false, nil // no template ever sees it
	}
	b, err := r.inForce(ctx, c.AuthorityID)
	if err != nil || r.named != "" && !r.selected && b.name != r.named {
		return out, false, err
	}
	chain, err := parse(c.PEM)
	if err != nil {
		return out, false, err
	}
	params := provisioning.Parameters{Certificate: chain[0]}
	before, failure := b.failure, b.template == nil
	if b.template != nil {
		before, failure = rendered(b.template, params)
	}
	after, fails := rendered(r.template, params)
	out = Replayed{ID: c.ID, Subject: muster.NameText(chain[0].Subject), AuthorityID: c.AuthorityID, Diff: unified(before, after)}
	switch {
	case failure && fails:
		out.Outcome = OutcomeFailing
	case fails:
		out.Outcome = OutcomeFails
	case failure:
		out.Outcome = OutcomeWorks
	case out.Diff != "":
		out.Outcome = OutcomeChanged
	default:
		out.Outcome = OutcomeSame
	}
	return out, true, nil
}

// rendered is what a template makes, or why it makes nothing, to be compared by
// lines.
func rendered(t *provisioning.Template, params provisioning.Parameters) (text string, fails bool) {
	r, err := t.Render(params)
	if err != nil {
		return fmt.Sprintf("fails: %v\n", err), true
	}
	return provisioning.Describe(r), false
}

// inForce returns what a certificate of an authority is to be compared with.
func (r *replay) inForce(ctx context.Context, authorityID string) (b bound, err error) {
	if b, ok := r.bound[authorityID]; ok {
		return b, nil
	}
	body := ""
	x, err := r.admin.config.Registry.Authority(ctx, r.account, authorityID)
	switch {
	case errors.Is(err, muster.ErrNotFound):
		b.failure = "the authority was deleted"
	case err != nil:
		return b, err
	default:
		b.name, body = x.Registration.TemplateName, x.Registration.TemplateBody
		b.failure = "the authority has no template"
	}
	switch t := r.against; {
	case r.named != "":
		body = t.Body()
	case b.name != "":
		if body, b.failure, err = r.namedBody(ctx, b.name); err != nil {
			return b, err
		}
	}
	if body != "" {
		if b.template, err = provisioning.Parse([]byte(body)); err != nil {
			b.failure = err.Error()
		}
	}
	b.failure = "fails: " + b.failure + "\n"
	r.bound[authorityID] = b
	return b, nil
}

// namedBody returns the text of a template as a connect sees it: none, and why,
// if it is gone or disabled.
func (r *replay) namedBody(ctx context.Context, name string) (body, failure string, err error) {
	t, err := r.admin.config.Registry.Template(ctx, r.account, name)
	switch {
	case errors.Is(err, muster.ErrNotFound):
		return "", fmt.Sprintf("the template %q does not exist", name), nil
	case err != nil:
		return "", "", err
	case !t.Enabled:
		return "", fmt.Sprintf("the template %q is disabled", name), nil
	}
	return t.Body(), "", nil
}
