package provisioning

// nearest returns the known name that is nearest to an unknown one: at most two
// letters away, and not more than half of the name. It returns "" for none.
func nearest(unknown string, known []string) string {
	best, least := "", 3
	for _, name := range known {
		if d := len(name) - len(unknown); d > 2 || d < -2 {
			continue // also so that a long name costs nothing
		}
		if d := distance(unknown, name); d < least && 2*d <= len(name) {
			best, least = name, d
		}
	}
	return best
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
