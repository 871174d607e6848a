package policy

import (
	"errors"
	"fmt"
	"strings"
)

// pattern is a Resource, or a value of a Condition, cut at its variables.
type pattern struct {
	parts []part
}

// part is compiled text and the variable that follows it; the last part of a
// pattern has none.
type part struct {
	text     string
	variable *key
}

// parseResource compiles a Resource.
func parseResource(s string) (pattern, error) {
	if s != "*" && !strings.HasPrefix(s, "arn:") {
		return pattern{}, errors.New("no ARN; write * or arn:aws:iot:REGION:ACCOUNT:KIND/NAME with KIND client, topic or topicfilter")
	}
	// Five colons stand before the resource. A pattern without them could
	// match only through a star, and a Deny that never matches is a trap.
	if !strings.Contains(s, "*") && strings.Count(s, ":") < 5 {
		return pattern{}, errors.New("it ends before the resource; write arn:aws:iot:REGION:ACCOUNT:KIND/NAME")
	}
	return parsePattern(s, true)
}

// parsePattern compiles a text. "+" and "#" are literals, and so is a "$" that
// no brace follows, as in $aws/events; without wildcards, "*" and "?" are too.
func parsePattern(s string, wildcards bool) (pattern, error) {
	var p pattern
	var text strings.Builder
	for s != "" {
		name, rest, err := cutVariable(s)
		switch {
		case err != nil:
			return pattern{}, err
		case name == "*" || name == "?" || name == "$":
			text.WriteString(name)
		case name != "":
			variable := parseKey(name)
			p.parts = append(p.parts, part{text.String(), &variable})
			text.Reset()
		case wildcards && s[0] == '*':
			text.WriteString(anyString)
			rest = s[1:]
		case wildcards && s[0] == '?':
			text.WriteString(anyChar)
			rest = s[1:]
		default:
			text.WriteByte(s[0])
			rest = s[1:]
		}
		s = rest
	}
	p.parts = append(p.parts, part{text: text.String()})
	return p, nil
}

// cutVariable returns the name in the ${name} that s starts with and what comes
// behind it. The name is "" if s starts with anything else.
func cutVariable(s string) (name, rest string, err error) {
	inner, ok := strings.CutPrefix(s, "${")
	if !ok {
		return "", s, nil
	}
	name, rest, ok = strings.Cut(inner, "}")
	if !ok {
		return "", "", errors.New("it has a ${ that no } closes; write ${$} for a literal $")
	}
	if name != "*" && name != "?" && name != "$" && !keyName.MatchString(name) {
		return "", "", fmt.Errorf("it has ${%s}, which is no variable; write one such as ${iot:ClientId}, or ${$} for a literal $", name)
	}
	return name, rest, nil
}

// fixed reports whether the pattern is the same in every session.
func (p pattern) fixed() bool { return len(p.parts) == 1 }

// bind puts the values in. If a variable has none, it returns that variable,
// and there is no text.
func (p pattern) bind(s *scope) (text string, missing *key) {
	if p.fixed() {
		return p.parts[0].text, nil
	}
	pieces := make([]string, 0, 8) // joined, so that no byte more is kept than there are
	for _, part := range p.parts {
		pieces = append(pieces, part.text)
		if part.variable == nil {
			continue
		}
		value, ok := s.value(part.variable)
		if !ok {
			return "", part.variable
		}
		pieces = append(pieces, value)
	}
	return strings.Join(pieces, ""), nil
}

// String returns the pattern as it could have been written.
func (p pattern) String() string {
	var b strings.Builder
	for _, part := range p.parts {
		b.WriteString(strings.NewReplacer(anyString, "*", anyChar, "?").Replace(part.text))
		if part.variable != nil {
			b.WriteString("${" + part.variable.text + "}")
		}
	}
	return b.String()
}
