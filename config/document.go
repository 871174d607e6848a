package config

import (
	"bytes"
	"fmt"
	"strings"
)

// Row is one key, as the table in the manual shows it.
type Row struct {
	Key     string // "limits.handshakes"
	Default string
	Meaning string
}

// Table returns every key in the order of the file.
func Table() []Row {
	var rows []Row
	for _, k := range Default().keys() {
		rows = append(rows, Row{Key: k.path, Default: k.defaultText(), Meaning: k.meaning})
	}
	return rows
}

// defaultText is the default in words; k is bound to Default.
func (k key) defaultText() string {
	if k.absent != "" {
		return k.absent
	}
	return k.text()
}

const preamble = `# The configuration of Muster.
#
# Paths are relative to the folder of this file. Durations are written with a
# unit (10s, 5m, 720h), sizes in bytes or as 128KiB. A key that is left out or
# has no value takes its default. Variables of the environment win over this
# file: MUSTER_MQTT_ADDRESS is mqtt.address. muster config check judges it all.
`

// Document renders the configuration as a file in which each key has a comment:
// its meaning and its default. Parse reads it back to the same values.
func (c *Config) Document() []byte {
	var out bytes.Buffer
	out.WriteString(preamble)
	section, rows := "", Table()
	for i, k := range c.keys() {
		name, indent := k.path, ""
		if in, rest, ok := strings.Cut(k.path, "."); ok {
			name, indent = rest, "  "
			if in != section {
				section = in
				fmt.Fprintf(&out, "\n%s:\n", in)
			}
		} else {
			out.WriteString("\n")
		}
		comment(&out, indent, rows[i].Meaning)
		fmt.Fprintf(&out, "%s# Default: %s\n%s%s: %s\n", indent, rows[i].Default, indent, name, k.text())
	}
	return out.Bytes()
}

// comment writes text as lines of at most 79 characters.
func comment(out *bytes.Buffer, indent, text string) {
	line := indent + "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 79 {
			out.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	out.WriteString(line + "\n")
}
