package provisioning

import "slices"

const (
	typeCertificate = "AWS::IoT::Certificate"
	typePolicy      = "AWS::IoT::Policy"
	typeThing       = "AWS::IoT::Thing"
)

const (
	maxPolicies        = 10 // attached to one certificate
	maxAttributes      = 3  // of a thing without a type
	maxTypedAttributes = 50 // of a thing with one
)

// Template is a provisioning template that Parse accepted. It never changes,
// so that many connections may render it at once. The zero value renders
// nothing but an error.
type Template struct {
	parameters    []parameter
	mappings      map[string]map[string]map[string]string
	certificate   string // logical ID
	sourced       bool   // the template names the certificate itself
	source        source // if it does
	status        *node
	override      *node  // of the status; nil for none
	thing         *thing // nil for none
	policies      []grant
	configuration []attribute
}

type parameter struct {
	at       *place
	name     string
	fallback *string // nil for none
}

// source holds the properties that name a certificate; nil nodes are absent.
type source struct{ id, csr, pem, ca *node }

// thing holds the properties of a thing; nil nodes are absent.
type thing struct {
	logical                     string
	name, kind, billing, groups *node
	attributes                  []attribute
	override                    *override // nil for none
}

// override holds the OverrideSettings of a thing; nil nodes are absent.
type override struct{ attributes, kind, groups *node }

type attribute struct {
	name  string
	value *node
}

// grant is a policy: by name or by document, the other is nil.
type grant struct {
	logical        string
	name, document *node
}

// Declares says whether Parameters of the template has one of this name.
func (t *Template) Declares(name string) bool {
	_, declared := t.parameter(name)
	return declared
}

func (t *Template) parameter(name string) (parameter, bool) {
	i := slices.IndexFunc(t.parameters, func(p parameter) bool { return p.name == name })
	if i < 0 {
		return parameter{}, false
	}
	return t.parameters[i], true
}
