package config_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/muster-mqtt/muster/config"
)

const schemaFile = "muster.schema.json"

// TestSchemaFile holds the file that people find to the keys.
func TestSchemaFile(t *testing.T) {
	want, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the keys make; go run ./cmd/muster config schema > config/%[1]s", schemaFile)
	}
}

// compiled checks the file against the schema of schemas, too.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// beyond are the files of testdata that Parse refuses for what a schema of
// JSON has no words for.
func beyond() map[string]string {
	return map[string]string{
		"addresses-more":      "what is a host and a port",
		"half-a-pair":         "an empty certificate is none",
		"size-256MiB":         "the bounds of a size with a unit",
		"size-99999999999MiB": "the bounds of a size with a unit",
	}
}

// TestSchemaAgreesWithParse lets both judge the files of testdata: the schema
// accepts what Parse accepts, and refuses what it has words for.
func TestSchemaAgreesWithParse(t *testing.T) {
	schema := compiled(t)
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		value, readable := jsonOf(data)
		if !readable {
			continue // nor is it for an editor
		}
		_, refused := config.Parse(data, "f")
		against := schema.Validate(value)
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		_, spared := beyond()[name]
		if want := refused != nil && !spared; (against != nil) != want {
			t.Errorf("%s: Parse says %v\nthe schema says %v", name, refused, against)
		}
	}
}

// TestSchemaAcceptsDocuments validates what muster init and muster config print
// write, and what leaves keys empty.
func TestSchemaAcceptsDocuments(t *testing.T) {
	schema := compiled(t)
	for _, data := range [][]byte{
		config.Default().Document(), everything().Document(), nil, []byte("mqtt:\n"),
		[]byte("region:\nlimits:\n  connections:\n  handshakes: \"\"\nlog: {level: \"\"}\nocsp: {allow_private: \"\"}\n"),
	} {
		if _, err := config.Parse(data, "f"); err != nil {
			t.Fatal(err)
		}
		value, _ := jsonOf(data)
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s\n%v", data, err)
		}
	}
}

// TestSchemaRefuses names mistakes one by one, so that a pattern that lets all
// pass is found.
func TestSchemaRefuses(t *testing.T) {
	schema := compiled(t)
	for _, text := range []string{
		"reggion: us-east-1", "mqtt: {adress: ':1'}", "region: US East", "region: 7", "mqtt: {address: '8883'}",
		"mqtt: {address: ':https'}", "mqtt: {handshake_timeout: 10}", "mqtt: {handshake_timeout: 10 s}",
		"mqtt: {handshake_timeout: 30d}", "mqtt: {max_packet_size: 1.5}", "mqtt: {max_packet_size: 12}",
		"mqtt: {max_packet_size: 128KB}", "mqtt: {refusals: connac}", "mqtt: {key: \"a\\nb\"}", "mqtt: {key: [a]}",
		"limits: {connections: 0}", "limits: {connections: 100000001}", "limits: {connections: '7'}", "limits: [1]",
		"ocsp: {allow_private: 10.0.0.0/8}", "ocsp: {allow_private: [localhost]}", "ocsp: {allow_private: [7]}", "- region",
	} {
		value, readable := jsonOf([]byte(text))
		if _, err := config.Parse([]byte(text), "f"); err == nil || !readable {
			t.Errorf("%s: Parse accepts it", text)
		}
		if schema.Validate(value) == nil {
			t.Errorf("%s: the schema accepts it", text)
		}
	}
}

// jsonOf is a YAML document as an editor hands it to a schema.
func jsonOf(data []byte) (value any, readable bool) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	if err := decoder.Decode(&first); errors.Is(err, io.EOF) {
		return nil, true
	} else if err != nil {
		return nil, false
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, false
	}
	return jsonNode(first.Content[0])
}

// jsonNode gives up on keys that come twice or are no strings.
func jsonNode(n *yaml.Node) (value any, ok bool) {
	switch n.Kind {
	case yaml.AliasNode:
		return jsonNode(n.Alias)
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			item, ok := jsonNode(c)
			if !ok {
				return nil, false
			}
			list = append(list, item)
		}
		return list, true
	case yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i]
			item, ok := jsonNode(n.Content[i+1])
			if _, twice := object[name.Value]; twice || !ok || name.Kind != yaml.ScalarNode {
				return nil, false
			}
			object[name.Value] = item
		}
		return object, true
	}
	if n.ShortTag() == "!!timestamp" { // YAML 1.2 has none
		return n.Value, true
	}
	err := n.Decode(&value)
	return value, err == nil
}
