package awsiot

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// call is one authenticated request. Its methods decode and check what the
// client sent; the first thing that is wrong stays in err, so that an operation
// reads all its members and then asks once.
type call struct {
	account string
	labels  map[string]string
	query   url.Values
	header  http.Header // signed, where its name begins with x-amz
	body    []byte
	err     error
	paged   string // the member that holds the place in a list; set when it is read

	// reply are headers of the answer, beside what its body says; those of an
	// error too.
	reply http.Header
}

// refuse keeps an InvalidRequestException, unless something was wrong before.
func (c *call) refuse(format string, args ...any) {
	if c.err == nil {
		c.err = invalidRequest(format, args...)
	}
}

// once refuses a member of the query that occurs twice: a signature covers its
// values in any order, so that it does not say which one was meant.
func (c *call) once() {
	for name, values := range c.query {
		if len(values) > 1 {
			c.refuse("%s: occurs %d times in the query", shorten(name), len(values))
		}
	}
}

// decode reads the body's members. AWS ignores those it does not know, and sends
// and takes no body at all where none is needed.
func (c *call) decode(into any) {
	if c.err != nil || len(bytes.TrimSpace(c.body)) == 0 {
		return
	}
	err := json.Unmarshal(c.body, into)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		c.refuse("%s: must be %s, not %s", memberName(wrong.Field), typeName(wrong.Type), firstWord(wrong.Value))
	case err != nil:
		c.err = &fault{status: http.StatusBadRequest, code: "SerializationException",
			message: "The body is not valid JSON: " + err.Error()}
	default:
		c.checkMembers(reflect.TypeOf(into))
	}
}

func memberName(field string) string {
	if field == "" {
		return "body"
	}
	return field
}

func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// firstWord leaves away the literal that encoding/json quotes after "number".
func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

// label returns a label of the path.
func (c *call) label(name string, f form) string {
	value := c.labels[name]
	c.required(name, value, f)
	return value
}

// fingerprint returns a label that is the ID of a certificate or an authority, as
// it is written here.
func (c *call) fingerprint(label string) string { return c.lowerID(label, c.labels[label]) }

// lowerID checks the ID of a certificate or an authority. AWS's form of it lets
// capitals pass, and 0x in place of two digits, by which nothing could be found.
func (c *call) lowerID(member, value string) string {
	if _, id, found := strings.Cut(value, "/"); found && strings.HasPrefix(value, "arn:") {
		c.refuse("%s: is an ARN, give its last part: %s", member, shorten(id))
	}
	c.required(member, value, certificateID)
	if strings.HasPrefix(value, "0x") {
		c.refuse("%s: must be 64 hex digits, the SHA-256 of the certificate, without 0x", member)
	}
	return strings.ToLower(value)
}

// param returns a member of the query; "" if it is absent.
func (c *call) param(name string, f form) string {
	value := c.query.Get(name)
	if c.query.Has(name) {
		c.required(name, value, f)
	}
	return value
}

// flag returns a boolean of the query, false if it is absent.
func (c *call) flag(name string) bool {
	return c.param(name, boolean) == "true"
}

// required checks a member that must be there.
func (c *call) required(member, value string, f form) {
	if value == "" && f.min > 0 {
		c.refuse("%s: is required", member)
		return
	}
	if problem := f.problem(value); problem != "" {
		c.refuse("%s: %s", member, problem)
	}
}

// optional checks a member that may be absent.
func (c *call) optional(member, value string, f form) {
	if value != "" {
		c.required(member, value, f)
	}
}
