package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/provisioning"
)

// CreateTemplate creates a provisioning template with one version, 1, in force.
// Type is FLEET_PROVISIONING unless it says JITP, which has no hook; it stays.
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
	hook, err := checkHook(template.Type, template.Hook)
	if err != nil {
		return none, fmt.Errorf("%s: %w", what, err)
	}
	tags, err := sortedTags(template.Tags)
	if err != nil {
		return none, err
	}
	now := s.now()
	template.Hook = hook
	template.Tags, template.Created, template.Modified = tags, now, now
	template.Versions = []muster.TemplateVersion{{ID: 1, Body: body, Created: now}}
	template.Default, template.Next = 1, 2
	return create(ctx, s, KindTemplate, template.Name, creation[muster.Template]{account: template.Account, value: template})
}

// payloadVersion is the only one there is of what a hook is asked.
const payloadVersion = "2020-04-01"

var payloadVersions = regexp.MustCompile(`^[0-9-]{10,32}$`)

// checkHook returns a hook with the version of what it is asked.
func checkHook(of muster.TemplateType, h *muster.Hook) (*muster.Hook, error) {
	if h == nil {
		return nil, nil
	}
	if of != muster.TemplateFleet {
		return nil, fmt.Errorf("a pre-provisioning hook is for FLEET_PROVISIONING alone: at a first connect nobody is asked: %w", muster.ErrInvalid)
	}
	if n := utf8.RuneCountInString(h.TargetARN); n < 1 || n > 2048 || !utf8.ValidString(h.TargetARN) {
		return nil, fmt.Errorf("pre-provisioning hook: a target ARN of %d characters, want 1 to 2,048: %w", n, muster.ErrInvalid)
	}
	checked := muster.Hook{TargetARN: h.TargetARN, PayloadVersion: cmp.Or(h.PayloadVersion, payloadVersion)}
	return &checked, checkName("pre-provisioning hook: payload version", payloadVersions, checked.PayloadVersion)
}

func checkBody(body string) error {
	if n := utf8.RuneCountInString(body); n > maxTemplateBody {
		return fmt.Errorf("a body of %d characters, want at most %d: %w", n, maxTemplateBody, muster.ErrInvalid)
	}
	_, err := provisioning.Parse([]byte(body))
	return err
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
