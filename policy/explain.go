package policy

// Explanation says how a verdict came about.
type Explanation struct {
	Verdict Verdict
	// Decided is the statement that decided; nil if none spoke, which denies.
	Decided *Source
	// Inert are the statements on this action that could not take part, or not
	// with all their resources: where nothing allowed, the cause is often here.
	Inert []Inert
}

// Source is the place of a statement.
type Source struct {
	Document  int    // index in the documents that were given to Bind
	Statement int    // index in the document
	Sid       string // may be empty
}

// Inert is a statement that could not take part.
type Inert struct {
	Source
	Cause string // for a person to read
}

// Explain answers as Evaluate does and says why. It allocates: it is for people
// and for refusals, not for every publish.
func (b *Bound) Explain(a Action, name string) Explanation {
	var e Explanation
	if r := b.decide(a, name); r != nil {
		e.Verdict = r.statement.effect
		source := r.source()
		e.Decided = &source
	}
	if b == nil || !a.valid() {
		return e
	}
	for _, r := range b.inert {
		if r.statement.actions.has(a) {
			e.Inert = append(e.Inert, Inert{r.source(), r.cause()})
		}
	}
	return e
}

func (o origin) source() Source {
	return Source{Document: o.document, Statement: o.index, Sid: o.statement.sid}
}

func (r inertRule) cause() string {
	if r.missing == "" {
		return "it has a Condition, and conditions are not evaluated yet"
	}
	return "${" + r.missing + "} has no value in this session"
}
