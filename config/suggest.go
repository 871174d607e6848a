package config

import (
	"slices"
	"strings"
)

// listHint is the mend for a key that resembles none.
const listHint = "muster config print --effective lists all keys"

// candidate is a known name, and what to suggest if it is near.
type candidate struct{ name, shown string }

// hint suggests what an unknown key may have meant.
func (r *reader) hint(prefix, name string) string {
	if near := r.nearKeys(prefix, name); len(near) > 0 {
		return didYouMean(near)
	}
	return "; " + listHint
}

// nearKeys returns the known keys that are nearest to an unknown one: its
// siblings, or others of its name that stand elsewhere and are nearer.
func (r *reader) nearKeys(prefix, name string) []string {
	var siblings, others []candidate
	for _, k := range r.keys {
		if rest, ok := strings.CutPrefix(k.path, prefix); ok {
			sibling, _, _ := strings.Cut(rest, ".")
			siblings = append(siblings, candidate{sibling, prefix + sibling})
		}
		section, rest, inside := strings.Cut(k.path, ".")
		others = append(others, candidate{section, section})
		if inside {
			others = append(others, candidate{rest, k.path}, candidate{section + "_" + rest, k.path})
		}
	}
	near, distance := nearest(name, siblings)
	far, farther := nearest(name, others)
	if len(near) == 0 || farther < distance {
		return far
	}
	return near
}

// maxSuggestions is how many names of the same distance are worth showing.
const maxSuggestions = 3

// nearest returns what to suggest for an unknown name, and how far off it is:
// at most two letters, and not more than half of the name.
func nearest(unknown string, known []candidate) (near []string, least int) {
	unknown, least = strings.ReplaceAll(strings.ToLower(unknown), "-", "_"), 2
	for _, c := range known {
		if d := len(c.name) - len(unknown); d > 2 || d < -2 {
			continue
		}
		d := distance(unknown, strings.ToLower(c.name))
		if d > least || 2*d > len(c.name) {
			continue
		}
		if d < least {
			near, least = nil, d
		}
		if !slices.Contains(near, c.shown) {
			near = append(near, c.shown)
		}
	}
	return near[:min(len(near), maxSuggestions)], least
}

// didYouMean asks for one of the names, if there are any.
func didYouMean(names []string) string {
	if len(names) == 0 {
		return ""
	}
	last := len(names) - 1
	text := names[last]
	if last > 0 {
		text = strings.Join(names[:last], ", ") + " or " + text
	}
	return "; did you mean " + text + "?"
}

// distance is Levenshtein's, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0] // of the row before
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
