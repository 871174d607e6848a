package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// encoding/json alone would take the last of two equal members, ignore the case
// of their names and replace invalid UTF-8, so that two readers could see two
// policies in one text. So documents are read into this tree, which keeps every
// member as written.
type (
	object []member
	member struct {
		name  string
		value any // object, array, string, json.Number, bool or nil
	}
	array []any
)

// maxDepth is more than a document needs: its conditions are six deep.
const maxDepth = 8

// readJSON reads one JSON text and nothing behind it.
func readJSON(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("the text is not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		line, column := position(text, err)
		return nil, fmt.Errorf("line %d, column %d: not JSON: %w", line, column, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return readValue(decoder, "", 0)
}

// position returns where in the text the error is, both counted from one and
// the column in bytes.
func position(text []byte, err error) (line, column int) {
	before := text
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		// Offset counts the byte that is wrong; at the end there is none.
		before = text[:min(max(int(syntax.Offset)-1, 0), len(text))]
	}
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}

func readValue(decoder *json.Decoder, path string, depth int) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == maxDepth {
		return nil, fault(path, "nested deeper than %d levels", maxDepth)
	}
	if delim == '{' {
		return readObject(decoder, path, depth)
	}
	return readArray(decoder, path, depth)
}

func readObject(decoder *json.Decoder, path string, depth int) (object, error) {
	var members object
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // the text was checked: a name is a string
		here := name
		if path != "" {
			here = path + "." + name
		}
		if _, twice := members.get(name); twice {
			return nil, fault(here, "given twice; keep one")
		}
		value, err := readValue(decoder, here, depth+1)
		if err != nil {
			return nil, err
		}
		members = append(members, member{name, value})
	}
	_, err := decoder.Token() // the closing brace
	return members, err
}

func readArray(decoder *json.Decoder, path string, depth int) (array, error) {
	var values array
	for decoder.More() {
		value, err := readValue(decoder, fmt.Sprintf("%s[%d]", path, len(values)), depth+1)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	_, err := decoder.Token() // the closing bracket
	return values, err
}

func (o object) get(name string) (any, bool) {
	for _, m := range o {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

// fault is an error at a member: what is wrong there; what to write. The names
// in the path are the author's and may hold anything, so they are escaped.
func fault(path, format string, args ...any) error {
	quoted := strconv.Quote(path)
	return fmt.Errorf("%s: %w", quoted[1:len(quoted)-1], fmt.Errorf(format, args...))
}

// kindOf names the type of a value for an error.
func kindOf(value any) string {
	switch value.(type) {
	case object:
		return "an object"
	case array:
		return "an array"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "a boolean"
	}
	return "null"
}

// stringOrList reads what may be one string or several: Action, Resource.
func stringOrList(name string, value any) ([]string, error) {
	switch value := value.(type) {
	case string:
		return []string{value}, nil
	case array:
		if len(value) == 0 {
			return nil, fault(name, "an empty array; name at least one")
		}
		list := make([]string, len(value))
		for i, v := range value {
			s, ok := v.(string)
			if !ok {
				return nil, fault(fmt.Sprintf("%s[%d]", name, i), "%s; write a string", kindOf(v))
			}
			list[i] = s
		}
		return list, nil
	}
	return nil, fault(name, "%s; write a string or an array of strings", kindOf(value))
}
