package policy

import (
	"strings"
	"unicode/utf8"
)

// A compiled pattern is a string in which these bytes stand for the wildcards.
// They occur in no valid UTF-8, so they cannot be mistaken for a literal, and a
// literal "*" needs no escape. Whoever adds text to a pattern makes sure that
// it is valid UTF-8.
const (
	anyString = "\xff" // any number of characters, "/" included
	anyChar   = "\xfe" // exactly one character
)

// glob is a compiled pattern. The zero value matches the empty string alone.
type glob struct {
	text string
	head int // length of the literal text before the first wildcard
}

func newGlob(text string) glob {
	head := 0
	for head < len(text) && text[head] < anyChar[0] {
		head++
	}
	return glob{text: text, head: head}
}

// match reports whether the pattern matches the whole of prefix+name, without
// joining the two. A character must not be split between them. The head is
// compared as one piece, and what stands between two stars is looked for once:
// the leftmost place is as good as any other. So the time is linear in the
// lengths, whatever a device calls itself and publishes on, unless "?" and a
// long text stand together between two stars.
func (g glob) match(prefix, name string) bool {
	if !startsWith(prefix, name, g.text[:g.head]) {
		return false
	}
	pattern := g.text[g.head:]
	switch pattern {
	case "":
		return g.head == len(prefix)+len(name)
	case anyString:
		return true
	}
	prefix, name = skip(prefix, name, g.head)
	piece, rest, star := strings.Cut(pattern, anyString)
	prefix, name, ok := fit(prefix, name, piece)
	for ok && star {
		piece, rest, star = strings.Cut(rest, anyString)
		if !star {
			return endsWith(prefix, name, piece)
		}
		prefix, name, ok = find(prefix, name, piece)
	}
	return ok && prefix == "" && name == ""
}

// startsWith reports whether prefix+name starts with head.
func startsWith(prefix, name, head string) bool {
	if len(head) <= len(prefix) {
		return prefix[:len(head)] == head
	}
	return head[:len(prefix)] == prefix && strings.HasPrefix(name, head[len(prefix):])
}

// skip cuts n bytes off the start of prefix+name.
func skip(prefix, name string, n int) (string, string) {
	if n <= len(prefix) {
		return prefix[n:], name
	}
	return "", name[n-len(prefix):]
}

// skipChar cuts one character off the start of prefix+name, if there is one.
func skipChar(prefix, name string) (_, _ string, ok bool) {
	s := prefix
	if s == "" {
		s = name
	}
	_, n := utf8.DecodeRuneInString(s)
	prefix, name = skip(prefix, name, n)
	return prefix, name, n > 0
}

// fit cuts a piece of a pattern, one without stars, off the start of prefix+name.
func fit(prefix, name, piece string) (_, _ string, ok bool) {
	for ok = true; ok; {
		literal, rest, char := strings.Cut(piece, anyChar)
		if !startsWith(prefix, name, literal) {
			return "", "", false
		}
		prefix, name = skip(prefix, name, len(literal))
		if !char {
			return prefix, name, true
		}
		prefix, name, ok = skipChar(prefix, name)
		piece = rest
	}
	return "", "", false
}

// find cuts off everything up to the end of the leftmost place of a piece.
func find(prefix, name, piece string) (_, _ string, ok bool) {
	if strings.Contains(piece, anyChar) {
		for ok = true; ok; prefix, name, ok = skipChar(prefix, name) {
			if p, n, ok := fit(prefix, name, piece); ok {
				return p, n, true
			}
		}
		return "", "", false
	}
	for ; prefix != ""; prefix = prefix[1:] {
		if startsWith(prefix, name, piece) {
			prefix, name = skip(prefix, name, len(piece))
			return prefix, name, true
		}
	}
	_, name, ok = strings.Cut(name, piece)
	return "", name, ok
}

// chars counts the characters of a text, as skipChar takes them off, or of a piece.
func chars(s string) int { return utf8.RuneCountInString(s) }

// endsWith reports whether prefix+name ends with a piece.
func endsWith(prefix, name, piece string) bool {
	if strings.Contains(piece, anyChar) {
		// As many characters as the piece has are at the end; what is before them
		// belongs to the star.
		for n := chars(prefix) + chars(name) - chars(piece); n > 0; n-- {
			prefix, name, _ = skipChar(prefix, name)
		}
		prefix, name, ok := fit(prefix, name, piece)
		return ok && prefix == "" && name == ""
	}
	n := len(prefix) + len(name) - len(piece)
	if n < 0 {
		return false
	}
	prefix, name = skip(prefix, name, n)
	return startsWith(prefix, name, piece)
}
