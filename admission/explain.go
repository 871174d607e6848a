package admission

import "github.com/muster-mqtt/muster"

// Line is one rule of an explanation, or what the policies say after them.
type Line struct {
	Rule    int           `json:"rule,omitempty"` // its number; 0 for a policy
	Name    string        `json:"name"`
	Says    string        `json:"says"` // silent, refuse, admit or register; of a policy allow or refuse
	Reason  muster.Reason `json:"reason,omitempty"`
	Saw     string        `json:"saw"`
	Decides bool          `json:"decides,omitempty"` // the first that speaks
	Mend    string        `json:"mend,omitempty"`    // what would change what it says
}

// Explain asks every rule in order, also those after the one that decides, so
// that a reader sees all that stands in the way and not just the first of it. A
// template that failed when it last ran is mended where it stands, although its
// rule is silent: it will run again.
func Explain(f Facts) []Line {
	lines := make([]Line, 0, len(rules))
	decided := false
	for i, r := range rules[:len(rules)-1] { // the last rule is what is left when no other spoke
		v, reason, ok := r.speak(&f)
		l := Line{Rule: i + 1, Name: r.name, Says: "silent", Saw: r.saw(&f)}
		switch {
		case ok:
			l.Says, l.Reason, l.Decides = v.String(), reason, !decided
			l.Mend = Mend(reason, f)
			decided = true
		case i == provisioningIndex && f.Record.Failure != "" && f.Record.Status == muster.PendingActivation:
			l.Mend = Mend(muster.ReasonProvisioningFailed, f)
		}
		lines = append(lines, l)
	}
	if !decided {
		n := len(rules)
		lines = append(lines, Line{Rule: n, Name: rules[n-1].name, Says: "refuse", Decides: true,
			Reason: muster.ReasonInternalError, Saw: rules[n-1].saw(&f), Mend: Mend(muster.ReasonInternalError, f)})
	}
	return lines
}
