package admission

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/provisioning"
)

// enrol renders the authority's template, if it has one, and asks the registry
// for the one transaction that registers the certificate. A template that
// fails is no error: the certificate stays pending, and its record says why.
func (g *Gate) enrol(ctx context.Context, c *Candidate, f Facts) (muster.Enrolled, error) {
	a, err := g.registry.Authority(ctx, f.Account, f.Authority.ID)
	if err != nil {
		if errors.Is(err, muster.ErrNotFound) {
			err = fmt.Errorf("authority %s was deleted: %w", f.Authority.ID, muster.ErrState)
		}
		return muster.Enrolled{}, err
	}
	e := muster.Enrolment{
		Account: f.Account, AuthorityID: a.ID,
		PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Leaf.Raw})),
	}
	if !a.Registration.IsZero() {
		r, failure, err := g.render(ctx, c, a)
		if err != nil {
			return muster.Enrolled{}, err
		}
		e.Failure = failure
		if failure == "" {
			e.Registration = &r
		}
	}
	return g.registry.Enrol(ctx, e)
}

// render answers with the registration, or with the failure to keep on the
// record. An error means that the template could not be read.
func (g *Gate) render(ctx context.Context, c *Candidate, a muster.Authority) (r muster.Registration, failure string, err error) {
	body := a.Registration.TemplateBody
	if name := a.Registration.TemplateName; name != "" {
		t, err := g.registry.Template(ctx, a.Account, name)
		switch {
		case errors.Is(err, muster.ErrNotFound):
			return r, fmt.Sprintf("template %q of authority %s does not exist; create it, or bind another", name, a.ID), nil
		case err != nil:
			return r, "", err
		case !t.Enabled:
			return r, fmt.Sprintf("template %q of authority %s is disabled; enable it, or bind another", name, a.ID), nil
		}
		body = t.Body()
	}
	t, err := g.templates.get(body, parseTemplate)
	if err != nil {
		return r, fmt.Sprintf("the template of authority %s: %v", a.ID, err), nil
	}
	r, err = t.Render(provisioning.Parameters{Certificate: c.Leaf})
	if err != nil {
		return r, fmt.Sprintf("the template of authority %s: %v", a.ID, err), nil
	}
	return r, "", nil
}

func parseTemplate(body string) (*provisioning.Template, error) {
	return provisioning.Parse([]byte(body))
}
