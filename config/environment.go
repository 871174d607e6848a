package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The names of variables.
const (
	variablePrefix = "MUSTER_"
	fileVariable   = "MUSTER_CONFIG" // names the file; the program reads it
)

var variableForm = regexp.MustCompile(`^[A-Za-z0-9_]{1,100}$`)

// variable is the name that a key has in the environment.
func (k key) variable() string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
}

// environment fills in what the environment has. An empty variable is none, as
// an empty value in the file is none: compose files make such of what is unset.
func (r *reader) environment(environ []string) {
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, variablePrefix) || name == fileVariable || value == "" {
			continue
		}
		i := slices.IndexFunc(r.keys, func(k key) bool { return k.variable() == name })
		switch {
		case i >= 0:
			r.variable(r.keys[i], name, value)
		case r.ours(name, value):
			shown := name
			if !variableForm.MatchString(name) {
				shown = quote(name) // a name may have whatever a shell would not take
			}
			r.reportAt(Origin{Variable: shown}, "unknown variable%s", r.variableHint(name))
		}
	}
}

// variable sets a key. A list is written with commas, an empty one as none.
func (r *reader) variable(k key, name, value string) {
	place := Origin{Variable: name}
	r.origins[k.path] = place
	if k.clear == nil {
		r.store(k, k.node(value), place, k.path)
		return
	}
	k.clear()
	if value == "none" {
		return
	}
	items := strings.Split(value, ",")
	for i, item := range items {
		shown := fmt.Sprintf("%s[%d]", k.path, i)
		if k.alone && len(items) == 1 {
			shown = k.path
		}
		r.store(k, k.node(strings.TrimSpace(item)), place, shown)
	}
}

// node is a value as the file would have it.
func (k key) node(value string) *yaml.Node {
	tag := "!!str"
	if k.number {
		tag = "!!int"
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

// linked are the variables that Kubernetes gives every pod for a service named
// muster or, say, muster-mqtt.
var (
	linked      = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	linkedValue = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// ours reports whether an unknown variable was meant for Muster: it begins with
// a section, or is nearly a known one. Others are somebody else's, such as those
// of muster env.
func (r *reader) ours(name, value string) bool {
	if linked.MatchString(name) || strings.HasSuffix(name, "_PORT") && linkedValue.MatchString(value) {
		return false
	}
	if _, _, ok := r.sectionOf(name); ok {
		return true
	}
	near, _ := nearest(name, r.variables())
	return len(near) > 0
}

// sectionOf splits MUSTER_MQTT_ADDRESS into mqtt and address.
func (r *reader) sectionOf(name string) (section, rest string, ok bool) {
	name = strings.ToLower(strings.TrimPrefix(name, variablePrefix))
	for _, k := range r.keys {
		section, _, inside := strings.Cut(k.path, ".")
		if !inside {
			continue
		}
		if rest, ok = strings.CutPrefix(name, section+"_"); ok && rest != "" {
			return section, rest, true
		}
	}
	return "", "", false
}

func (r *reader) variables() []candidate {
	all := []candidate{{fileVariable, fileVariable}}
	for _, k := range r.keys {
		all = append(all, candidate{k.variable(), k.variable()})
	}
	return all
}

// variableHint suggests the variable of the key that is nearest.
func (r *reader) variableHint(name string) string {
	if near, _ := nearest(name, r.variables()); len(near) > 0 {
		return didYouMean(near)
	}
	section, rest, _ := r.sectionOf(name)
	near := r.nearKeys(section+".", rest)
	for i, path := range near {
		near[i] = key{path: path}.variable()
	}
	if len(near) == 0 {
		return "; " + listHint
	}
	return didYouMean(near)
}

// errSecret does not show what it is about.
var errSecret = errors.New("this looks like a secret in clear, which no key takes; " +
	"put it into a file that only its owner may read, and give the path")

var secretForms = []*regexp.Regexp{
	regexp.MustCompile(`-----BEGIN `),                // PEM
	regexp.MustCompile(`^[0-9A-Fa-f]{64,}$`),         // a master key
	regexp.MustCompile(`^[A-Za-z0-9+/]{40,}={1,2}$`), // a key in base64
	regexp.MustCompile(`://[^/\s]*@`),                // a URL with user and password
}

// looksSecret reports whether a value is what belongs into a file of its own.
// Messages and printed configurations show values, so such a one goes no further.
func looksSecret(value string) bool {
	value = strings.TrimSpace(value)
	return slices.ContainsFunc(secretForms, func(form *regexp.Regexp) bool { return form.MatchString(value) })
}
