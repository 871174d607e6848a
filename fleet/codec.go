package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// format is the encoding of a payload.
type format byte

const (
	formatJSON format = iota
	formatCBOR
)

func formatOf(word string) (format, bool) {
	switch word {
	case "json":
		return formatJSON, true
	case "cbor":
		return formatCBOR, true
	}
	return 0, false
}

// Bounds of what a payload may hold. The deepest that is asked for has two
// levels; cbor knows no fewer than four.
const (
	maxPayload = 32 << 10 // bytes
	maxDepth   = 4        // of objects and arrays in each other
	maxMembers = 1024     // of one of them
)

// codec holds what is needed to read and write CBOR.
type codec struct {
	decode cbor.DecMode
	encode cbor.EncMode
}

// newCodec refuses what JSON has no word for: two members of one name, tags,
// text that is not UTF-8.
func newCodec() (codec, error) {
	decode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: maxDepth, MaxMapPairs: maxMembers, MaxArrayElements: maxMembers,
		TagsMd: cbor.TagsForbidden, UTF8: cbor.UTF8RejectInvalid, DefaultMapType: reflect.TypeFor[map[string]any](),
	}.DecMode()
	if err != nil {
		return codec{}, err
	}
	encode, err := cbor.EncOptions{Sort: cbor.SortLengthFirst}.EncMode()
	return codec{decode, encode}, err
}

// members are those of an object. Their values are strings, objects and others
// of encoding/json; nil is null.
type members map[string]any

// read reads a payload that is an object.
func (c codec) read(f format, payload []byte) (members, error) {
	if len(payload) > maxPayload {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", len(payload), maxPayload)
	}
	if f == formatJSON {
		return readJSON(payload)
	}
	var value any
	if err := c.decode.Unmarshal(payload, &value); err != nil {
		return nil, fmt.Errorf("it is not CBOR as it is wanted here: %w", err)
	}
	m, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("it is not a map of CBOR")
	}
	return m, nil
}

// write encodes an answer. The names of its members are those of its json tags
// in either encoding.
func (c codec) write(f format, answer any) ([]byte, error) {
	if f == formatCBOR {
		return c.encode.Marshal(answer)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(answer)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// readJSON reads one object, in which no name stands twice: encoding/json would
// take the last, others the first. It would also take names in any case of their
// letters.
func readJSON(text []byte) (members, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	value, err := readValue(d, 0)
	if err != nil {
		return nil, fmt.Errorf("it is not JSON as it is wanted here: %w", err)
	}
	m, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("it is not an object of JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object of JSON")
	}
	return m, nil
}

func readValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	}
	open, nested := token.(json.Delim)
	if err != nil || !nested {
		return token, err
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("more than %d levels", maxDepth)
	}
	if open == '[' {
		return readArray(d, depth+1)
	}
	return readObject(d, depth+1)
}

func readArray(d *json.Decoder, depth int) (any, error) {
	items := []any{}
	for d.More() {
		if len(items) == maxMembers {
			return nil, fmt.Errorf("an array of more than %d", maxMembers)
		}
		item, err := readValue(d, depth)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	_, err := d.Token()
	return items, err
}

func readObject(d *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // the decoder takes nothing else here
		if _, twice := object[name]; twice {
			return nil, fmt.Errorf("%.100q stands there twice", name)
		}
		if len(object) == maxMembers {
			return nil, fmt.Errorf("an object of more than %d members", maxMembers)
		}
		if object[name], err = readValue(d, depth); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return object, err
}

// only refuses members of other names.
func (m members) only(names ...string) error {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(names, name) {
			return fmt.Errorf("unknown member %.100q", name)
		}
	}
	return nil
}

// text returns a string; "" if the member is absent or null.
func (m members) text(name string) (string, error) {
	switch v := m[name].(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", fmt.Errorf("%s is not a string", name)
}

// The lengths that parameters may have, in bytes (RegisterThing of the AWS IoT
// API reference).
const (
	maxParameter = 2048
	maxValue     = 4096
)

// texts returns strings by name; none if the member is absent or null.
func (m members) texts(name string) (map[string]string, error) {
	values, ok := m[name].(map[string]any)
	if !ok && m[name] != nil {
		return nil, fmt.Errorf("%s is not an object of strings", name)
	}
	texts := make(map[string]string, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		text, ok := values[key].(string)
		switch {
		case !ok:
			return nil, fmt.Errorf("%.100q in %s is not a string", key, name)
		case len(key) > maxParameter || len(text) > maxValue:
			return nil, fmt.Errorf("%.100q in %s is too long: a name has up to %d bytes, a value up to %d", key, name, maxParameter, maxValue)
		}
		texts[key] = text
	}
	return texts, nil
}
