package admission_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
)

// TestEveryReasonIsTold holds testdata/refusals.txt, whose ways are walked by the
// tests of the program, to the reasons that there are: each is reached by a
// connection, or the file says why none can.
func TestEveryReasonIsTold(t *testing.T) {
	text, err := os.ReadFile("../testdata/refusals.txt")
	must(t, err)
	var reached, unreachable []muster.Reason
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "reason":
			reached = append(reached, muster.Reason(value))
		case "unreachable":
			word, why, _ := strings.Cut(value, ": ")
			unreachable = append(unreachable, muster.Reason(word))
			if why == "" {
				t.Errorf("%s is called unreachable without a cause", word)
			}
		}
	}
	all := reasons(t)
	for _, r := range all {
		if slices.Contains(reached, r) == slices.Contains(unreachable, r) {
			t.Errorf("%s: reached %v, unreachable %v", r, slices.Contains(reached, r), slices.Contains(unreachable, r))
		}
	}
	for _, r := range slices.Concat(reached, unreachable) {
		if !slices.Contains(all, r) {
			t.Errorf("%s is no reason", r)
		}
	}
}
