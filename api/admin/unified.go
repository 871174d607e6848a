package admin

import (
	"fmt"
	"strings"
)

const (
	around   = 3       // lines that are shown around a difference
	maxCells = 1 << 20 // of the table that finds what two texts have in common
)

// edit is a line that is kept (' '), removed ('-') or added ('+').
type edit struct {
	op   byte
	line string
}

// unified compares two texts by their lines, as diff -u does; "" if they are the
// same. Where they differ in more than it is worth to sort out, all that lies
// between the first and the last difference is removed and added.
func unified(before, after string) string {
	if before == after {
		return ""
	}
	edits := compare(lines(before), lines(after))
	shown := make([]bool, len(edits))
	for i, e := range edits {
		if e.op != ' ' {
			for j := max(0, i-around); j < min(len(edits), i+around+1); j++ {
				shown[j] = true
			}
		}
	}
	var b strings.Builder
	from, to := 1, 1 // the lines of both texts
	for i := 0; i < len(edits); i++ {
		if shown[i] && (i == 0 || !shown[i-1]) {
			hunk := edits[i:]
			for n := range hunk {
				if !shown[i+n] {
					hunk = hunk[:n]
					break
				}
			}
			fmt.Fprintf(&b, "@@ -%d,%d +%d,%d @@\n", from, count(hunk, '+'), to, count(hunk, '-'))
		}
		if shown[i] {
			fmt.Fprintf(&b, "%c%s\n", edits[i].op, edits[i].line)
		}
		if edits[i].op != '+' {
			from++
		}
		if edits[i].op != '-' {
			to++
		}
	}
	return b.String()
}

// count returns how many lines are not of this kind.
func count(hunk []edit, not byte) (n int) {
	for _, e := range hunk {
		if e.op != not {
			n++
		}
	}
	return n
}

func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

// compare returns the lines of both texts in order.
func compare(a, b []string) (edits []edit) {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	for _, line := range a[:head] {
		edits = append(edits, edit{' ', line})
	}
	edits = append(edits, align(a[head:len(a)-tail], b[head:len(b)-tail])...)
	for _, line := range a[len(a)-tail:] {
		edits = append(edits, edit{' ', line})
	}
	return edits
}

// align keeps a longest common subsequence.
func align(a, b []string) (edits []edit) {
	width := len(b) + 1
	var common []int32 // at i*width+j: how many lines a[i:] and b[j:] have in common
	if (len(a)+1)*width <= maxCells {
		common = make([]int32, (len(a)+1)*width)
		for i := len(a) - 1; i >= 0; i-- {
			for j := len(b) - 1; j >= 0; j-- {
				if a[i] == b[j] {
					common[i*width+j] = common[(i+1)*width+j+1] + 1
				} else {
					common[i*width+j] = max(common[(i+1)*width+j], common[i*width+j+1])
				}
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case common != nil && i < len(a) && j < len(b) && a[i] == b[j]:
			edits = append(edits, edit{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common == nil || common[(i+1)*width+j] >= common[i*width+j+1]):
			edits = append(edits, edit{'-', a[i]})
			i++
		default:
			edits = append(edits, edit{'+', b[j]})
			j++
		}
	}
	return edits
}
