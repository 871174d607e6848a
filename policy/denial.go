package policy

import (
	"fmt"
	"strings"
)

// maxDenial bounds the text of a denial, in bytes: the names in it are the
// device's and the operator's.
const maxDenial = 640

// Denial says in one sentence which statement denies the action that e
// explains, or which came nearest to allowing it. document names a document by
// its index: "policy device version 1".
func (e *Explanation) Denial(a Action, name string, document func(int) string) string {
	preposition := "on"
	if a == Connect {
		preposition = "as client"
	}
	question := fmt.Sprintf("%s %s %.128q", a, preposition, name)
	source := func(o *Opinion) string { return document(o.Document) + ", " + o.String() + "," }
	text := "no policy of the certificate allows " + question
	nearest := e.Nearest(Allowed)
	switch d := e.Decided(); {
	case e.Verdict == Allowed: // by a condition on the time that was looked at since
		text = "the policies did not allow " + question + ", and do now"
	case d != nil:
		text = source(d) + " denies " + question
		if d.Cause != "" {
			text += " (" + d.Cause + ")"
		}
	case len(e.Statements) == 0:
		text += ": none is attached to it, nor to a group of its things"
	case nearest == nil:
		text += ": none of their statements is about it"
	default:
		text += "; nearest is " + source(&nearest[0]) + " but " + nearest[0].Cause
		if more := len(nearest) - 1; more > 0 {
			text += fmt.Sprintf(" (and %d more)", more)
		}
	}
	if len(text) > maxDenial {
		text = strings.ToValidUTF8(text[:maxDenial-len("…")], "") + "…"
	}
	return text
}
