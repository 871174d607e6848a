package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxProblems is how many lines an error has, at most; one more counts the
// rest.
const maxProblems = 20

// Parse reads a configuration. name stands for the file in messages. The paths
// stay as they are written.
func Parse(data []byte, name string) (*Config, error) {
	r := newReader(name)
	r.read(data)
	r.listeners()
	r.pair()
	if err := r.err(); err != nil {
		return nil, err
	}
	return r.config, nil
}

// reader fills a configuration from a document and the environment, and gathers
// what is wrong.
type reader struct {
	file     string
	config   *Config
	keys     []key
	lines    map[string]int    // where each key and section was given, by its path
	origins  map[string]Origin // of the keys that were given a value
	problems []problem
}

func newReader(file string) *reader {
	r := &reader{file: file, config: Default(), lines: make(map[string]int), origins: make(map[string]Origin)}
	r.keys = r.config.keys()
	return r
}

// read fills in what the file has.
func (r *reader) read(data []byte) {
	if root := r.document(data); root != nil {
		r.mapping(root, "")
	}
}

type problem struct {
	place Origin
	text  string
}

func (r *reader) report(line int, format string, args ...any) {
	r.reportAt(Origin{File: r.file, Line: line}, format, args...)
}

func (r *reader) reportAt(place Origin, format string, args ...any) {
	r.problems = append(r.problems, problem{place, fmt.Sprintf(format, args...)})
}

// err has a line for each problem, those of the file first, in its order.
func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.place.Variable, b.place.Variable), cmp.Compare(a.place.Line, b.place.Line))
	})
	var lines []string
	for i, p := range r.problems {
		if i == maxProblems {
			lines = append(lines, fmt.Sprintf("%s: and %d more", r.file, len(r.problems)-i))
			break
		}
		lines = append(lines, p.place.String()+": "+p.text)
	}
	return errors.New(strings.Join(lines, "\n"))
}

var syntaxLine = regexp.MustCompile(`^line ([0-9]+): `)

// syntax reports an error of the YAML library, which has the line in its text.
func (r *reader) syntax(err error) {
	text, line := strings.TrimPrefix(err.Error(), "yaml: "), 0
	if m := syntaxLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits; 0 is what an absurd number deserves
		text = text[len(m[0]):]
	}
	r.report(line, "not YAML: %s", text)
}

// document returns the root of the only document; nil if there is none.
func (r *reader) document(data []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	if err := decoder.Decode(&first); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		r.syntax(err)
		return nil
	}
	if err := decoder.Decode(&second); err == nil {
		r.report(second.Line, "a second document begins; the file holds one")
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
	}
	return first.Content[0]
}

// mapping reads the keys of a section; prefix is "" or ends in a dot.
func (r *reader) mapping(n *yaml.Node, prefix string) {
	if empty(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		if prefix == "" {
			r.report(n.Line, "want a section of keys, not %s", describe(n))
		} else {
			r.report(n.Line, "%s: want a section of keys, not %s", strings.TrimSuffix(prefix, "."), describe(n))
		}
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		path, shown := prefix+name.Value, keyText(prefix, name.Value)
		first, twice := r.lines[path]
		switch {
		case name.Kind != yaml.ScalarNode:
			r.report(name.Line, "want a key, not %s", describe(name))
		case strings.Contains(name.Value, "."):
			r.report(name.Line, "%s: unknown key; a dot names a key within a section, which stands indented below it", shown)
		case twice:
			r.report(name.Line, "%s: given twice; first in line %d", shown, first)
		default:
			r.lines[path] = name.Line
			r.entry(name, value, prefix)
		}
	}
}

// entry reads one key: a value, a section, or one that nobody knows.
func (r *reader) entry(name, value *yaml.Node, prefix string) {
	path := prefix + name.Value
	for _, k := range r.keys {
		if k.path == path {
			r.value(k, value)
			return
		}
		if strings.HasPrefix(k.path, path+".") {
			r.mapping(value, path+".")
			return
		}
	}
	r.report(name.Line, "%s: unknown key%s", keyText(prefix, name.Value), r.hint(prefix, name.Value))
}

func (r *reader) value(k key, n *yaml.Node) {
	if empty(n) {
		return
	}
	place := Origin{File: r.file, Line: n.Line}
	r.origins[k.path] = place
	if k.clear == nil {
		r.store(k, n, place, k.path)
		return
	}
	if n.Kind == yaml.ScalarNode && k.alone {
		k.clear()
		r.store(k, n, place, k.path)
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.report(n.Line, "%s: want a list, not %s", k.path, describe(n))
		return
	}
	k.clear()
	for i, item := range n.Content {
		r.store(k, item, Origin{File: r.file, Line: item.Line}, fmt.Sprintf("%s[%d]", k.path, i))
	}
}

// store sets a key, or one item of a list, which shown names.
func (r *reader) store(k key, n *yaml.Node, place Origin, shown string) {
	var err error
	switch {
	case looksSecret(n.Value):
		err = errSecret
	case !utf8.ValidString(n.Value):
		err = errors.New("want text in UTF-8")
	default:
		err = k.set(n)
	}
	if err != nil {
		r.reportAt(place, "%s: %v", shown, err)
	}
}

// listeners refuses a server that no device could reach. An address that is wrong
// was told of already.
func (r *reader) listeners() {
	if m := r.config.MQTT; len(m.Address) > 0 || len(m.Websocket) > 0 || len(r.problems) > 0 {
		return
	}
	place := cmp.Or(r.origins["mqtt.address"], r.origins["mqtt.websocket"])
	r.reportAt(place, "mqtt: address and websocket are both empty; give one, for devices to connect to")
}

// pair refuses half a certificate: with the key of another it could not be
// served.
func (r *reader) pair() {
	a := r.config.API
	if (a.Certificate == "") == (a.Key == "") {
		return
	}
	half := cmp.Or(r.origins["api.certificate"], r.origins["api.key"])
	half.Line = r.lines["api"]
	r.reportAt(half, "api: certificate and key go together; give both or none")
}

var keyForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,60}$`)

// keyText shows a key that may be anything.
func keyText(prefix, name string) string {
	if keyForm.MatchString(name) {
		return prefix + name
	}
	return prefix + quote(name)
}
