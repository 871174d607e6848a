package provisioning

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/muster-mqtt/muster"
)

// rule is the form that a property must have.
type rule struct{ *regexp.Regexp }

// The patterns of the AWS IoT API reference.
var (
	nameRule      = rule{regexp.MustCompile(`^[a-zA-Z0-9:_-]{1,128}$`)}
	attributeRule = rule{regexp.MustCompile(`^[a-zA-Z0-9_.,@/:#-]{1,128}$`)}
	valueRule     = rule{regexp.MustCompile(`^[a-zA-Z0-9_.,@/:#=\[\]-]{0,800}$`)}
	policyRule    = rule{regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)}
	statusRule    = rule{regexp.MustCompile(`^(?i:ACTIVE|INACTIVE)$`)}
)

func (r rule) check(at *place, s string) error {
	if r.MatchString(s) {
		return nil
	}
	return at.faultf("%s does not match %s", excerpt(s), r)
}

// Render makes of the template what is to be written for one device. It is
// pure, and gives all or nothing: a parameter without a value and Default
// (also one that is declared and never used, as in JITP), a value that breaks
// the rule of its property, a value that would change the meaning of a policy
// document, or a document that does not parse is an error that names the place
// and the mend, and wraps muster.ErrInvalid. params may hold more than the
// template uses; Parameters makes them of a certificate.
func (t *Template) Render(params map[string]string) (muster.Registration, error) {
	if t.status == nil {
		return muster.Registration{}, fmt.Errorf("%w registration: an empty template renders nothing", muster.ErrInvalid)
	}
	e := &env{template: t, params: params}
	r := e.registration()
	if e.err != nil {
		return muster.Registration{}, fmt.Errorf("%w registration: %w", muster.ErrInvalid, e.err)
	}
	return r, nil
}

func (e *env) registration() muster.Registration {
	t := e.template
	r := muster.Registration{
		Status: muster.Status(strings.ToUpper(e.checked(t.status, statusRule))),
		Thing:  e.thing(t.thing),
	}
	for _, g := range t.policies {
		if grant := e.grant(g); !slices.Contains(r.Policies, grant) {
			r.Policies = append(r.Policies, grant)
		}
	}
	for _, p := range t.parameters {
		if _, given := e.params[p.name]; !given && p.fallback == nil {
			e.keep(missing(p.at, p.name))
		}
	}
	return r
}

// checked evaluates n, which may be nil for "", and checks it against r.
func (e *env) checked(n *node, r rule) string {
	if n == nil {
		return ""
	}
	s := e.text(n)
	e.keep(r.check(n.at, s))
	return s
}

func (e *env) thing(t *thing) *muster.RegistrationThing {
	if t == nil {
		return nil
	}
	r := &muster.RegistrationThing{
		Name:    e.checked(t.name, nameRule),
		Type:    e.checked(t.kind, nameRule),
		Billing: e.checked(t.billing, nameRule),
		Groups:  e.groups(t.groups),
	}
	for _, a := range t.attributes {
		if r.Attributes == nil {
			r.Attributes = map[string]string{}
		}
		r.Attributes[a.name] = e.checked(a.value, valueRule)
	}
	return r
}

// groups returns the names of groups, sorted, each once.
func (e *env) groups(n *node) []string {
	if n == nil {
		return nil
	}
	names := e.list(n)
	for _, name := range names {
		e.keep(nameRule.check(n.at, name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (e *env) grant(g grant) muster.RegistrationGrant {
	if g.document == nil {
		return muster.RegistrationGrant{Name: e.checked(g.name, policyRule)}
	}
	e.guarded = true
	text := e.text(g.document)
	e.guarded = false
	if e.err == nil {
		e.keep(checkDocument(g.document.at, text))
	}
	return muster.RegistrationGrant{Name: documentName(text), Document: text}
}
