package provisioning

import (
	"crypto/sha1"
	"encoding/hex"
	"strings"

	"github.com/muster-mqtt/muster/policy"
)

// document reads a policy document: a string or a function that gives one, or
// an object, which becomes the join that renders its compact JSON. Values that
// functions give are quoted there, so they stay values.
func (p *parser) document(v *value) *node {
	if v == nil {
		return nil
	}
	if v.kind != isObject || function(v) != nil {
		return p.text(v)
	}
	parts := &node{op: list, at: v.at}
	p.inline(v, parts)
	return p.fold(&node{op: join, at: v.at, args: []*node{parts}})
}

// inline appends to out what renders v as JSON.
func (p *parser) inline(v *value, out *node) {
	add := func(s string) { out.args = append(out.args, &node{op: literal, at: v.at, text: s}) }
	call := function(v)
	switch {
	case call != nil && call.name() == fnSplit:
		out.args = append(out.args, &node{op: quotedAll, at: v.at, args: []*node{p.list(v)}})
	case call != nil:
		out.args = append(out.args, &node{op: quoted, at: v.at, args: []*node{p.text(v)}})
	case v.kind == isString:
		p.plain(v)
		add(quote(v.text))
	case v.kind == isObject || v.kind == isList:
		brackets := "[]"
		if v.kind == isObject {
			brackets = "{}"
		}
		add(brackets[:1])
		for i, item := range v.items {
			if i > 0 {
				add(",")
			}
			if v.kind == isObject {
				add(quote(item.name()) + ":")
			}
			p.inline(item, out)
		}
		add(brackets[1:])
	default:
		add(v.text)
	}
}

func checkDocument(at *place, text string) *fault {
	if _, err := policy.Parse([]byte(text)); err != nil {
		return at.fault("correct the document", "%v", err)
	}
	return nil
}

// documentName is the name of a policy that a template makes of a document:
// the same document is the same policy. AWS names such policies by SHA-1 in
// upper-case hex; nothing is protected by it.
func documentName(text string) string {
	sum := sha1.Sum([]byte(text))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}
