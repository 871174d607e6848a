package provisioning

import "strings"

// fnSplit is the one function that gives a list.
const fnSplit = "Fn::Split"

// function returns the one member of v that makes it a function call, or nil.
func (p *parser) function(v *value) *value {
	if v.kind != isObject {
		return nil
	}
	for _, item := range v.items {
		if item.name() == "Ref" || strings.HasPrefix(item.name(), "Fn::") {
			if len(v.items) > 1 {
				p.failf(item.at, "a function stands alone in its object; move the other members out")
			}
			return item
		}
	}
	return nil
}

// text reads an expression that gives a string. What needs no parameter is
// evaluated now, so that its faults show when the template is written.
func (p *parser) text(v *value) *node {
	if p.err != nil || v == nil {
		return nil
	}
	if v.kind == isString {
		return &node{op: literal, at: v.at, text: v.text}
	}
	call := p.function(v)
	if call == nil {
		p.failf(v.at, `want a string or a function such as {"Ref": "…"}, found %s`, v.kind)
		return nil
	}
	return p.fold(p.call(call))
}

// call reads a function that gives a string.
func (p *parser) call(v *value) *node {
	switch v.name() {
	case "Ref":
		return p.reference(v.at, p.literal(v))
	case "Fn::FindInMap":
		return p.find(v)
	case "Fn::Join":
		return p.join(v)
	case "Fn::Select":
		return p.choose(v)
	case "Fn::Sub":
		return p.substitute(v)
	case fnSplit:
		p.failf(v.at, "gives a list where a string is wanted; put it in Fn::Select or Fn::Join")
	default:
		p.failf(v.at, "unknown function; known are Ref, Fn::FindInMap, Fn::Join, Fn::Select, Fn::Split, Fn::Sub")
	}
	return nil
}

// list reads an expression that gives a list of strings.
func (p *parser) list(v *value) *node {
	if p.err != nil || v == nil {
		return nil
	}
	if v.kind == isList {
		n := &node{op: list, at: v.at}
		for _, item := range v.items {
			n.args = append(n.args, p.text(item))
		}
		return n
	}
	call := p.function(v)
	if call == nil || call.name() != fnSplit {
		p.failf(v.at, "want a list or Fn::Split, found %s", v.kind)
		return nil
	}
	args := p.arguments(call, "delimiter", "string")
	separator := p.literal(args[0])
	if separator == "" {
		p.failf(call.at, "the delimiter is empty; name the text to split at")
	}
	return &node{op: split, at: call.at, text: separator, args: []*node{p.text(args[1])}}
}

// fold evaluates a constant expression.
func (p *parser) fold(n *node) *node {
	if p.err != nil || !n.constant() {
		return n
	}
	e := &env{template: &p.template}
	s := e.text(n)
	p.keep(e.err)
	return &node{op: literal, at: n.at, text: s}
}

// arguments returns the elements of a function's argument, one for each name;
// they are nil after a fault.
func (p *parser) arguments(v *value, names ...string) []*value {
	if v.kind == isList && len(v.items) == len(names) {
		return v.items
	}
	p.failf(v.at, "want a list of %d: [%s]", len(names), strings.Join(names, ", "))
	return make([]*value, len(names))
}

// reference makes a node of a parameter that the template or a certificate knows.
func (p *parser) reference(at *place, name string) *node {
	if _, declared := p.template.parameter(name); !declared && !fromCertificate(name) {
		p.failf(at, "no parameter is called %s; declare it in Parameters or use one of the certificate (%s…)", excerpt(name), certificatePrefix)
	}
	return &node{op: ref, at: at, text: name}
}

func (p *parser) join(v *value) *node {
	args := p.arguments(v, "delimiter", "list")
	return &node{op: join, at: v.at, text: p.literal(args[0]), args: []*node{p.list(args[1])}}
}

func (p *parser) choose(v *value) *node {
	args := p.arguments(v, "index", "list")
	index := args[0]
	if index != nil && index.kind == isNumber {
		index = &value{at: index.at, kind: isString, text: index.text}
	}
	return &node{op: choose, at: v.at, args: []*node{p.text(index), p.list(args[1])}}
}

func (p *parser) find(v *value) *node {
	n := &node{op: find, at: v.at}
	for _, arg := range p.arguments(v, "map", "key", "key") {
		n.args = append(n.args, p.text(arg))
	}
	return n
}

// substitute reads both forms of Fn::Sub: "text" and ["text", {name: value}].
// In the text ${name} is replaced, and ${!name} gives ${name}, as in
// CloudFormation: so a policy document can hold policy variables.
func (p *parser) substitute(v *value) *node {
	text, own := v, map[string]*node{}
	if v.kind == isList {
		args := p.arguments(v, "string", "{name: value}")
		for _, item := range p.object(args[1]) {
			own[item.name()] = p.text(item)
		}
		text = args[0]
	}
	parts := &node{op: list, at: v.at}
	add := func(n *node) { parts.args = append(parts.args, n) }
	rest := p.literal(text)
	for {
		before, after, found := strings.Cut(rest, "${")
		add(&node{op: literal, at: v.at, text: before})
		if !found {
			return &node{op: join, at: v.at, args: []*node{parts}}
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			p.failf(text.at, "${ has no closing brace; close it, or write ${!…} to keep it as text")
			return nil
		}
		rest = tail
		if kept, escaped := strings.CutPrefix(name, "!"); escaped {
			add(&node{op: literal, at: v.at, text: "${" + kept + "}"})
		} else if n, ok := own[name]; ok {
			add(n)
		} else {
			add(p.reference(text.at, name))
		}
	}
}
