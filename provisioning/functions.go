package provisioning

import "strings"

// fnSplit is the one function that gives a list.
const fnSplit = "Fn::Split"

// function returns the one member of v that makes it a function call, or nil.
func function(v *value) *value {
	if v.kind != isObject {
		return nil
	}
	for _, item := range v.items {
		if item.name() == "Ref" || strings.HasPrefix(item.name(), "Fn::") {
			return item
		}
	}
	return nil
}

// brokenAt stands for an expression with a fault.
func brokenAt(at *place) *node { return &node{op: broken, at: at} }

// walk looks for faults in what has no meaning where it stands.
func (p *parser) walk(v *value) {
	switch {
	case v == nil:
	case function(v) == nil:
		if v.kind == isString {
			p.plain(v)
		}
		for _, item := range v.items {
			p.walk(item)
		}
	case function(v).name() == fnSplit:
		p.list(v)
	default:
		p.text(v)
	}
}

// text reads an expression that gives a string. What needs no parameter is
// evaluated now, so that its faults show when the template is written.
func (p *parser) text(v *value) *node {
	if v == nil {
		return nil
	}
	if v.kind == isString {
		p.plain(v)
		return &node{op: literal, at: v.at, text: v.text}
	}
	call := function(v)
	if call == nil {
		p.keep(v.at.fault(`write a string, or a function such as {"Ref": "…"}`, "found %s where a string is wanted", v.kind))
		p.walk(v)
		return brokenAt(v.at)
	}
	p.alone(v, call)
	return p.fold(p.call(call))
}

// alone demands that a function has no neighbours.
func (p *parser) alone(v, call *value) {
	if len(v.items) > 1 {
		p.keep(call.at.fault("move the other members out", "a function stands alone in its object"))
	}
}

// call reads a function that gives a string.
func (p *parser) call(v *value) *node {
	switch v.name() {
	case "Ref":
		if name, ok := p.literal(v); ok {
			return p.reference(v.at, name)
		}
	case "Fn::FindInMap":
		return p.find(v)
	case "Fn::Join":
		return p.join(v)
	case "Fn::Select":
		return p.choose(v)
	case "Fn::Sub":
		return p.substitute(v)
	case fnSplit:
		p.keep(v.at.fault("put it in Fn::Select or Fn::Join", "gives a list where a string is wanted"))
		p.split(v)
	default:
		p.unknown(v.at, "function", v.name(), []string{"Ref", "Fn::FindInMap", "Fn::Join", "Fn::Select", fnSplit, "Fn::Sub"})
		p.walk(v)
	}
	return brokenAt(v.at)
}

// list reads an expression that gives a list of strings.
func (p *parser) list(v *value) *node {
	if v == nil {
		return nil
	}
	if v.kind == isList {
		n := &node{op: list, at: v.at}
		for _, item := range v.items {
			n.args = append(n.args, p.text(item))
		}
		return n
	}
	call := function(v)
	if call == nil || call.name() != fnSplit {
		p.keep(v.at.fault("write a list, or Fn::Split", "found %s where a list is wanted", v.kind))
		p.walk(v)
		return brokenAt(v.at)
	}
	p.alone(v, call)
	return p.split(call)
}

func (p *parser) split(v *value) *node {
	args, ok := p.arguments(v, "delimiter", "string")
	if !ok {
		return brokenAt(v.at)
	}
	separator, ok := p.literal(args[0])
	if ok && separator == "" {
		p.keep(v.at.fault("name the text to split at", "the delimiter is empty"))
	}
	text := p.text(args[1])
	if separator == "" {
		return brokenAt(v.at)
	}
	return &node{op: split, at: v.at, text: separator, args: []*node{text}}
}

// fold evaluates a constant expression.
func (p *parser) fold(n *node) *node {
	if !n.constant() {
		return n
	}
	e := &env{template: &p.template}
	s := e.text(n)
	if e.fault != nil {
		p.keep(e.fault)
		return brokenAt(n.at)
	}
	return &node{op: literal, at: n.at, text: s}
}

