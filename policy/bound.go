package policy

import (
	"slices"
	"time"

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

// Realm is where the resources of sessions are: a region and an account. It is
// immutable, and its sessions share it.
type Realm struct {
	prefixes [kindEnd]string // of the ARN, up to the name: "arn:…:topic/"
}

// NewRealm makes the realm of an account (12 digits) in a region.
func NewRealm(region, account string) *Realm {
	r := new(Realm)
	for k := range kindEnd {
		r.prefixes[k] = muster.ARN(region, account, k.String()+"/")
	}
	return r
}

func (r *Realm) scope(v *Variables) scope {
	return scope{Variables: v, topics: r.prefixes[topic]}
}

// Bound is what one session may do: documents with the session's variables put
// in. It is immutable and safe for concurrent use. A nil or zero Bound denies
// everything.
type Bound struct {
	realm *Realm
	rules []rule // every Deny before every Allow
	now   func() time.Time
}

// rule is a statement in one session.
type rule struct {
	statement *statement
	globs     []glob    // shared with the document where no variable is
	schedule  *schedule // conditions on the time; nil if there are none
	actions   actionSet
}

// Bind joins the documents that reach a principal with the variables of one
// session. The documents are shared, not copied: of a session only patterns
// with variables, and conditions on the time, take memory. A nil document
// stands for one that could not be read; it might have denied, so everything is
// denied.
func (r *Realm) Bind(docs []*Document, v Variables) *Bound {
	if slices.Contains(docs, nil) {
		return new(Bound)
	}
	b := &Bound{realm: r, now: v.Now}
	statements := 0
	for _, d := range docs {
		statements += len(d.statements)
	}
	rules := make([]rule, 0, statements)
	in := r.scope(&v)
	for _, effect := range []Verdict{ExplicitDeny, Allowed} {
		for _, d := range docs {
			for j := range d.statements {
				if s := &d.statements[j]; s.effect == effect {
					if rule, ok := s.bind(in); ok {
						rules = append(rules, rule)
					}
				}
			}
		}
	}
	if len(rules) < cap(rules) {
		rules = slices.Clone(rules) // it lives as long as the session
	}
	b.rules = rules
	return b
}

// bind makes the rule that a statement is in a session, if it is one there.
func (s *statement) bind(in scope) (rule, bool) {
	r := rule{statement: s, actions: s.actionsIn(in)}
	if r.actions == 0 {
		return r, false
	}
	globs, missing := s.bindResources(&in)
	if missing != nil && s.negated && s.effect == Allowed {
		return r, false // the complement of what is unknown is unknown
	}
	r.globs, r.schedule = globs, s.schedule(&in)
	return r, len(globs) > 0 || s.negated
}

// actionsIn returns the actions for which the conditions hold: only iot:Connect
// has what a CONNECT asks for.
func (s *statement) actionsIn(in scope) (held actionSet) {
	const connect = actionSet(1 << Connect)
	if len(s.conditions) == 0 {
		return s.actions
	}
	for _, class := range []actionSet{s.actions & connect, s.actions &^ connect} {
		in.connecting = class == connect
		if class != 0 && s.conditionsHold(&in) {
			held |= class
		}
	}
	return held
}

// bindResources compiles the resources, without those that match nothing for
// want of a value; missing is the variable of the last of them.
func (s *statement) bindResources(in *scope) (globs []glob, missing *key) {
	if s.globs != nil {
		return s.globs, nil
	}
	globs = make([]glob, 0, len(s.resources))
	for _, p := range s.resources {
		text, variable := p.bind(in)
		if variable != nil {
			missing = variable
			continue
		}
		globs = append(globs, newGlob(text))
	}
	return globs, missing
}

// Evaluate reports whether the session may do a to the resource of this name: a
// client ID, topic or topic filter, as the action says. It neither locks nor
// allocates.
func (b *Bound) Evaluate(a Action, name string) Verdict {
	if b == nil || !a.valid() {
		return ImplicitDeny
	}
	for i := range b.rules {
		if r := &b.rules[i]; r.actions.has(a) && r.matches(b.realm.prefixes[a.kind()], name) && r.schedule.applies(r.statement.effect, b.now) {
			return r.statement.effect
		}
	}
	return ImplicitDeny
}

func (r *rule) matches(prefix, name string) bool {
	for i := range r.globs {
		if r.globs[i].match(prefix, name) {
			return !r.statement.negated
		}
	}
	return r.statement.negated
}
