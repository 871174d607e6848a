package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// pattern is a Resource as it is written, cut at its variables.
type pattern struct {
	parts []part
}

// part is compiled text and the variable that follows it; the last part of a
// pattern has none.
type part struct {
	text     string
	variable string
}

// variableName admits any variable of AWS, also those that have no value here:
// iot:ClientId, aws:PrincipalTag/x, iot:Connection.Thing.Attributes[x].
var variableName = regexp.MustCompile(`^[A-Za-z0-9.-]+:[A-Za-z0-9._/-]+(\[[A-Za-z0-9_.,@/:#-]+\])?$`)

// parsePattern compiles a Resource. "+" and "#" are literals, and so is a "$"
// that no brace follows, as in $aws/events.
func parsePattern(s string) (pattern, error) {
	if s != "*" && !strings.HasPrefix(s, "arn:") {
		return pattern{}, errors.New("no ARN; write * or arn:aws:iot:REGION:ACCOUNT:KIND/NAME with KIND client, topic or topicfilter")
	}
	// Five colons stand before the resource. A pattern without them could
	// match only through a star, and a Deny that never matches is a trap.
	if !strings.Contains(s, "*") && strings.Count(s, ":") < 5 {
		return pattern{}, errors.New("it ends before the resource; write arn:aws:iot:REGION:ACCOUNT:KIND/NAME")
	}
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
			p.parts = append(p.parts, part{text.String(), name})
			text.Reset()
		case s[0] == '*':
			text.WriteString(anyString)
			rest = s[1:]
		case s[0] == '?':
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
	if name != "*" && name != "?" && name != "$" && !variableName.MatchString(name) {
		return "", "", fmt.Errorf("it has ${%s}, which is no variable; write one such as ${iot:ClientId}, or ${$} for a literal $", name)
	}
	return name, rest, nil
}

// fixed reports whether the pattern is the same in every session.
func (p pattern) fixed() bool { return len(p.parts) == 1 }

// bind puts the values in. If a variable has none, it returns that variable,
// and the pattern matches nothing; but with widen, a variable that AWS would
// have filled becomes a star.
func (p pattern) bind(v *Variables, widen bool) (g glob, missing string) {
	if p.fixed() {
		return newGlob(p.parts[0].text), ""
	}
	var text strings.Builder
	for _, part := range p.parts {
		text.WriteString(part.text)
		if part.variable == "" {
			continue
		}
		value, ok := v.value(part.variable)
		switch {
		case ok:
			text.WriteString(value)
		case widen && notSupplied(part.variable):
			text.WriteString(anyString)
		default:
			return glob{}, part.variable
		}
	}
	return newGlob(text.String()), ""
}
