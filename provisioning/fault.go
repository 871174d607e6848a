package provisioning

import (
	"fmt"
	"regexp"
	"strconv"
)

// place is where in the text a value stands. It is a chain, so that many
// values in a deep template do not each carry a long path.
type place struct {
	up   *place // nil at the top
	name string // member name, or "[2]" in a list
	elem bool   // of a list
	line int    // from 1
}

// plain names are shown as they are; others are quoted, so that no name can
// forge a line of a log.
var plain = regexp.MustCompile(`^[A-Za-z0-9_.:@/-]{1,128}$`)

func (p *place) path() string {
	if p.up == nil {
		return ""
	}
	if p.elem {
		return p.up.path() + p.name
	}
	if p.up.up == nil {
		return shown(p.name)
	}
	return p.up.path() + "." + shown(p.name)
}

// shown is a name as an error shows it.
func shown(name string) string {
	if plain.MatchString(name) {
		return name
	}
	return excerpt(name)
}

// fault is what is wrong at a place, and what mends it.
type fault struct {
	at         *place
	text, mend string
}

// fault makes a fault of its mend and of a format for what is wrong.
func (p *place) fault(mend, format string, args ...any) *fault {
	return &fault{at: p, text: fmt.Sprintf(format, args...), mend: mend}
}

// where is the path of a fault; the top has a name too.
func (f *fault) where() string {
	if path := f.at.path(); path != "" {
		return path
	}
	return "top level"
}

func (f *fault) Error() string {
	return fmt.Sprintf("%s (line %d): %s; %s", f.where(), f.at.line, f.text, f.mend)
}

// excerpt quotes a foreign text and bounds it.
func excerpt(s string) string {
	const most = 80
	if len(s) <= most {
		return strconv.Quote(s)
	}
	return fmt.Sprintf("%.*q… (%d bytes)", most, s, len(s))
}