// arguments returns the elements of a function's argument, one for each name.
func (p *parser) arguments(v *value, names ...string) (args []*value, ok bool) {
	if v.kind == isList && len(v.items) == len(names) {
		return v.items, true
	}
	p.keep(v.at.fault("write ["+strings.Join(names, ", ")+"]", "want a list of %d", len(names)))
	p.walk(v)
	return nil, false
}

// reference makes a node of a parameter that the template or a certificate knows.
func (p *parser) reference(at *place, name string) *node {
	if !p.known(name) {
		p.keep(p.noParameter(at, name))
		return brokenAt(at)
	}
	p.used[name] = true
	return &node{op: ref, at: at, text: name}
}

// known says whether a parameter is declared or of a certificate.
func (p *parser) known(name string) bool {
	return p.template.Declares(name) || FromCertificate(name)
}

func (p *parser) join(v *value) *node {
	args, ok := p.arguments(v, "delimiter", "list")
	if !ok {
		return brokenAt(v.at)
	}
	separator, ok := p.literal(args[0])
	items := p.list(args[1])
	if !ok {
		return brokenAt(v.at)
	}
	return &node{op: join, at: v.at, text: separator, args: []*node{items}}
}

func (p *parser) choose(v *value) *node {
	args, ok := p.arguments(v, "index", "list")
	if !ok {
		return brokenAt(v.at)
	}
	index := args[0]
	if index.kind == isNumber {
		index = &value{at: index.at, kind: isString, text: index.text}
	}
	return &node{op: choose, at: v.at, args: []*node{p.text(index), p.list(args[1])}}
}

func (p *parser) find(v *value) *node {
	args, ok := p.arguments(v, "map", "key", "key")
	if !ok {
		return brokenAt(v.at)
	}
	n := &node{op: find, at: v.at}
	for _, arg := range args {
		n.args = append(n.args, p.text(arg))
	}
	if name := n.args[0]; name.op == literal {
		p.mapped[name.text] = true
	} else {
		p.anyMap = true
	}
	return n
}

// substitute reads both forms of Fn::Sub: "text" and ["text", {name: value}].
func (p *parser) substitute(v *value) *node {
	text, own := v, []*value(nil)
	if v.kind == isList {
		args, ok := p.arguments(v, "string", "{name: value}")
		if !ok {
			return brokenAt(v.at)
		}
		text, own = args[0], p.object(args[1])
	}
	s := &substitution{parser: p, at: v.at, own: map[string]*node{}, used: map[string]bool{}}
	for _, item := range own {
		s.own[item.name()] = p.text(item)
	}
	body, ok := p.literal(text)
	if !ok {
		return brokenAt(v.at)
	}
	n := s.read(text.at, body)
	for _, item := range own {
		if !s.used[item.name()] {
			p.advise(item.at, "remove it, or write ${"+item.name()+"} in the text", "the text does not use it")
		}
	}
	return n
}

// substitution reads the text of one Fn::Sub. ${name} is replaced there, and
// ${!name} gives ${name}, as in CloudFormation: so a policy document can hold
// policy variables.
type substitution struct {
	*parser
	at   *place
	own  map[string]*node // the variables that the function brings
	used map[string]bool
}

func (s *substitution) read(at *place, rest string) *node {
	parts := &node{op: list, at: s.at}
	add := func(n *node) { parts.args = append(parts.args, n) }
	for {
		before, after, found := strings.Cut(rest, "${")
		add(&node{op: literal, at: s.at, text: before})
		if !found {
			return &node{op: join, at: s.at, args: []*node{parts}}
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			s.keep(at.fault("close it, or write ${!…} to keep it as text", "${ has no closing brace"))
			return brokenAt(s.at)
		}
		rest = tail
		if kept, escaped := strings.CutPrefix(name, "!"); escaped {
			add(&node{op: literal, at: s.at, text: "${" + kept + "}"})
		} else if n, ok := s.own[name]; ok {
			s.used[name] = true
			add(n)
		} else {
			add(s.reference(at, name))
		}
	}
}
