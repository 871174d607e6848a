package policy

import "slices"

// Unknown says what somebody who asks for a verdict cannot know of a session.
// The zero value knows all.
type Unknown struct {
	ClientID    bool
	Thing       bool
	Certificate bool
	SourceIP    bool
	DomainName  bool
	Connect     bool // what the CONNECT asks for
}

// hides reports whether the value of a key is unknown.
func (u Unknown) hides(k *key, a Action) bool {
	switch k.kind {
	case clientID:
		return u.ClientID
	case sourceIP:
		return u.SourceIP
	case domainName:
		return u.DomainName
	case connectAttributes, lastWillTopic:
		return u.Connect && a == Connect
	case thingName, thingType, thingIsAttached, thingAttribute:
		return u.Thing
	case certificateID, serialNumber, availableKeys, subjectName, issuerName, subjectAlternative, issuerAlternative:
		return u.Certificate
	}
	return false
}

// Lacks names, as they are written and sorted, the variables and keys of
// conditions that statements about an action look at and whose values are
// unknown: whoever gives them may get another verdict.
func Lacks(docs []*Document, a Action, u Unknown) []string {
	var names []string
	look := func(k *key) {
		if k != nil && u.hides(k, a) {
			names = append(names, k.text)
		}
	}
	for _, d := range docs {
		for i := range d.statements {
			s := &d.statements[i]
			if !s.actions.has(a) {
				continue
			}
			for _, p := range s.resources {
				p.each(look)
			}
			for j := range s.conditions {
				look(&s.conditions[j].key)
				for _, o := range s.conditions[j].operands {
					o.pattern.each(look)
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// each calls fn for the variables of a pattern.
func (p pattern) each(fn func(*key)) {
	for _, part := range p.parts {
		fn(part.variable)
	}
}
