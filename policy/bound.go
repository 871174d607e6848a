package policy

import (
	"slices"

	"github.com/muster-mqtt/muster"
)

// Verdict is the answer to whether a session may do something. The zero value
// denies.
type Verdict uint8

const (
	ImplicitDeny Verdict = iota // no statement speaks
	ExplicitDeny                // a Deny matches
	Allowed                     // an Allow matches, and no Deny
)

func (v Verdict) String() string {
	switch v {
	case Allowed:
		return "allowed"
	case ExplicitDeny:
		return "explicit deny"
	}
	return "implicit deny"
}

// Bound is what one session may do: documents with the session's variables put
// in. It is immutable and safe for concurrent use. A nil or zero Bound denies
// everything.
type Bound struct {
	prefixes [kindEnd]string // of the ARN, up to the name: "arn:…:topic/"
	rules    []rule          // every Deny before every Allow
	inert    []inertRule
}

// rule is a statement in one session.
type rule struct {
	origin
	globs []glob // shared with the document where no variable is
}

// origin says where a rule comes from.
type origin struct {
	statement       *statement
	document, index int
}

// inertRule is a statement that cannot decide, or not for all its resources.
type inertRule struct {
	origin
	missing string // the variable that has no value; "" if the cause is a Condition
}

// Bind joins the documents that reach a principal with the variables of one
// session, which has its resources in this region and account (12 digits). The
// documents are shared, not copied, and only patterns with variables take
// memory. A nil document stands for one that could not be read; it might have
// denied, so everything is denied.
func Bind(docs []*Document, region, account string, v Variables) *Bound {
	if slices.Contains(docs, nil) {
		return new(Bound)
	}
	b := new(Bound)
	for k := range kindEnd {
		b.prefixes[k] = muster.ARN(region, account, k.String()+"/")
	}
	statements := 0
	for _, d := range docs {
		statements += len(d.statements)
	}
	b.rules = make([]rule, 0, statements)
	for _, effect := range []Verdict{ExplicitDeny, Allowed} {
		for i, d := range docs {
			for j := range d.statements {
				if s := &d.statements[j]; s.effect == effect && s.actions != 0 {
					b.add(origin{s, i, j}, &v)
				}
			}
		}
	}
	return b
}

// add appends the rule that a statement makes in this session, if it makes one.
func (b *Bound) add(o origin, v *Variables) {
	s := o.statement
	grants := s.effect == Allowed
	if grants && len(s.conditions) > 0 {
		b.inert = append(b.inert, inertRule{origin: o})
		return
	}
	globs := s.globs
	if globs == nil {
		var missing string
		globs, missing = s.bind(v)
		if missing != "" {
			b.inert = append(b.inert, inertRule{o, missing})
			if s.negated && grants {
				return // the complement of what is unknown is unknown
			}
		}
	}
	if len(globs) > 0 || s.negated {
		b.rules = append(b.rules, rule{o, globs})
	}
}

// bind compiles the resources, without those that match nothing for want of a
// value; missing is the variable of the last of them.
func (s *statement) bind(v *Variables) (globs []glob, missing string) {
	// A star in the exceptions of a Deny would deny less.
	widen := s.effect == ExplicitDeny && !s.negated
	globs = make([]glob, 0, len(s.resources))
	for _, p := range s.resources {
		g, variable := p.bind(v, widen)
		if variable != "" {
			missing = variable
			continue
		}
		globs = append(globs, g)
	}
	return globs, missing
}

// Evaluate reports whether the session may do a to the resource of this name: a
// client ID, topic or topic filter, as the action says. It neither locks nor
// allocates.
func (b *Bound) Evaluate(a Action, name string) Verdict {
	if r := b.decide(a, name); r != nil {
		return r.statement.effect
	}
	return ImplicitDeny
}

// decide returns the rule that decides, nil if none does.
func (b *Bound) decide(a Action, name string) *rule {
	if b == nil || !a.valid() {
		return nil
	}
	prefix := b.prefixes[a.kind()]
	for i := range b.rules {
		if r := &b.rules[i]; r.statement.actions.has(a) && r.matches(prefix, name) {
			return r
		}
	}
	return nil
}

func (r *rule) matches(prefix, name string) bool {
	for i := range r.globs {
		if r.globs[i].match(prefix, name) {
			return !r.statement.negated
		}
	}
	return r.statement.negated
}
