package provisioning

import (
	"fmt"
	"slices"
	"strings"

	"github.com/muster-mqtt/muster"
)

const (
	typeCertificate = "AWS::IoT::Certificate"
	typePolicy      = "AWS::IoT::Policy"
	typeThing       = "AWS::IoT::Thing"
)

const (
	maxPolicies        = 10 // attached to one certificate
	maxAttributes      = 3  // of a thing without a type
	maxTypedAttributes = 50 // of a thing with one
)

// Template is a provisioning template that Parse accepted. It never changes,
// so that many connections may render it at once. The zero value renders
// nothing but an error.
type Template struct {
	parameters []parameter
	mappings   map[string]map[string]map[string]string
	status     *node
	thing      *thing // nil for none
	policies   []grant
}

type parameter struct {
	at       *place
	name     string
	fallback *string // nil for none
}

// thing holds the properties of a thing; nil nodes are absent.
type thing struct {
	name, kind, billing, groups *node
	attributes                  []attribute
}

type attribute struct {
	name  string
	value *node
}

// grant is a policy: by name or by document, the other is nil.
type grant struct{ name, document *node }

func (t *Template) parameter(name string) (parameter, bool) {
	i := slices.IndexFunc(t.parameters, func(p parameter) bool { return p.name == name })
	if i < 0 {
		return parameter{}, false
	}
	return t.parameters[i], true
}

// Parse reads the JSON text of a template of 1 to 10240 bytes. It is strict:
// an unknown member, type, function or parameter, a member that stands twice,
// a value of the wrong type or a constant that breaks its rule is an error that
// names the path, the line and the mend, and wraps muster.ErrInvalid.
func Parse(body []byte) (*Template, error) {
	p := &parser{}
	top, err := decode(body)
	p.keep(err)
	p.sections(top)
	if p.err != nil {
		return nil, fmt.Errorf("%w template: %w", muster.ErrInvalid, p.err)
	}
	return &p.template, nil
}

// parser builds a template. It keeps the first fault; after that its methods
// go on with nothing and report nothing, so that their callers need not ask.
type parser struct {
	template Template
	err      error
}

func (p *parser) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *parser) failf(at *place, format string, args ...any) { p.keep(at.faultf(format, args...)) }

// object returns the members of v in the order of the text; none if v is nil.
func (p *parser) object(v *value) []*value {
	if p.err != nil || v == nil {
		return nil
	}
	if v.kind != isObject {
		p.failf(v.at, "want an object, found %s", v.kind)
	}
	if call := p.function(v); call != nil {
		p.failf(call.at, "a function cannot stand here; write the object out")
	}
	if p.err != nil {
		return nil
	}
	return v.items
}

// members returns the members of v by name. Those named first must be there.
func (p *parser) members(v *value, required []string, optional ...string) map[string]*value {
	known := slices.Concat(required, optional)
	found := map[string]*value{}
	for _, item := range p.object(v) {
		if !slices.Contains(known, item.name()) {
			p.failf(item.at, "unknown member; known are %s", strings.Join(known, ", "))
		}
		found[item.name()] = item
	}
	for _, name := range required {
		if p.err == nil && v != nil && found[name] == nil {
			p.failf(v.at, "has no %s; add it", name)
		}
	}
	return found
}

// literal reads a string that may not be a function.
func (p *parser) literal(v *value) string {
	if p.err != nil || v == nil {
		return ""
	}
	if v.kind != isString {
		p.failf(v.at, "want a plain string, found %s", v.kind)
	}
	return v.text
}

// oneOf reads a string that must be one of those allowed.
func (p *parser) oneOf(v *value, allowed ...string) string {
	s := p.literal(v)
	if p.err == nil && v != nil && !slices.Contains(allowed, s) {
		p.failf(v.at, "%s is not known here; write %s", excerpt(s), strings.Join(allowed, " or "))
	}
	return s
}

func (p *parser) sections(top *value) {
	m := p.members(top, []string{"Resources"}, "Parameters", "Mappings", "DeviceConfiguration")
	if v := m["DeviceConfiguration"]; v != nil {
		p.failf(v.at, "is not supported; remove it")
	}
	for _, v := range p.object(m["Parameters"]) {
		p.parameter(v)
	}
	p.mappings(m["Mappings"])
	for _, v := range p.object(m["Resources"]) {
		p.resource(v)
	}
	if v := m["Resources"]; p.err == nil && p.template.status == nil {
		p.failf(v.at, "holds no %s; add one", typeCertificate)
	}
}

