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
// compared as one piece; the rest takes at most len(text) * len(name) steps,
// and few in practice, for only the last star is ever tried again.
func (g glob) match(prefix, name string) bool {
	if !startsWith(prefix, name, g.text[:g.head]) {
		return false
	}
	pattern, at, end := g.text[g.head:], g.head, len(prefix)+len(name)
	switch pattern {
	case "":
		return at == end
	case anyString:
		return true
	}
	next := 0                 // in pattern
	retry, retryAt := -1, end // behind the last star, and where it ends at present
	for at < end {
		if next < len(pattern) {
			if pattern[next] == anyString[0] {
				next++
				retry, retryAt = next, at
				continue
			}
			if n := accept(pattern[next], prefix, name, at); n > 0 {
				next++
				at += n
				continue
			}
		}
		if retry < 0 {
			return false
		}
		// A whole character: stepping into one would let "?" count its bytes.
		retryAt += accept(anyChar[0], prefix, name, retryAt)
		next, at = retry, retryAt
	}
	for next < len(pattern) && pattern[next] == anyString[0] {
		next++
	}
	return next == len(pattern)
}

// accept returns how many bytes of prefix+name at the index the byte of a
// pattern takes, 0 if it does not fit.
func accept(b byte, prefix, name string, at int) int {
	s := name
	if at < len(prefix) {
		s = prefix
	} else {
		at -= len(prefix)
	}
	if b == anyChar[0] {
		_, n := utf8.DecodeRuneInString(s[at:])
		return n
	}
	if s[at] == b {
		return 1
	}
	return 0
}

// startsWith reports whether prefix+name starts with head.
func startsWith(prefix, name, head string) bool {
	if len(head) <= len(prefix) {
		return prefix[:len(head)] == head
	}
	return head[:len(prefix)] == prefix && strings.HasPrefix(name, head[len(prefix):])
}
