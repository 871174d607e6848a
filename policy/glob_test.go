package policy

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestMatchOfHostileNames: a device chooses its client ID and its topics, and a
// policy may put the one behind a star. Trying every place of the topic anew
// took half a second for each message.
func TestMatchOfHostileNames(t *testing.T) {
	id, topic := strings.Repeat("/", maxValueLength), strings.Repeat("/", 65_000)
	for _, pattern := range []string{"topic/*/" + id + "/data", "topic/*/" + id + "/data/*", "topic/*" + strings.Repeat("?/", 900) + "b"} {
		g := newGlob(strings.NewReplacer("*", anyString, "?", anyChar).Replace(pattern))
		start := time.Now()
		for range 100 {
			if g.match("topic/", topic) {
				t.Fatal("matched")
			}
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("a hundred matches took %v", took)
		}
	}
}

// FuzzMatch compares the matcher with one that tries everything.
func FuzzMatch(f *testing.F) {
	for _, seed := range []struct{ pattern, subject string }{
		{"", ""}, {"*", ""}, {"**", "a"}, {"?", "é"}, {"a*b", "ab"}, {"a*b*c", "axbxbc"}, {"*a*b", "aab"},
		{"*??bX", "€bX"}, {"*?", "\xe2\x82"}, {"a?c", "a\xffc"}, {"�*", "\xff"}, {"*�", "a\xfe"}, {"?*?*?", "aé€"},
		{"*aaab", "aaaaaaaaaaaaaaaab"}, {"a*", "b"}, {"topic/*/x", "topic/a/b/x"}, {"ab*", "a"},
	} {
		f.Add(seed.pattern, seed.subject, 1)
	}
	f.Fuzz(func(t *testing.T, pattern, subject string, cut int) {
		if !utf8.ValidString(pattern) || len(pattern) > 64 || len(subject) > 256 {
			return
		}
		g := newGlob(strings.NewReplacer("*", anyString, "?", anyChar).Replace(pattern))
		characters := split(subject)
		want := matchesNaively(split(pattern), characters)
		if cut < 0 || cut > len(characters) {
			cut = 0
		}
		prefix := strings.Join(characters[:cut], "")
		if got := g.match(prefix, subject[len(prefix):]); got != want {
			t.Errorf("%q on %q cut at %d: got %v, want %v", pattern, subject, cut, got, want)
		}
	})
}

// split cuts a string into its characters, a byte that belongs to none by
// itself.
func split(s string) []string {
	var characters []string
	for s != "" {
		_, n := utf8.DecodeRuneInString(s)
		characters = append(characters, s[:n])
		s = s[n:]
	}
	return characters
}

// matchesNaively fills the whole table of prefixes: reach[j] says whether the
// pattern so far matches the first j characters.
func matchesNaively(pattern, subject []string) bool {
	reach := make([]bool, len(subject)+1)
	reach[0] = true
	for _, p := range pattern {
		next := make([]bool, len(subject)+1)
		next[0] = p == "*" && reach[0]
		for j, s := range subject {
			if p == "*" {
				next[j+1] = reach[j+1] || next[j]
			} else {
				next[j+1] = reach[j] && (p == "?" || p == s)
			}
		}
		reach = next
	}
	return reach[len(subject)]
}
