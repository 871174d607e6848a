package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// scalar returns the text of a node that YAML resolves to one of the tags.
func scalar(n *yaml.Node, want string, tags ...string) (string, error) {
	if n.Kind != yaml.ScalarNode || !slices.Contains(tags, n.ShortTag()) {
		return "", fmt.Errorf("want %s, not %s", want, describe(n))
	}
	return n.Value, nil
}

// describe names what a node is, for people.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias; write the value out"
	}
	switch n.ShortTag() {
	case "!!str":
		return "the string " + quote(n.Value)
	case "!!int", "!!float":
		return "the number " + quote(n.Value)
	case "!!bool":
		return "the truth value " + quote(n.Value) + "; put it in quotes if it is a string"
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return "the date " + quote(n.Value) + "; put it in quotes if it is a string"
	}
	return "a value tagged " + quote(n.Tag)
}

// empty reports whether a key was given no value, which leaves the default.
func empty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!null" || n.ShortTag() == "!!str" && n.Value == "")
}

// quote shows a piece of the file in a message: escaped, not all of it if it is
// long, and nothing if it could be a secret, such as when the file is a key.
func quote(s string) string {
	const most = 60
	if looksSecret(s) {
		return `"…"`
	}
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}

func stringText(s string) string {
	out, err := yaml.Marshal(s)
	if err != nil {
		return strconv.Quote(s) // no string fails to marshal
	}
	return strings.TrimSuffix(string(out), "\n")
}

// durationText is d as people write it: 20m, where String has 20m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func sizeText(n int) string {
	switch {
	case n > 0 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + "MiB"
	case n > 0 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "KiB"
	}
	return strconv.Itoa(n)
}
