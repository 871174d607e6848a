package awsiot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// checkMembers holds a body that was decoded to the names of AWS's model. They
// are case-sensitive there and AWS passes over others, whereas encoding/json takes
// capitals for small letters, and the last of several members of one name.
func (c *call) checkMembers(t reflect.Type) {
	w := memberWalk{call: c, tokens: json.NewDecoder(bytes.NewReader(c.body))}
	w.tokens.UseNumber() // of any size
	w.value("", t)
}

// memberWalk goes through a body that was decoded without an error.
type memberWalk struct {
	call   *call
	tokens *json.Decoder
}

// value takes one value, which was decoded into t. What is of no known form is
// passed over, so that nothing grows with its depth.
func (w *memberWalk) value(at string, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch kind := t.Kind(); {
	case kind == reflect.Struct, kind == reflect.Map, kind == reflect.Slice && t != reflect.TypeFor[json.RawMessage]():
	default:
		w.skip()
		return
	}
	switch token, _ := w.tokens.Token(); token { // or null
	case json.Delim('{'):
		w.object(at, t)
	case json.Delim('['):
		for i := 0; w.tokens.More(); i++ {
			w.value(fmt.Sprintf("%s[%d]", at, i), t.Elem())
		}
		_, _ = w.tokens.Token()
	}
}

func (w *memberWalk) skip() {
	var unread json.RawMessage
	_ = w.tokens.Decode(&unread)
}

func (w *memberWalk) object(at string, t reflect.Type) {
	seen := make(map[string]bool)
	for w.tokens.More() {
		token, _ := w.tokens.Token()
		name, _ := token.(string)
		known, of := name, reflect.Type(nil)
		if t.Kind() == reflect.Map {
			of = t.Elem()
		} else {
			known, of = memberOf(t, name)
		}
		if of == nil {
			w.skip()
			continue
		}
		member := strings.TrimPrefix(at+"."+shorten(name), ".")
		switch {
		case known != name:
			w.call.refuse("%s: must be written %s", member, known)
		case seen[name]:
			w.call.refuse("%s: is given twice", member)
		}
		seen[name] = true
		w.value(member, of)
	}
	_, _ = w.tokens.Token()
}

// memberOf returns the member of a struct that encoding/json takes a name for; of
// is nil if there is none.
func memberOf(t reflect.Type, name string) (known string, of reflect.Type) {
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case tag == "":
		case tag == name:
			return tag, f.Type
		case strings.EqualFold(tag, name):
			known, of = tag, f.Type
		}
	}
	return known, of
}
