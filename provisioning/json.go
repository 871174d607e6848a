package provisioning

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

const (
	maxBody  = 10240 // bytes of a template, as CreateProvisioningTemplate has it
	maxDepth = 32    // objects and lists within one another
)

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
	faults []*fault // that leave a value to go on with
}

// decode reads one JSON value strictly: bounded size and depth, UTF-8, no
// member twice, nothing after the end. encoding/json alone would let the last
// of two equal members win and replace bytes that are not UTF-8. The value is
// nil if there is nothing to go on with.
func decode(body []byte) (*value, []*fault) {
	top := &place{line: 1}
	if len(body) == 0 || len(body) > maxBody {
		return nil, []*fault{top.fault("write a template of 1 to "+strconv.Itoa(maxBody)+" bytes", "the text has %d bytes", len(body))}
	}
	if !utf8.Valid(body) {
		return nil, []*fault{top.fault("save it as UTF-8", "the text is not UTF-8")}
	}
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			top.line += bytes.Count(body[:min(syntax.Offset, int64(len(body)))], []byte("\n"))
		}
		return nil, []*fault{top.fault("correct the text there", "the text is not one JSON value: %v", err)}
	}
	d := &decoder{body: body, tokens: json.NewDecoder(bytes.NewReader(body)), line: 1}
	d.tokens.UseNumber()
	v, end := d.value(&place{line: 1}, 1)
	if end != nil {
		return nil, append(d.faults, end)
	}
	return v, d.faults
}

// next returns the next token and moves the line to it; no token spans lines.
func (d *decoder) next() (json.Token, error) {
	token, err := d.tokens.Token()
	end := d.tokens.InputOffset()
	d.line += bytes.Count(d.body[d.offset:end], []byte("\n"))
	d.offset = end
	return token, err
}

// value reads a value; a fault is one that nothing can go on after.
func (d *decoder) value(at *place, depth int) (*value, *fault) {
	token, err := d.next()
	at.line = d.line
	if err != nil {
		return nil, at.fault("correct the text there", "%v", err)
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
			return nil, at.fault("write it flatter", "more than %d objects and lists within one another", maxDepth)
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
func (d *decoder) items(v *value, depth int) *fault {
	seen := map[string]bool{}
	for n := 0; d.tokens.More(); n++ {
		at := &place{up: v.at, name: "[" + strconv.Itoa(n) + "]", elem: true}
		if v.kind == isObject {
			key, err := d.next()
			if err != nil {
				return v.at.fault("correct the text there", "%v", err)
			}
			name, _ := key.(string)
			at = &place{up: v.at, name: name, line: d.line}
		}
		line := at.line
		item, end := d.value(at, depth+1)
		if end != nil {
			return end
		}
		if seen[at.name] { // as no element of a list is
			at.line = line
			d.faults = append(d.faults, at.fault("remove one", "the member stands here twice"))
			continue
		}
		seen[at.name] = true
		v.items = append(v.items, item)
	}
	if _, err := d.next(); err != nil {
		return v.at.fault("correct the text there", "%v", err)
	}
	return nil
}
