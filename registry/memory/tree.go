package memory

import (
	"math/rand/v2"
	"slices"

	"github.com/muster-mqtt/muster/registry"
)

// path is the place of a node: table, kind, index, key, ID. Paths are ordered
// part by part, so no part needs escaping.
type path [5]string

const (
	docs    = "doc"    // {docs, kind, "", "", id}
	entries = "entry"  // {entries, kind, index, key, id}
	uniques = "unique" // {uniques, kind, index, key, ""}
)

func (p path) compare(q path) int { return slices.Compare(p[:], q[:]) }

// next is the path right after p: none lies between the two.
func (p path) next() path {
	p[len(p)-1] += "\x00"
	return p
}

// node is a node of a persistent treap: ordered by path, a heap by weight, and
// never changed. What put and remove return shares all but the way to the
// changed place with the tree that they were given; nil is the empty tree.
type node struct {
	path        path
	doc         *registry.Doc
	weight      uint64
	left, right *node
}

func (n *node) get(p path) *registry.Doc {
	for n != nil {
		switch c := p.compare(n.path); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n.doc
		}
	}
	return nil
}

func (n *node) put(p path, doc *registry.Doc) *node {
	before, after := n.around(p)
	return join(join(before, &node{path: p, doc: doc, weight: rand.Uint64()}), after)
}

func (n *node) remove(p path) *node {
	return join(n.around(p))
}

// around returns what lies before p and what lies after it.
func (n *node) around(p path) (before, after *node) {
	before, rest := n.split(p)
	_, after = rest.split(p.next())
	return before, after
}

// split returns what lies before p, and the rest.
func (n *node) split(p path) (before, rest *node) {
	if n == nil {
		return nil, nil
	}
	m := *n
	if n.path.compare(p) < 0 {
		m.right, rest = n.right.split(p)
		return &m, rest
	}
	before, m.left = n.left.split(p)
	return before, &m
}

// join is the inverse of split: all of a lies before all of b.
func join(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.weight > b.weight:
		m := *a
		m.right = join(a.right, b)
		return &m
	default:
		m := *b
		m.left = join(a, b.left)
		return &m
	}
}

// walk visits the nodes from lo up to but not including hi, or the same ones
// backwards, until visit returns false.
func (n *node) walk(lo, hi path, desc bool, visit func(*node) bool) bool {
	if n == nil {
		return true
	}
	above, below := n.path.compare(lo) >= 0, n.path.compare(hi) < 0
	first, firstHas, second, secondHas := n.left, above, n.right, below
	if desc {
		first, firstHas, second, secondHas = n.right, below, n.left, above
	}
	if firstHas && !first.walk(lo, hi, desc, visit) {
		return false
	}
	if above && below && !visit(n) {
		return false
	}
	return !secondHas || second.walk(lo, hi, desc, visit)
}
