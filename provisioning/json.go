package provisioning

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"unicode/utf8"
)

const (
	maxBody  = 10240 // bytes of a template, as CreateProvisioningTemplate has it
	maxDepth = 32    // objects and lists within one another
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
var plain = regexp.MustCompile(`^[A-Za-z0-9_:@/-]{1,128}$`)

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

// fault is an error at a place.
type fault struct {
	at   *place
	text string
}

func (f *fault) Error() string {
	path := f.at.path()
	if path == "" {
		path = "top level"
	}
	return fmt.Sprintf("%s (line %d): %s", path, f.at.line, f.text)
}

func (p *place) faultf(format string, args ...any) error {
	return &fault{at: p, text: fmt.Sprintf(format, args...)}
}

// excerpt quotes a foreign text and bounds it.
func excerpt(s string) string {
	const most = 80
	if len(s) <= most {
		return strconv.Quote(s)
	}
	return fmt.Sprintf("%.*q… (%d bytes)", most, s, len(s))
}

// kind is the type of a JSON value, in the words of an error.
type kind string

const (
	isObject  kind = "an object"
	isList    kind = "a list"
	isString  kind = "a string"
	isNumber  kind = "a number"
	isBoolean kind = "a boolean"
	isNull    kind = "null"
)

// value is a JSON value that knows its place.
type value struct {
	at    *place
	kind  kind
	text  string   // a string decoded; the literal of a number, a boolean or null
	items []*value // of a list, or of an object in the order of the text
}

// name is the member name of a value in an object.
func (v *value) name() string { return v.at.name }

// decoder walks the tokens of a text that is known to be JSON, and counts lines.
type decoder struct {
	body   []byte
	tokens *json.Decoder
	offset int64
	line   int
}

// decode reads one JSON value strictly: bounded size and depth, UTF-8, no
// member twice, nothing after the end. encoding/json alone would let the last
// of two equal members win and replace bytes that are not UTF-8.
func decode(body []byte) (*value, error) {
	top := &place{line: 1}
	if len(body) == 0 || len(body) > maxBody {
		return nil, top.faultf("%d bytes; a template has 1 to %d", len(body), maxBody)
	}
	if !utf8.Valid(body) {
		return nil, top.faultf("the text is not UTF-8; save it as UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			top.line += bytes.Count(body[:min(syntax.Offset, int64(len(body)))], []byte("\n"))
		}
		return nil, top.faultf("the text is not one JSON value: %v", err)
	}
	d := &decoder{body: body, tokens: json.NewDecoder(bytes.NewReader(body)), line: 1}
	d.tokens.UseNumber()
	return d.value(top, 1)
}

// next returns the next token and moves the line to it; no token spans lines.
func (d *decoder) next() (json.Token, error) {
	token, err := d.tokens.Token()
	end := d.tokens.InputOffset()
	d.line += bytes.Count(d.body[d.offset:end], []byte("\n"))
	d.offset = end
	return token, err
}

func (d *decoder) value(at *place, depth int) (*value, error) {
	token, err := d.next()
	at.line = d.line
	if err != nil {
		return nil, at.faultf("%v", err)
	}
	v := &value{at: at}
	switch token := token.(type) {
	case string:
		v.kind, v.text = isString, token
	case json.Number:
		v.kind, v.text = isNumber, token.String()
	case bool:
		v.kind, v.text = isBoolean, strconv.FormatBool(token)
	case nil:
		v.kind, v.text = isNull, "null"
	case json.Delim:
		if depth > maxDepth {
			return nil, at.faultf("more than %d objects and lists within one another", maxDepth)
		}
		v.kind = isList
		if token == '{' {
			v.kind = isObject
		}
		return v, d.items(v, depth)
	}
	return v, nil
}

// items reads the members or elements of v and its closing token.
func (d *decoder) items(v *value, depth int) error {
	seen := map[string]bool{}
	for d.tokens.More() {
		at := &place{up: v.at, name: "[" + strconv.Itoa(len(v.items)) + "]", elem: true}
		if v.kind == isObject {
			key, err := d.next()
			if err != nil {
				return v.at.faultf("%v", err)
			}
			name, _ := key.(string)
			at = &place{up: v.at, name: name, line: d.line}
			if seen[name] {
				return at.faultf("the member stands here twice; remove one")
			}
			seen[name] = true
		}
		item, err := d.value(at, depth+1)
		if err != nil {
			return err
		}
		v.items = append(v.items, item)
	}
	_, err := d.next()
	return err
}
