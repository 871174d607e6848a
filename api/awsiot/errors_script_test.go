package awsiot_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// block is a part of errors.txt that has a registry of its own.
type block struct {
	rule  string // the first
	steps []step
}

// step is one line of a block.
type step struct {
	line    int    // in the file, from 1
	rule    string // what it belongs to
	repeat  int    // 1 unless it says otherwise
	text    string // of mint, let, wait, enrol and key; with $i not replaced yet
	account string // of a call: A, B or a key of theirs
	call    call
}

// call is one request and what has to come of it.
type call struct {
	operation string
	input     string // JSON, with $names
	as        string // name of the output; "" if it has none
	fault     *fault // nil: it has to succeed
}

// fault is the error that a call must answer.
type fault struct {
	status  int
	code    string
	untyped bool              // the model does not give it to this operation
	members map[string]string // resourceId and the like, with $names
	message string            // a part of it, with $names
}

var (
	repeated = regexp.MustCompile(`^([0-9]+)x (.*)$`)
	caller   = regexp.MustCompile(`^([A-Z]\w*): ([A-Z]\w*)\s*(.*)$`)
	setUp    = regexp.MustCompile(`^(mint|let|wait|enrol|key) `)
	member   = regexp.MustCompile(`^(resource\w+)=(\S+)\s*(.*)$`)
)

// parseErrors reads errors.txt, whose head describes its form.
func parseErrors(content string) ([]block, error) {
	var blocks []block
	rule, fresh := "", true
	lines := strings.Split(content, "\n")
	for i := 0; i < len(lines); i++ {
		number, line := i+1, lines[i]
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  ") {
			i++
			line += " " + strings.TrimSpace(lines[i])
		}
		named, isRule := strings.CutPrefix(line, "rule ")
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			rule, fresh = "", true
		case isRule:
			if rule = named; fresh {
				blocks, fresh = append(blocks, block{rule: rule}), false
			}
		case rule == "":
			return nil, fmt.Errorf("line %d: a block must begin with a rule", number)
		default:
			s, err := parseStep(line)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			s.line, s.rule = number, rule
			last := &blocks[len(blocks)-1]
			last.steps = append(last.steps, s)
		}
	}
	return blocks, nil
}

func parseStep(line string) (step, error) {
	s := step{repeat: 1}
	if m := repeated.FindStringSubmatch(line); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return s, err
		}
		s.repeat, line = n, m[2]
	}
	m := caller.FindStringSubmatch(line)
	switch {
	case m != nil:
		var err error
		s.account, s.call.operation = m[1], m[2]
		s.call.input, err = s.call.parse(m[3])
		return s, err
	case setUp.MatchString(line):
		s.text = line
		return s, nil
	}
	return s, fmt.Errorf("%q is neither a call nor mint, let, wait, enrol or key", line)
}

// parse reads what follows an operation: its input, then the name of its output
// or its error.
func (c *call) parse(rest string) (input string, err error) {
	input = "{}"
	if strings.HasPrefix(rest, "{") {
		var raw json.RawMessage
		d := json.NewDecoder(strings.NewReader(rest))
		if err := d.Decode(&raw); err != nil {
			return "", fmt.Errorf("input: %w", err)
		}
		input, rest = string(raw), strings.TrimSpace(rest[d.InputOffset():])
	}
	name, isNamed := strings.CutPrefix(rest, "=> ")
	failure, fails := strings.CutPrefix(rest, "! ")
	switch {
	case isNamed:
		c.as = name
	case fails:
		c.fault, err = parseFault(failure)
	case rest != "":
		err = fmt.Errorf("%q is neither => and a name nor ! and an error", rest)
	}
	return input, err
}

func parseFault(text string) (*fault, error) {
	status, rest, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(status)
	if err != nil {
		return nil, fmt.Errorf("status %q: %w", status, err)
	}
	f := &fault{status: n, members: make(map[string]string)}
	rest, f.untyped = strings.CutPrefix(rest, "untyped ")
	f.code, rest, _ = strings.Cut(rest, " ")
	for {
		m := member.FindStringSubmatch(rest)
		if m == nil {
			f.message = rest
			return f, nil
		}
		f.members[m[1]], rest = m[2], m[3]
	}
}
