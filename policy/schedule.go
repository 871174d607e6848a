package policy

import "time"

// schedule is the conditions of a statement on the time, in one session. The
// nil schedule has none, and so applies always.
type schedule struct{ conditions []timed }

type timed struct {
	tests   []func(now time.Time) bool // of which one has to hold
	doubt   bool                       // an operand has no value in this session
	negated bool
}

func (s *statement) schedule(in *scope) *schedule {
	var all *schedule
	for i := range s.conditions {
		if c := &s.conditions[i]; c.isClock() {
			if all == nil {
				all = new(schedule)
			}
			all.conditions = append(all.conditions, c.timed(in))
		}
	}
	return all
}

func (c *condition) timed(in *scope) timed {
	t := timed{negated: c.operator.negated}
	for i := range c.operands {
		text, missing := c.operands[i].pattern.bind(in)
		if missing != nil {
			t.doubt = true
			continue
		}
		holds, err := c.operator.test.instant(text)
		if err != nil {
			t.doubt = true
			continue
		}
		t.tests = append(t.tests, holds)
	}
	return t
}

// applies neither locks nor allocates.
func (s *schedule) applies(effect Verdict, now func() time.Time) bool {
	if s == nil {
		return true
	}
	for i := range s.conditions {
		if !s.conditions[i].at(now).applies(effect) {
			return false
		}
	}
	return true
}

func (t *timed) at(now func() time.Time) truth {
	if now == nil {
		return unknown
	}
	result, moment := no, now()
	if t.doubt {
		result = unknown
	}
	for _, holds := range t.tests {
		result = max(result, truthOf(holds(moment)))
	}
	if t.negated {
		return result.not()
	}
	return result
}
