package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

// storedTemplateRoutes serves what this file answers.
func (a *Admin) storedTemplateRoutes(mux *http.ServeMux) {
	mux.Handle("POST /template/list", tells(a, a.ListTemplates))
	mux.Handle("POST /template/show", answers(a, a.ShowTemplate))
	mux.Handle("POST /template/set", answers(a, a.SetTemplate))
}

// Template is a template as the command line shows it.
type Template struct {
	Account     string              `json:"account"`
	Name        string              `json:"name"`
	Type        muster.TemplateType `json:"type"`
	Description string              `json:"description,omitempty"`
	Enabled     bool                `json:"enabled"`
	Default     int                 `json:"default"` // the version in force
	Versions    []TemplateVersion   `json:"versions"`
	Hook        *muster.Hook        `json:"hook,omitempty"`
	// Authorities are those that have it bound, by ID; Body is the text of the
	// version that was asked for. A list has neither.
	Authorities []string     `json:"authorities,omitempty"`
	Body        string       `json:"body,omitempty"`
	Tags        []muster.Tag `json:"tags,omitempty"`
	Created     time.Time    `json:"created"`
	Modified    time.Time    `json:"modified"`
}

// TemplateVersion is a version without its text.
type TemplateVersion struct {
	ID      int       `json:"id"`
	Created time.Time `json:"created"`
}

func template(t muster.Template) Template {
	out := Template{
		Account: t.Account, Name: t.Name, Type: t.Type, Description: t.Description, Enabled: t.Enabled, Default: t.Default,
		Hook: t.Hook, Tags: t.Tags, Created: t.Created, Modified: t.Modified,
	}
	for _, v := range t.Versions {
		out.Versions = append(out.Versions, TemplateVersion{v.ID, v.Created})
	}
	return out
}

// ListTemplates tells of the templates of an account, or of all accounts, by name.
func (a *Admin) ListTemplates(ctx context.Context, in OfAccount, tell func(Template) error) error {
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
		for p := (registry.Page{Limit: listPage}); ; {
			page, next, err := a.config.Registry.ListTemplates(ctx, x.ID, p)
			if err != nil {
				return err
			}
			for _, t := range page {
				if err := tell(template(t)); err != nil {
					return err
				}
			}
			if p.After = next; next == nil {
				break
			}
		}
	}
	return nil
}

// TemplateName names a template, and a version of it.
type TemplateName struct {
	OfAccount
	Name    string `json:"name"`
	Version int    `json:"version,omitempty"` // 0: the one in force
}

// ShowTemplate returns all that is known of a template. It wraps
// muster.ErrNotFound if there is none of the name, or no such version.
func (a *Admin) ShowTemplate(ctx context.Context, in TemplateName) (Template, error) {
	account, err := a.account(ctx, in.Account)
	if err != nil {
		return Template{}, err
	}
	t, err := a.config.Registry.Template(ctx, account, in.Name)
	if err != nil {
		return Template{}, err
	}
	if in.Version == 0 {
		in.Version = t.Default
	}
	v, _, err := a.config.Registry.TemplateVersion(ctx, account, in.Name, in.Version)
	if err != nil {
		return Template{}, err
	}
	out := template(t)
	out.Body = v.Body
	for p := (registry.Page{Limit: listPage}); ; {
		page, next, err := a.config.Registry.ListAuthorities(ctx, account, in.Name, p)
		if err != nil {
			return Template{}, err
		}
		for _, x := range page {
			out.Authorities = append(out.Authorities, x.ID)
		}
		if p.After = next; next == nil {
			return out, nil
		}
	}
}

// TemplateChange is what SetTemplate sets; a nil field stays as it is.
type TemplateChange struct {
	OfAccount
	Name    string `json:"name"`
	Default *int   `json:"default,omitempty"` // the version in force
	Enabled *bool  `json:"enabled,omitempty"`
}

// SetTemplate changes which version is in force, and whether any is, and returns
// the template as it is then.
func (a *Admin) SetTemplate(ctx context.Context, in TemplateChange) (Template, error) {
	if in.Default == nil && in.Enabled == nil {
		return Template{}, fmt.Errorf("template %s: nothing to set: %w", in.Name, muster.ErrInvalid)
	}
	account, err := a.account(ctx, in.Account)
	if err != nil {
		return Template{}, err
	}
	_, err = a.config.Registry.UpdateTemplate(ctx, account, in.Name, registry.TemplateUpdate{Default: in.Default, Enabled: in.Enabled})
	if err != nil {
		return Template{}, err
	}
	return a.ShowTemplate(ctx, TemplateName{OfAccount: OfAccount{account}, Name: in.Name})
}
