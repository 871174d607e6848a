package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/provisioning"
)

// CreateTemplate creates a provisioning template with one version, 1, in force.
// Type is FLEET_PROVISIONING unless it says JITP.
func (s *Store) CreateTemplate(ctx context.Context, template muster.Template, body string) (muster.Template, error) {
	none := muster.Template{}
	if err := checkName("template", templateName, template.Name); err != nil {
		return none, err
	}
	what := "template " + template.Name
	switch template.Type {
	case "":
		template.Type = muster.TemplateFleet
	case muster.TemplateFleet, muster.TemplateJITP:
	default:
		return none, fmt.Errorf("%s: type %q: want JITP or FLEET_PROVISIONING: %w", what, template.Type, muster.ErrInvalid)
	}
	if err := checkDescription(what, template.Description); err != nil {
		return none, err
	}
	if err := checkRoleARN(template.RoleARN); err != nil {
		return none, fmt.Errorf("%s: %w", what, err)
	}
	if err := checkBody(body); err != nil {
		return none, fmt.Errorf("%s: %w", what, err)
	}
	tags, err := sortedTags(template.Tags)
	if err != nil {
		return none, err
	}
	now := s.now()
	template.Tags, template.Created, template.Modified = tags, now, now
	template.Versions = []muster.TemplateVersion{{ID: 1, Body: body, Created: now}}
	template.Default, template.Next = 1, 2
	return create(ctx, s, KindTemplate, template.Name, creation[muster.Template]{account: template.Account, value: template})
}

func checkBody(body string) error {
	if n := utf8.RuneCountInString(body); n > maxTemplateBody {
		return fmt.Errorf("a body of %d characters, want at most %d: %w", n, maxTemplateBody, muster.ErrInvalid)
	}
	_, err := provisioning.Parse([]byte(body))
	return err
}

// Template returns a provisioning template of the account.
func (s *Store) Template(ctx context.Context, account, name string) (muster.Template, error) {
	id := docID(KindTemplate, account, name)
	t, err := s.templates.load(id, func() (muster.Template, error) { return get[muster.Template](ctx, s, KindTemplate, id) })
	t.Versions, t.Tags = slices.Clone(t.Versions), slices.Clone(t.Tags)
	return t, err
}

// checkRegistrar holds the binding of a template to its form: a name, or a body
// with the role that a named template would have brought.
func checkRegistrar(r muster.Registrar) error {
	if r.IsZero() {
		return nil
	}
	var err error
	switch {
	case r.TemplateName != "" && (r.TemplateBody != "" || r.RoleARN != ""):
		err = fmt.Errorf("a template is bound by its name alone, or by its body and a role ARN: %w", muster.ErrInvalid)
	case r.TemplateName != "":
		err = checkName("template", templateName, r.TemplateName)
	case r.TemplateBody == "":
		err = fmt.Errorf("a role ARN without a template; give templateName or templateBody: %w", muster.ErrInvalid)
	default:
		if err = checkRoleARN(r.RoleARN); err == nil {
			err = checkBody(r.TemplateBody)
		}
	}
	if err != nil {
		return fmt.Errorf("registration configuration: %w", err)
	}
	return nil
}

// checkTemplate requires the template that a registrar names.
func checkTemplate(r Reader, account string, registrar muster.Registrar) error {
	if registrar.TemplateName == "" {
		return nil
	}
	t, _, err := read[muster.Template](r, KindTemplate, docID(KindTemplate, account, registrar.TemplateName))
	switch {
	case errors.Is(err, muster.ErrNotFound):
		return fmt.Errorf("registration configuration: %w", err)
	case err != nil:
		return err
	case t.Type != muster.TemplateJITP:
		return fmt.Errorf("registration configuration: template %s is of type %s, want JITP: %w", t.Name, t.Type, muster.ErrInvalid)
	}
	return nil
}
