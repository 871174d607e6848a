package policy

import (
	"fmt"
	"unicode"

	"github.com/muster-mqtt/muster"
)

const (
	version = "2012-10-17"
	// maxCharacters is the limit of AWS, white space not counted; maxBytes is
	// that of its API on the whole text.
	maxCharacters = 2048
	maxBytes      = 404600
)

// Document is a policy that was read. It is immutable, and any number of
// sessions may share it. The zero Document has no statements and grants
// nothing.
type Document struct {
	statements []statement
}

// statement is one rule of a document. It knows nothing of the grammar that it
// was written in.
type statement struct {
	sid        string
	effect     Verdict // Allowed or ExplicitDeny
	actions    actionSet
	negated    bool // the resources are NotResource
	resources  []pattern
	globs      []glob // the compiled resources if no session changes them, else nil
	conditions []condition
}

// Parse reads the text of a policy in the grammar of AWS IoT. It is strict:
// what it does not know is an error, for a misspelt member of a Deny would
// otherwise allow. Action names are only checked for their form. An error wraps
// muster.ErrMalformedPolicy and names the statement, counted from zero, the
// member, and what would mend it. A text may have 2,048 characters, white space
// not counted, and 404,600 bytes.
func Parse(doc []byte) (*Document, error) {
	d, err := parse(doc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", muster.ErrMalformedPolicy, err)
	}
	return d, nil
}

func parse(text []byte) (*Document, error) {
	if err := checkSize(text); err != nil {
		return nil, err
	}
	tree, err := readJSON(text)
	if err != nil {
		return nil, err
	}
	root, ok := tree.(object)
	if !ok {
		return nil, fmt.Errorf("the document is %s; write an object with Version and Statement", kindOf(tree))
	}
	for _, m := range root {
		if m.name != "Version" && m.name != "Statement" {
			return nil, fault(m.name, "no member of a policy; only Version and Statement are")
		}
	}
	if v, ok := root.get("Version"); !ok || v != version {
		return nil, fault("Version", "missing or unknown; write %q", version)
	}
	statements, ok := root.get("Statement")
	if !ok {
		return nil, fault("Statement", "missing; add an array of statements")
	}
	return parseStatements(statements)
}

func checkSize(text []byte) error {
	if len(text) > maxBytes {
		return fmt.Errorf("the text has %d bytes; at most %d are allowed", len(text), maxBytes)
	}
	n := 0
	for _, r := range string(text) {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	if n > maxCharacters {
		return fmt.Errorf("the text has %d characters without white space; at most %d are allowed: split it into several policies", n, maxCharacters)
	}
	return nil
}

func parseStatements(value any) (*Document, error) {
	list, ok := value.(array)
	if one, single := value.(object); single {
		list, ok = array{one}, true
	}
	if !ok {
		return nil, fault("Statement", "%s; write an object or an array of objects", kindOf(value))
	}
	if len(list) == 0 {
		return nil, fault("Statement", "an empty array; add a statement")
	}
	d := &Document{statements: make([]statement, len(list))}
	for i, value := range list {
		members, ok := value.(object)
		if !ok {
			return nil, fault(fmt.Sprintf("Statement[%d]", i), "%s; write an object", kindOf(value))
		}
		s, err := parseStatement(members)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", statementName(i, members), err)
		}
		d.statements[i] = s
	}
	return d, nil
}

// statementName names a statement in an error.
func statementName(i int, members object) string {
	if sid, _ := members.get("Sid"); sid != nil && sid != "" {
		return fmt.Sprintf("Statement[%d] (Sid %q)", i, fmt.Sprint(sid))
	}
	return fmt.Sprintf("Statement[%d]", i)
}

func parseStatement(members object) (statement, error) {
	var s statement
	for _, m := range members {
		if err := s.set(m); err != nil {
			return statement{}, err
		}
	}
	_, hasResource := members.get("Resource")
	_, hasNotResource := members.get("NotResource")
	_, hasAction := members.get("Action")
	switch {
	case s.effect == ImplicitDeny:
		return statement{}, fault("Effect", "missing; write Allow or Deny")
	case !hasAction:
		return statement{}, fault("Action", "missing; write one such as iot:Publish")
	case hasResource && hasNotResource:
		return statement{}, fault("NotResource", "excludes Resource; keep one of them")
	case !hasResource && !hasNotResource:
		return statement{}, fault("Resource", "missing; write an ARN or *")
	}
	s.globs = shared(s.resources)
	return s, nil
}

// shared compiles patterns that are the same in every session; nil if one is
// not.
func shared(patterns []pattern) []glob {
	globs := make([]glob, len(patterns))
	for i, p := range patterns {
		if !p.fixed() {
			return nil
		}
		globs[i] = newGlob(p.parts[0].text)
	}
	return globs
}

// set reads one member into the statement.
func (s *statement) set(m member) error {
	switch m.name {
	case "Sid":
		sid, ok := m.value.(string)
		if !ok {
			return fault("Sid", "%s; write a string", kindOf(m.value))
		}
		s.sid = sid
		return nil
	case "Effect":
		return s.setEffect(m.value)
	case "Action":
		patterns, err := stringOrList(m.name, m.value)
		if err != nil {
			return err
		}
		s.actions, err = parseActions(patterns)
		return err
	case "Resource", "NotResource":
		s.negated = m.name == "NotResource"
		return s.setResources(m)
	case "Condition":
		var err error
		s.conditions, err = parseConditions(m.value)
		return err
	}
	return fault(m.name, "no member of a statement; only Sid, Effect, Action, Resource, NotResource and Condition are")
}

func (s *statement) setEffect(value any) error {
	switch value {
	case "Allow":
		s.effect = Allowed
	case "Deny":
		s.effect = ExplicitDeny
	default:
		if text, ok := value.(string); ok {
			return fault("Effect", "%q; write Allow or Deny", text)
		}
		return fault("Effect", "%s; write Allow or Deny", kindOf(value))
	}
	return nil
}

func (s *statement) setResources(m member) error {
	list, err := stringOrList(m.name, m.value)
	if err != nil {
		return err
	}
	s.resources = make([]pattern, len(list))
	for i, text := range list {
		if s.resources[i], err = parseResource(text); err != nil {
			return fault(fmt.Sprintf("%s[%d]", m.name, i), "%q: %w", text, err)
		}
	}
	return nil
}
