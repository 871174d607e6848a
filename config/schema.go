package config

import (
	"bytes"
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
)

// schema is the part of JSON Schema (draft 2020-12) that the keys need. It
// accepts whatever Parse accepts, and refuses most of what Parse refuses: it has
// no words for the bounds of durations, for ports, or for keys given twice.
type schema struct {
	Schema      string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        types              `json:"type"`
	Default     any                `json:"default,omitempty"`
	Enum        []any              `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	MaxLength   int                `json:"maxLength,omitempty"`
	Minimum     *int               `json:"minimum,omitempty"`
	Maximum     int                `json:"maximum,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	MaxItems    int                `json:"maxItems,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Additional  *bool              `json:"additionalProperties,omitempty"`

	bounds string // for the description, where no keyword says them
}

// types are the JSON types of a value. A key without a value takes its default,
// so that null is one of them; so is an empty string.
type types []string

var (
	typeString  = types{"string", "null"}
	typeNumber  = types{"integer", "string", "null"}
	typeList    = types{"array", "string", "null"}
	typeSection = types{"object", "null"}
)

// section is an object that has no other properties than those it knows.
func section(title string) *schema {
	no := false
	return &schema{Title: title, Type: typeSection, Properties: map[string]*schema{}, Additional: &no}
}

// Schema returns the JSON Schema of the file, for editors and for checks before
// Muster is there.
func Schema() ([]byte, error) {
	root := section("The configuration of Muster")
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	for _, k := range Default().keys() {
		parent, name := root, k.path
		if in, rest, ok := strings.Cut(k.path, "."); ok {
			if root.Properties[in] == nil {
				root.Properties[in] = section("")
			}
			parent, name = root.Properties[in], rest
		}
		parent.Properties[name] = k.schema()
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(root)
	return out.Bytes(), err
}

// schema describes the key; k is bound to Default.
func (k key) schema() *schema {
	s := k.form
	s.Description = k.meaning
	if s.bounds != "" {
		s.Description += " " + s.bounds
	}
	if k.absent == "" {
		if err := yaml.Unmarshal([]byte(k.text()), &s.Default); err != nil {
			s.Default = nil // text is YAML
		}
	}
	return &s
}
