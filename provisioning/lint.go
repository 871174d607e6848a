package provisioning

import (
	"regexp"
	"slices"
	"strings"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // Parse refuses the template for it
	SeverityWarning Severity = "warning" // it works, and is likely not meant
)

// Finding is what Lint has to say of a place in a template.
type Finding struct {
	Severity Severity `json:"severity"`
	Path     string   `json:"path"` // as in Resources.thing.Properties.ThingName
	Line     int      `json:"line"` // from 1
	Problem  string   `json:"problem"`
	Mend     string   `json:"mend"`
}

// Lint tells everything that is wrong with a template, by line, up to a hundred
// errors and as many warnings. Parse accepts a template exactly if there is no
// error, and its error is the first of them.
func Lint(body []byte) []Finding { return lint(body, false) }

// LintRegisterThing is Lint for ParseRegisterThing.
func LintRegisterThing(body []byte) []Finding { return lint(body, true) }

func lint(body []byte, sourced bool) []Finding {
	p := read(body, sourced)
	if p.whole {
		p.review()
	}
	var all []Finding
	for _, group := range []struct {
		severity Severity
		faults   []*fault
	}{{SeverityError, p.faults}, {SeverityWarning, p.advice}} {
		for _, f := range group.faults {
			all = append(all, Finding{group.severity, f.where(), f.at.line, f.text, f.mend})
		}
	}
	slices.SortStableFunc(all, func(a, b Finding) int { return a.Line - b.Line })
	return all
}

// placeholder is a variable of Fn::Sub, or of a policy.
var placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)

// plain looks for variables of Fn::Sub in a text that is none.
func (p *parser) plain(v *value) {
	for _, m := range placeholder.FindAllStringSubmatch(v.text, -1) {
		switch kept, escaped := strings.CutPrefix(m[1], "!"); {
		case escaped:
			p.advise(v.at, "write ${"+shown(kept)+"}", "${!%s} stays as it is outside Fn::Sub", shown(kept))
		case p.known(m[1]):
			p.advise(v.at, `put the text into {"Fn::Sub": …}`, "${%s} is not replaced outside Fn::Sub", shown(m[1]))
		}
	}
}

// review looks at the template as a whole for what is likely not meant.
func (p *parser) review() {
	top := &place{line: 1}
	for _, declared := range p.template.parameters {
		switch {
		case !p.used[declared.name] && declared.fallback == nil:
			p.advise(declared.at, "remove it, or use it", "nothing refers to this parameter, and a device without a value for it is refused all the same")
		case !p.used[declared.name]:
			p.advise(declared.at, "remove it, or use it", "nothing refers to this parameter")
		case !p.template.sourced && !FromCertificate(declared.name) && declared.fallback == nil:
			p.advise(declared.at, "add a Default, unless devices provision themselves by a claim", "a first connect brings no value for this parameter")
		}
	}
	for _, m := range p.maps {
		if !p.anyMap && !p.mapped[m.name()] {
			p.advise(m.at, "remove it, or use it", "nothing looks into this mapping")
		}
	}
	if len(p.template.policies) == 0 {
		p.advise(top, "add an "+typePolicy, "no policy is attached: the device may not even connect, unless a group of its thing brings one")
	}
	for _, g := range p.template.policies {
		p.probe(g.document)
	}
}

// probe renders a document with x for what only a device brings, and sees
// whether it parses.
func (p *parser) probe(document *node) {
	if document == nil || document.op == literal || len(p.faults) > 0 {
		return
	}
	e := &env{template: &p.template, probing: true}
	text := e.text(document)
	if e.fault != nil {
		return // x is in no mapping, say: nothing can be told
	}
	if f := checkDocument(document.at, text); f != nil {
		p.advise(f.at, f.mend, "with x for each parameter that has no Default: %s", f.text)
	}
}
