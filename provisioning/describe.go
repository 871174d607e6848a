package provisioning

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/muster-mqtt/muster"
)

// Describe writes a registration for people, one fact a line: the same
// registration gives the same text, so that two of them can be compared by
// their lines.
func Describe(r muster.Registration) string {
	var b strings.Builder
	fact := func(what, value string) { fmt.Fprintf(&b, "%-12s %s\n", what, value) }
	fact("certificate", string(r.Status))
	if r.Source != nil {
		fact("  by", describeSource(*r.Source))
	}
	if r.StatusOverride != "" {
		fact("  override", "Status "+string(r.StatusOverride))
	}
	if t := r.Thing; t != nil {
		fact("thing", t.Name)
		describeThing(*t, fact)
	}
	for _, p := range r.Policies {
		fact("policy", p.Name)
		b.WriteString(indented(p.Document))
	}
	for _, name := range slices.Sorted(maps.Keys(r.DeviceConfiguration)) {
		fact("device", shown(name)+" = "+strconv.Quote(r.DeviceConfiguration[name]))
	}
	return b.String()
}

func describeSource(s muster.CertificateSource) string {
	switch {
	case s.CSR != "":
		return "its signing request"
	case s.PEM != "":
		return "its PEM"
	}
	return "its ID " + s.ID
}

func describeThing(t muster.RegistrationThing, fact func(what, value string)) {
	if t.Type != "" {
		fact("  type", t.Type)
	}
	for _, g := range t.Groups {
		fact("  group", g)
	}
	if t.Billing != "" {
		fact("  billing", t.Billing)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Attributes)) {
		fact("  attribute", name+" = "+strconv.Quote(t.Attributes[name]))
	}
	if o := t.Override; o != nil {
		fact("  override", fmt.Sprintf("AttributePayload %s, ThingTypeName %s, ThingGroups %s", o.Attributes, o.Type, o.Groups))
	}
}

// indented is a policy document, a member a line; "" for none.
func indented(document string) string {
	if document == "" {
		return ""
	}
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(strings.TrimSpace(document)), "  ", "  "); err != nil {
		return "  " + strconv.Quote(document) + "\n"
	}
	return "  " + b.String() + "\n"
}
