package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Explanation says how a verdict came about.
type Explanation struct {
	Verdict Verdict
	// Statements are those of all documents, in their order.
	Statements []Opinion
}

// Source is the place of a statement.
type Source struct {
	Document  int    // index in the documents that were given
	Statement int    // index in the document
	Sid       string // may be empty
}

// String names the statement within its document, as the errors of Parse do.
func (s Source) String() string {
	if s.Sid == "" {
		return fmt.Sprintf("Statement[%d]", s.Statement)
	}
	return fmt.Sprintf("Statement[%d] (Sid %.64q)", s.Statement, s.Sid)
}

// Opinion is what one statement says to a question.
type Opinion struct {
	Source
	Effect Verdict // ExplicitDeny or Allowed
	Role   Role
	// Nearness tells apart the silent: where nothing allowed, the cause is most
	// likely with those that came nearest.
	Nearness Nearness
	Cause    string // why it is silent, or denies in doubt; for a person to read
}

// Role is the part that a statement has in a verdict.
type Role string

// The roles. Exactly one statement decides, unless none applies.
const (
	Decides Role = "decides"
	Applies Role = "applies" // it would have decided, had not another
	Silent  Role = "silent"
)

// Nearness is how much of a statement fits a question.
type Nearness uint8

const (
	OtherAction   Nearness = iota
	OtherResource          // the action fits
	Hindered               // a Condition, or a variable without a value, keeps it out
	Fits                   // it is not silent
)

// Decided returns the statement that decided; nil if none applies, which denies.
func (e *Explanation) Decided() *Opinion {
	for i := range e.Statements {
		if e.Statements[i].Role == Decides {
			return &e.Statements[i]
		}
	}
	return nil
}

// Nearest returns the silent statements of an effect that came nearest, if the
// action at least fits.
func (e *Explanation) Nearest(effect Verdict) (nearest []Opinion) {
	for _, nearness := range []Nearness{Hindered, OtherResource} {
		for _, o := range e.Statements {
			if o.Effect == effect && o.Nearness == nearness {
				nearest = append(nearest, o)
			}
		}
		if nearest != nil {
			return nearest
		}
	}
	return nil
}

// Explain answers as Bind and Evaluate do together, and says why. It is for
// people and for refusals, not for every publish.
func (r *Realm) Explain(docs []*Document, v Variables, a Action, name string) Explanation {
	var e Explanation
	if slices.Contains(docs, nil) || !a.valid() {
		return e
	}
	in := r.scope(&v)
	in.connecting = a == Connect
	for i, d := range docs {
		for j := range d.statements {
			s := &d.statements[j]
			o := Opinion{Source: Source{i, j, s.sid}, Effect: s.effect, Role: Silent}
			o.Nearness, o.Cause = s.explain(&in, a, r.prefixes[a.kind()], name)
			if o.Nearness == Fits {
				o.Role = Applies
			}
			e.Statements = append(e.Statements, o)
		}
	}
	for _, effect := range []Verdict{ExplicitDeny, Allowed} {
		for i := range e.Statements {
			if o := &e.Statements[i]; o.Role == Applies && o.Effect == effect {
				o.Role, e.Verdict = Decides, effect
				return e
			}
		}
	}
	return e
}

// explain says how far a statement fits, and why not further.
func (s *statement) explain(in *scope, a Action, prefix, name string) (Nearness, string) {
	if !s.actions.has(a) {
		return OtherAction, "it is about other actions"
	}
	globs, missing := s.bindResources(in)
	r := rule{statement: s, globs: globs}
	switch {
	case missing != nil && s.negated && s.effect == Allowed:
		return Hindered, noValue(missing) + ", so that nobody knows what NotResource leaves"
	case !r.matches(prefix, name) && missing != nil:
		return Hindered, noValue(missing)
	case !r.matches(prefix, name):
		return OtherResource, s.resourceMember() + " " + describeGlobs(globs) + " does not match " + clip(prefix+name)
	}
	var doubts []string
	for i := range s.conditions {
		c := &s.conditions[i]
		t := c.now(in)
		switch {
		case !t.applies(s.effect):
			return Hindered, c.describe(in, t)
		case t == unknown:
			doubts = append(doubts, c.describe(in, t))
		}
	}
	if doubts != nil {
		return Fits, strings.Join(doubts, "; ") + ": a Deny in doubt denies"
	}
	return Fits, ""
}

func (s *statement) resourceMember() string {
	if s.negated {
		return "what is left by NotResource"
	}
	return "Resource"
}

// now is what a condition comes to at this moment, the time included.
func (c *condition) now(in *scope) truth {
	if c.isClock() {
		t := c.timed(in)
		return t.at(in.Now)
	}
	return c.in(in)
}

// describe says why a condition does not hold, or cannot be decided.
func (c *condition) describe(in *scope, t truth) string {
	wants := make([]string, len(c.operands))
	for i, o := range c.operands {
		wants[i] = fmt.Sprintf("%.80q", o.pattern.String())
	}
	return fmt.Sprintf("Condition %s %s [%s]: %s", c.operator.text, c.key.text, few(wants), c.finding(in, t))
}

func (c *condition) finding(in *scope, t truth) string {
	values := in.values(&c.key)
	if t == unknown {
		for _, o := range c.operands {
			if _, missing := o.pattern.bind(in); missing != nil {
				return noValue(missing)
			}
		}
		if len(values) > 1 && c.operator.set == single {
			return fmt.Sprintf("there are %d values; put ForAllValues: or ForAnyValue: before the operator", len(values))
		}
	}
	switch {
	case c.key.kind == clock && in.Now == nil:
		return "the time is not known"
	case c.key.kind == clock:
		return "it is " + in.Now().UTC().Format("2006-01-02T15:04:05Z")
	case c.key.kind == unknownKey:
		return "it is absent: no session has it here"
	case len(values) == 0:
		return "it is absent"
	}
	for i, value := range values {
		values[i] = clip(value)
	}
	if t == unknown {
		return few(values) + " cannot be compared so"
	}
	return "it is " + few(values)
}

func noValue(k *key) string { return "${" + k.text + "} has no value in this session" }

// maxListed is how many values an explanation lists.
const maxListed = 5

func few(values []string) string {
	if more := len(values) - maxListed; more > 0 {
		return strings.Join(values[:maxListed], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(values, ", ")
}

func describeGlobs(globs []glob) string {
	texts := make([]string, len(globs))
	for i, g := range globs {
		texts[i] = clip(strings.NewReplacer(anyString, "*", anyChar, "?").Replace(g.text))
	}
	return few(texts)
}

// maxClipped is how much of a name an explanation repeats, in bytes.
const maxClipped = 160

// clip bounds a text that others chose, and leaves nothing in it that a
// terminal or a log would obey.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
	if len(s) <= maxClipped {
		return s
	}
	return strings.ToValidUTF8(s[:maxClipped], "") + "…"
}
