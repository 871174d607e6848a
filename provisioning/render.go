package provisioning

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/muster-mqtt/muster"
)

// rule is the form that a property must have.
type rule struct {
	*regexp.Regexp
	mend string
}

// The patterns of the AWS IoT API reference, and its words.
var (
	nameRule      = rule{regexp.MustCompile(`^[a-zA-Z0-9:_-]{1,128}$`), "write 1 to 128 letters, digits, : _ or -"}
	attributeRule = rule{regexp.MustCompile(`^[a-zA-Z0-9_.,@/:#-]{1,128}$`), "write 1 to 128 letters, digits, or _ . , @ / : # -"}
	valueRule     = rule{regexp.MustCompile(`^[a-zA-Z0-9_.,@/:#=\[\]-]{0,800}$`), "write up to 800 letters, digits, or _ . , @ / : # = [ ] -"}
	policyRule    = rule{regexp.MustCompile(`^[\w+=,.@-]{1,128}$`), "write 1 to 128 letters, digits, or _ + = , . @ -"}
	idRule        = rule{regexp.MustCompile(`^[a-fA-F0-9]{64}$`), "write the 64 hex digits of a certificate's ID"}
	csrRule       = rule{regexp.MustCompile(`-----BEGIN (NEW )?CERTIFICATE REQUEST-----`), "write a certificate signing request in PEM"}
	pemRule       = rule{regexp.MustCompile(`-----BEGIN CERTIFICATE-----`), "write a certificate in PEM"}
	statusRule    = rule{regexp.MustCompile(`^(?i:ACTIVE|INACTIVE)$`), "write ACTIVE or INACTIVE"}
	mergeRule     = rule{regexp.MustCompile(`^(DO_NOTHING|REPLACE|FAIL|MERGE)$`), "write DO_NOTHING, REPLACE, FAIL or MERGE"}
	replaceRule   = rule{regexp.MustCompile(`^(DO_NOTHING|REPLACE|FAIL)$`), "write DO_NOTHING, REPLACE or FAIL (MERGE is for AttributePayload and ThingGroups alone)"}
)

func (r rule) check(at *place, s string) *fault {
	if r.MatchString(s) {
		return nil
	}
	return at.fault(r.mend, "%s does not match %s", excerpt(s), r)
}

// Render makes of the template what is to be written for one device. It is
// pure, and gives all or nothing: a parameter without a value and Default
// (also one that is declared and never used, as in JITP), a value that breaks
// the rule of its property, a value that would change the meaning of a policy
// document, or a document that does not parse is an error that names the place
// and the mend, and wraps muster.ErrInvalid.
func (t *Template) Render(params Parameters) (muster.Registration, error) {
	if t.status == nil {
		return muster.Registration{}, fmt.Errorf("%w registration: an empty template renders nothing", muster.ErrInvalid)
	}
	e := &env{template: t, params: params}
	r := e.registration()
	if e.fault != nil {
		return muster.Registration{}, fmt.Errorf("%w registration: %w", muster.ErrInvalid, e.fault)
	}
	return r, nil
}

func (e *env) registration() muster.Registration {
	t := e.template
	r := muster.Registration{
		Status:              muster.Status(strings.ToUpper(e.checked(t.status, statusRule))),
		StatusOverride:      muster.Override(e.checked(t.override, replaceRule)),
		Thing:               e.thing(t.thing),
		DeviceConfiguration: e.configuration(t.configuration),
		Source:              e.source(t),
		Resources:           map[string]muster.ResourceKey{t.certificate: {Kind: muster.KindCertificate}},
	}
	if r.Thing != nil {
		r.Resources[t.thing.logical] = muster.ResourceKey{Kind: muster.KindThing, ID: r.Thing.Name}
	}
	for _, g := range t.policies {
		grant := e.grant(g)
		r.Resources[g.logical] = muster.ResourceKey{Kind: muster.KindPolicy, ID: grant.Name}
		if !slices.Contains(r.Policies, grant) {
			r.Policies = append(r.Policies, grant)
		}
	}
	for _, p := range t.parameters {
		if p.fallback == nil && !e.given(p.name) {
			e.keep(e.missing(p.at, p.name))
		}
	}
	return r
}

// given says whether there is a value, be it one that cannot be used: who
// refers to that is told.
func (e *env) given(name string) bool {
	_, found, _ := e.params.lookup(name)
	return found
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

// source returns the certificate that the template names, if it does.
func (e *env) source(t *Template) *muster.CertificateSource {
	if !t.sourced {
		return nil
	}
	return &muster.CertificateSource{
		ID:    strings.ToLower(e.checked(t.source.id, idRule)),
		CSR:   e.checked(t.source.csr, csrRule),
		PEM:   e.checked(t.source.pem, pemRule),
		CAPEM: e.checked(t.source.ca, pemRule),
	}
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

		Override: e.override(t.override),
	}
	for _, a := range t.attributes {
		if r.Attributes == nil {
			r.Attributes = map[string]string{}
		}
		r.Attributes[a.name] = e.checked(a.value, valueRule)
	}
	return r
}

// override returns what a template says of a thing that exists.
func (e *env) override(o *override) *muster.ThingOverride {
	if o == nil {
		return nil
	}
	setting := func(n *node, r rule) muster.Override {
		if n == nil {
			return muster.OverrideDoNothing
		}
		return muster.Override(e.checked(n, r))
	}
	return &muster.ThingOverride{
		Attributes: setting(o.attributes, mergeRule),
		Type:       setting(o.kind, replaceRule),
		Groups:     setting(o.groups, mergeRule),
	}
}

func (e *env) configuration(items []attribute) map[string]string {
	if len(items) == 0 {
		return nil
	}
	made := map[string]string{}
	for _, item := range items {
		made[item.name] = e.text(item.value)
	}
	return made
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
	if e.fault == nil {
		e.keep(checkDocument(g.document.at, text))
	}
	return muster.RegistrationGrant{Name: documentName(text), Document: text}
}