func (p *parser) parameter(v *value) {
	name := v.name()
	if strings.HasPrefix(name, certificatePrefix) && !fromCertificate(name) {
		p.failf(v.at, "no certificate gives this parameter; known are Id, CommonName, Country, DistinguishedNameQualifier, Organization, OrganizationalUnit, SerialNumber, StateName")
	}
	m := p.members(v, []string{"Type"}, "Default")
	p.oneOf(m["Type"], "String")
	declared := parameter{at: v.at, name: name}
	if d := m["Default"]; d != nil {
		s := p.literal(d)
		declared.fallback = &s
	}
	p.template.parameters = append(p.template.parameters, declared)
}

func (p *parser) mappings(v *value) {
	p.template.mappings = map[string]map[string]map[string]string{}
	for _, mapping := range p.object(v) {
		outer := map[string]map[string]string{}
		p.template.mappings[mapping.name()] = outer
		for _, key := range p.object(mapping) {
			inner := map[string]string{}
			outer[key.name()] = inner
			for _, leaf := range p.object(key) {
				inner[leaf.name()] = p.literal(leaf)
			}
		}
	}
}

func (p *parser) resource(v *value) {
	m := p.members(v, []string{"Type", "Properties"}, "OverrideSettings")
	if o := m["OverrideSettings"]; o != nil {
		p.failf(o.at, "OverrideSettings are not supported; remove them: what exists already is kept")
	}
	kind, properties := p.oneOf(m["Type"], typeCertificate, typePolicy, typeThing), m["Properties"]
	if p.err != nil {
		return
	}
	switch kind {
	case typeCertificate:
		if p.template.status != nil {
			p.failf(v.at, "is a second %s; keep one", kind)
		}
		p.certificate(properties)
	case typePolicy:
		if len(p.template.policies) == maxPolicies {
			p.failf(v.at, "is one %s too many; a certificate has at most %d", kind, maxPolicies)
		}
		p.policy(properties)
	case typeThing:
		if p.template.thing != nil {
			p.failf(v.at, "is a second %s; keep one", kind)
		}
		p.thing(properties)
	}
}

func (p *parser) certificate(v *value) {
	m := p.members(v, []string{"CertificateId"}, "Status")
	id := p.text(m["CertificateId"])
	if p.err == nil && (id.op != ref || id.text != certificateID) {
		p.failf(id.at, `want {"Ref": %q}: the certificate is the one that connects`, certificateID)
	}
	p.template.status = p.property(m["Status"], statusRule)
	if p.template.status == nil {
		p.template.status = &node{op: literal, at: v.at, text: string(muster.Active)}
	}
}

func (p *parser) thing(v *value) {
	m := p.members(v, []string{"ThingName"}, "ThingTypeName", "ThingGroups", "BillingGroup", "AttributePayload")
	t := &thing{
		name:    p.property(m["ThingName"], nameRule),
		kind:    p.property(m["ThingTypeName"], nameRule),
		billing: p.property(m["BillingGroup"], nameRule),
		groups:  p.list(m["ThingGroups"]),
	}
	if p.err == nil && t.groups != nil && t.groups.op == list {
		for _, group := range t.groups.args {
			p.check(group, nameRule)
		}
	}
	for _, item := range p.object(m["AttributePayload"]) {
		p.keep(attributeRule.check(item.at, item.name()))
		t.attributes = append(t.attributes, attribute{item.name(), p.property(item, valueRule)})
	}
	most := maxAttributes
	if t.kind != nil {
		most = maxTypedAttributes
	}
	if len(t.attributes) > most {
		p.failf(m["AttributePayload"].at, "has %d attributes; a thing has at most %d without a ThingTypeName and %d with one", len(t.attributes), maxAttributes, maxTypedAttributes)
	}
	p.template.thing = t
}

func (p *parser) policy(v *value) {
	m := p.members(v, nil, "PolicyName", "PolicyDocument")
	if p.err == nil && len(m) != 1 {
		p.failf(v.at, "want exactly one of PolicyName (of a policy that exists) and PolicyDocument")
	}
	g := grant{name: p.property(m["PolicyName"], policyRule), document: p.document(m["PolicyDocument"])}
	if d := g.document; p.err == nil && d != nil && d.op == literal {
		p.keep(checkDocument(d.at, d.text))
	}
	p.template.policies = append(p.template.policies, g)
}

// property reads an expression and checks it against its rule if it is constant.
func (p *parser) property(v *value, r rule) *node {
	n := p.text(v)
	p.check(n, r)
	return n
}

func (p *parser) check(n *node, r rule) {
	if p.err == nil && n != nil && n.op == literal {
		p.keep(r.check(n.at, n.text))
	}
}
