package admin_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/api/admin"
)

func TestUnified(t *testing.T) {
	numbers := func(from, to int) (text string) {
		for i := from; i <= to; i++ {
			text += fmt.Sprintln(i)
		}
		return text
	}
	for _, c := range []struct{ before, after, want string }{
		{"a\n", "a\n", ""},
		{"a\n", "b\n", "@@ -1,1 +1,1 @@\n-a\n+b\n"},
		{"a\nc\n", "a\nb\nc\n", "@@ -1,2 +1,3 @@\n a\n+b\n c\n"},
		{numbers(1, 9), numbers(1, 8), "@@ -6,4 +6,3 @@\n 6\n 7\n 8\n-9\n"},
		{numbers(1, 20), "0\n" + numbers(1, 19) + "x\n", "@@ -1,3 +1,4 @@\n+0\n 1\n 2\n 3\n@@ -17,4 +18,4 @@\n 17\n 18\n 19\n-20\n+x\n"},
	} {
		if got := admin.Unified(c.before, c.after); got != c.want {
			t.Errorf("from %q to %q: %q, want %q", c.before, c.after, got, c.want)
		}
	}
	// More than it is worth to sort out: 2,000 lines that differ.
	before, after := "a\n"+numbers(0, 1999)+"z\n", "a\n"+numbers(1000, 2999)+"z\n"
	if got := admin.Unified(before, after); strings.Count(got, "\n-") != 2000 || strings.Count(got, "\n+") != 2000 {
		t.Errorf("%d removed, %d added", strings.Count(got, "\n-"), strings.Count(got, "\n+"))
	}
}

// TestUnifiedApplies turns one random text into another by their differences.
func TestUnifiedApplies(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func() (s string) {
		for range 1 + random.IntN(30) {
			s += string(rune('a'+random.IntN(4))) + "\n"
		}
		return s
	}
	for range 500 {
		before, after := text(), text()
		if got := apply(t, before, admin.Unified(before, after)); got != after {
			t.Fatalf("from %q to %q, not %q", before, got, after)
		}
	}
}

// apply does what patch does, and trusts the line numbers.
func apply(t *testing.T, before, diff string) (after string) {
	t.Helper()
	rest := strings.SplitAfter(before, "\n")
	at, left := 1, 0
	for line := range strings.Lines(diff) {
		if strings.HasPrefix(line, "@@ ") {
			var from, removed, to, added int
			if _, err := fmt.Sscanf(line, "@@ -%d,%d +%d,%d @@", &from, &removed, &to, &added); err != nil || left != 0 {
				t.Fatalf("%q after %d lines too few: %v", line, left, err)
			}
			after += strings.Join(rest[:from-at], "")
			if strings.Count(after, "\n") != to-1 {
				t.Fatalf("%q after %q", line, after)
			}
			rest, at, left = rest[from-at:], from, removed+added
			continue
		}
		left--
		if line[0] != '+' {
			if rest[0] != line[1:] {
				t.Fatalf("%q where %q stands", line, rest[0])
			}
			rest, at = rest[1:], at+1
		}
		if line[0] != '-' {
			after += line[1:]
		}
		if line[0] == ' ' {
			left--
		}
	}
	return after + strings.Join(rest, "")
}
