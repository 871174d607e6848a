package policy

// truth is what a condition comes to: it does not hold, it cannot be decided,
// or it holds. Of several that have to hold together the least counts, of
// several of which one is enough the greatest. The zero value does not hold.
type truth uint8

const (
	no truth = iota
	unknown
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

func (t truth) not() truth { return yes - t }

// applies reports whether a statement with such a condition takes part: one
// that cannot be decided lets a Deny deny and an Allow grant nothing.
func (t truth) applies(effect Verdict) bool {
	return t == yes || t == unknown && effect == ExplicitDeny
}
