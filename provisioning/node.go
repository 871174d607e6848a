package provisioning

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxText = 10240   // bytes that one expression may render to
	maxWork = 1 << 18 // bytes and steps that one rendering may take in all
)

// op is what a node does.
type op int

const (
	literal   op = iota // text
	ref                 // the value of the parameter text
	join                // args[0], a list, with text between its elements
	choose              // Fn::Select: element args[0] of the list args[1]
	find                // Fn::FindInMap: args name the map and its two keys
	quoted              // args[0] as a JSON string
	quotedAll           // args[0], a list, as a JSON list of strings
	list                // args; gives a list
	split               // args[0] cut at each text; gives a list
	broken              // nothing: it has a fault
)

// node is an expression. Fn::Sub and inline policy documents become joins, so
// a node may have several parents: env.spend bounds what that can cost.
type node struct {
	op   op
	at   *place
	text string
	args []*node
}

// constant reports whether n renders the same for every device.
func (n *node) constant() bool {
	return n.op != ref && n.op != broken && !slices.ContainsFunc(n.args, func(a *node) bool { return !a.constant() })
}

// env is what a rendering evaluates nodes in. It keeps the first fault; after
// that its methods give nothing.
type env struct {
	template *Template
	params   Parameters
	probing  bool // what has no value is "x"
	guarded  bool // inside a policy document
	work     int
	fault    *fault
}

// keep notes the first fault; nil is none.
func (e *env) keep(f *fault) {
	if e.fault == nil {
		e.fault = f
	}
}

// spend accounts for a result of n, of size bytes, and refuses what is too large.
func (e *env) spend(n *node, size int) {
	if e.work += 1 + size; size > maxText || e.work > maxWork {
		e.keep(n.at.fault("make it shorter", "renders to too much: one value may have %d bytes, and all steps together %d", maxText, maxWork))
	}
}

// text evaluates a node that gives a string.
func (e *env) text(n *node) string {
	if e.fault != nil {
		return ""
	}
	s := e.apply(n)
	e.spend(n, len(s))
	return s
}

func (e *env) apply(n *node) string {
	switch n.op {
	case literal:
		return n.text
	case ref:
		return e.value(n)
	case join:
		return e.piece(n, n.args[0], strings.Join(e.list(n.args[0]), n.text))
	case choose:
		return e.choose(n)
	case find:
		return e.find(n)
	case quoted:
		return quote(e.text(n.args[0]))
	}
	items := e.list(n.args[0]) // quotedAll
	for i, s := range items {
		items[i] = quote(s)
	}
	return "[" + strings.Join(items, ",") + "]"
}

// list evaluates a node that gives a list of strings; the slice is the caller's.
func (e *env) list(n *node) []string {
	if n.op == split {
		items := strings.Split(e.text(n.args[0]), n.text)
		e.spend(n, len(items))
		return items
	}
	items := make([]string, len(n.args))
	for i, arg := range n.args {
		items[i] = e.text(arg)
	}
	return items
}

// value resolves a reference: what was given, else the default.
func (e *env) value(n *node) string {
	s, given, problem := e.params.lookup(n.text)
	if problem != "" {
		e.keep(n.at.fault("issue the certificate with another", "the value of parameter %s %s", shown(n.text), problem))
		return ""
	}
	if given {
		if e.guarded && (s == "" || strings.ContainsFunc(s, steers)) {
			mend := "give another value"
			if FromCertificate(n.text) {
				mend = "issue the certificate without"
			}
			e.keep(n.at.fault(mend, "the value %s of parameter %s cannot go into a policy document: it is empty or holds one of \" \\ * ? $ + # or a control character, which would change what the document means", excerpt(s), shown(n.text)))
		}
		return s
	}
	if p, declared := e.template.parameter(n.text); declared && p.fallback != nil {
		return *p.fallback
	}
	if e.probing {
		return "x"
	}
	e.keep(e.missing(n.at, n.text))
	return ""
}

// steers reports whether r, in a value that a device brings, could make more of
// a policy document than its author wrote: end a JSON string, match other
// resources, form a policy variable, or be a wildcard in a topic filter. AWS
// does not substitute policy variables with such values for the same cause.
func steers(r rune) bool {
	return strings.ContainsRune(`"\*?$+#`, r) || unicode.IsControl(r) || r == utf8.RuneError
}

func (e *env) choose(n *node) string {
	index, items := e.text(n.args[0]), e.list(n.args[1])
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i >= len(items) {
		e.keep(n.at.fault("name one that it has", "no element %s: the list has %d, counted from 0", excerpt(index), len(items)))
		return ""
	}
	return e.piece(n, n.args[1], items[i])
}

// piece is what is taken from a list. Of a value that a device brings, which
// holds something, Fn::Split may leave nothing; in a policy document that would
// widen a pattern as an empty value does.
func (e *env) piece(n, from *node, s string) string {
	if e.guarded && e.fault == nil && s == "" && from.op == split && !from.constant() {
		e.keep(n.at.fault("issue the certificate without", "the value leaves nothing here beside the delimiter %s, and nothing cannot go into a policy document: it would change what the document means", excerpt(from.text)))
	}
	return s
}

func (e *env) find(n *node) string {
	name, first, second := e.text(n.args[0]), e.text(n.args[1]), e.text(n.args[2])
	s, ok := e.template.mappings[name][first][second]
	if !ok {
		e.keep(n.at.fault("add it there", "Mappings has no %s, %s, %s", excerpt(name), excerpt(first), excerpt(second)))
	}
	return s
}

// quote makes a JSON string; json.Marshal would escape <, > and & as well.
func quote(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return `""` // a string always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}
