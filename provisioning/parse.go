package provisioning

import (
	"fmt"
	"slices"
	"strings"

	"github.com/muster-mqtt/muster"
)

// Parse reads the text of a template, of at most 10,240 bytes. Its error names
// the place and the mend of the first fault, and wraps muster.ErrInvalid; Lint
// tells of all.
func Parse(body []byte) (*Template, error) { return parse(body, false) }

// ParseRegisterThing reads the template of a RegisterThing request as Parse does,
// but that it names its certificate itself: by exactly one of CertificateId,
// CertificateSigningRequest and CertificatePem, the last with CACertificatePem if
// need be.
func ParseRegisterThing(body []byte) (*Template, error) { return parse(body, true) }

func parse(body []byte, sourced bool) (*Template, error) {
	p := read(body, sourced)
	if len(p.faults) > 0 {
		return nil, fmt.Errorf("%w template: %w", muster.ErrInvalid, p.faults[0])
	}
	return &p.template, nil
}

// maxFaults bounds the faults that are kept of one template, and the advice:
// ten kilobytes have room for thousands.
const maxFaults = 100

// parser builds a template. It keeps every fault and goes on after each: what
// is wrong becomes a broken node, of which nothing else is said, so that no
// fault is told of twice.
type parser struct {
	template Template
	whole    bool // there is something to review
	faults   []*fault
	advice   []*fault        // what is no fault
	used     map[string]bool // the parameters that something refers to
	mapped   map[string]bool // the mappings that something looks into
	anyMap   bool            // something looks into one that it computes
	maps     []*value        // the mappings
}

// read parses a text; the template is good if there are no faults. sourced says
// that it names its certificate itself.
func read(body []byte, sourced bool) *parser {
	p := &parser{used: map[string]bool{}, mapped: map[string]bool{}}
	p.template.sourced = sourced
	top, faults := decode(body)
	for _, f := range faults {
		p.keep(f)
	}
	if top != nil {
		p.sections(top)
		p.whole = top.kind == isObject
	}
	slices.SortStableFunc(p.faults, byLine)
	return p
}

func byLine(a, b *fault) int { return a.at.line - b.at.line }

// keep notes a fault, unless it is nil.
func (p *parser) keep(f *fault) {
	if f != nil && len(p.faults) < maxFaults {
		p.faults = append(p.faults, f)
	}
}

// advise notes what works and is likely not meant.
func (p *parser) advise(at *place, mend, format string, args ...any) {
	if len(p.advice) < maxFaults {
		p.advice = append(p.advice, at.fault(mend, format, args...))
	}
}

// nearest returns the known name that was likely meant, or "". It is not asked
// for faults that are not kept.
func (p *parser) nearest(name string, known []string) string {
	if len(p.faults) == maxFaults {
		return ""
	}
	return nearest(name, known)
}

// object returns the members of v in the order of the text; none if v is nil.
func (p *parser) object(v *value) []*value {
	if v == nil {
		return nil
	}
	if v.kind != isObject {
		p.keep(v.at.fault("write an object: {…}", "found %s where an object is wanted", v.kind))
		p.walk(v)
		return nil
	}
	if call := function(v); call != nil {
		p.keep(call.at.fault("write the object out", "a function cannot stand here"))
		p.walk(v)
		return nil
	}
	return v.items
}

// members returns the members of v by name. Those named first must be there. A
// member whose name is nearly a known one is checked as if it were that.
func (p *parser) members(v *value, required []string, optional ...string) map[string]*value {
	known := slices.Concat(required, optional)
	found := map[string]*value{}
	for _, item := range p.object(v) {
		name := item.name()
		if !slices.Contains(known, name) {
			name = p.unknown(item.at, "member", name, known)
		}
		if name == "" || found[name] != nil {
			p.walk(item)
			continue
		}
		found[name] = item
	}
	for _, name := range required {
		if v != nil && v.kind == isObject && function(v) == nil && found[name] == nil {
			p.keep(v.at.fault("add it", "has no %s", name))
		}
	}
	return found
}

// unknown notes that a name is none of those known, and returns the one that
// was likely meant, or "".
func (p *parser) unknown(at *place, what, name string, known []string) (near string) {
	near = p.nearest(name, known)
	mend := "known are " + strings.Join(known, ", ")
	if len(known) == 1 {
		mend = "write " + known[0]
	}
	if near != "" {
		mend = "did you mean " + near + "? " + mend
	}
	p.keep(at.fault(mend, "unknown %s %s", what, excerpt(name)))
	return near
}

// literal reads a string that may not be a function.
func (p *parser) literal(v *value) (s string, ok bool) {
	if v == nil {
		return "", false
	}
	if v.kind != isString {
		p.keep(v.at.fault("write it out", "found %s where a plain string is wanted", v.kind))
		p.walk(v)
		return "", false
	}
	return v.text, true
}

// oneOf reads a string that must be one of those allowed. It returns the one
// that was likely meant if it is none, or "".
func (p *parser) oneOf(v *value, what string, allowed ...string) string {
	s, ok := p.literal(v)
	if !ok || slices.Contains(allowed, s) {
		return s
	}
	return p.unknown(v.at, what, s, allowed)
}

func (p *parser) sections(top *value) {
	m := p.members(top, []string{"Resources"}, "Parameters", "Mappings", "DeviceConfiguration")
	for _, v := range p.object(m["Parameters"]) {
		p.parameter(v)
	}
	p.mappings(m["Mappings"])
	for _, v := range p.object(m["Resources"]) {
		p.resource(v)
	}
	for _, v := range p.object(m["DeviceConfiguration"]) {
		p.template.configuration = append(p.template.configuration, attribute{v.name(), p.text(v)})
	}
	if v := m["Resources"]; v != nil && v.kind == isObject && function(v) == nil && p.template.status == nil {
		p.keep(v.at.fault("add one", "holds no %s", typeCertificate))
	}
}

func (p *parser) parameter(v *value) {
	name := v.name()
	if ofCertificate(name) && !FromCertificate(name) {
		p.keep(p.noParameter(v.at, name))
	}
	m := p.members(v, []string{"Type"}, "Default")
	p.oneOf(m["Type"], "type", "String")
	declared := parameter{at: v.at, name: name}
	if s, ok := p.literal(m["Default"]); ok {
		declared.fallback = &s
	}
	p.template.parameters = append(p.template.parameters, declared)
}

func (p *parser) mappings(v *value) {
	p.template.mappings = map[string]map[string]map[string]string{}
	for _, mapping := range p.object(v) {
		outer := map[string]map[string]string{}
		p.template.mappings[mapping.name()] = outer
		p.maps = append(p.maps, mapping)
		for _, key := range p.object(mapping) {
			inner := map[string]string{}
			outer[key.name()] = inner
			for _, leaf := range p.object(key) {
				inner[leaf.name()], _ = p.literal(leaf)
			}
		}
	}
}
