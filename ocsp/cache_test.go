package ocsp

import (
	"testing"
	"time"
)

// What takes the place of what.
func TestYields(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	at := func(status Status, hold bool, minutes time.Duration, s Source) Answer {
		return Answer{Status: status, Hold: hold, ThisUpdate: now.Add(minutes * time.Minute), Source: s}
	}
	good := func(minutes time.Duration) Answer { return at(Good, false, minutes, SourceResponder) }
	hold := func(minutes time.Duration) Answer { return at(Revoked, true, minutes, SourceResponder) }
	final := func(minutes time.Duration) Answer { return at(Revoked, false, minutes, SourceResponder) }
	brought := func(minutes time.Duration) Answer { return at(Good, false, minutes, SourceBrought) }
	cases := []struct {
		name    string
		known   Answer
		lapsed  bool
		a       Answer
		replace bool
	}{
		{"nothing known", Answer{}, true, good(-9), true},
		{"final, newer good", final(-5), false, good(-1), false},
		{"final, newer final", final(-5), false, final(-1), false},
		{"good, older final", good(-5), false, final(-9), true},
		{"good, newer good", good(-5), false, good(-1), true},
		{"good, the same", good(-5), false, good(-5), true},
		{"good, older good", good(-5), false, good(-9), false},
		{"good, older hold", good(-5), false, hold(-9), false},
		{"good, hold as old", good(-5), false, hold(-5), true},
		{"good lapsed, older good", good(-5), true, good(-9), true},
		{"good lapsed, older good brought", good(-5), true, brought(-9), false},
		{"good lapsed, newer good brought", good(-5), true, brought(-1), true},
		{"hold, newer good", hold(-5), false, good(-1), true},
		{"hold, good as old", hold(-5), false, good(-5), false},
		{"hold, hold as old", hold(-5), false, hold(-5), true},
		{"hold, older good", hold(-5), false, good(-9), false},
		{"hold lapsed, older good", hold(-5), true, good(-9), false},
		{"hold lapsed, good as old", hold(-5), true, good(-5), false},
		{"hold lapsed, newer good", hold(-5), true, good(-1), true},
	}
	for _, k := range cases {
		e := entry{answer: k.known, until: now.Add(time.Minute)}
		if k.lapsed {
			e.until = now
		}
		if k.known.Final() {
			e.until = time.Time{}
		}
		if got := e.yields(k.a, now); got != k.replace {
			t.Errorf("%s: replaced %v, want %v", k.name, got, k.replace)
		}
	}
}
