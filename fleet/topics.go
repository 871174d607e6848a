package fleet

import "strings"

// Operation is what a request asks for, as a word for logs and metrics.
type Operation string

// The operations. The set is closed.
const (
	OpCreate  Operation = "create"
	OpFromCSR Operation = "create_from_csr"
	OpThing   Operation = "provision"
)

// Operations lists them all.
func Operations() []Operation { return []Operation{OpCreate, OpFromCSR, OpThing} }

// The parts of the topics (AWS IoT, “Device provisioning MQTT API”).
const (
	certificates = "$aws/certificates/"
	templates    = "$aws/provisioning-templates/"
	provision    = "/provision/"
	accepted     = "/accepted"
	rejected     = "/rejected"
)

// maxName is how long the name of a template may be.
const maxName = 36

// address is what the topic of a request says.
type address struct {
	op       Operation
	template string // of OpThing
	format   format
}

// Serves reports whether a topic is one of a request. It allocates nothing.
func Serves(topic string) bool {
	_, ok := parseTopic(topic)
	return ok
}

func parseTopic(topic string) (a address, ok bool) {
	if rest, found := strings.CutPrefix(topic, certificates); found {
		what, f, _ := strings.Cut(rest, "/")
		switch what {
		case "create":
			a.op = OpCreate
		case "create-from-csr":
			a.op = OpFromCSR
		default:
			return a, false
		}
		a.format, ok = formatOf(f)
		return a, ok
	}
	rest, found := strings.CutPrefix(topic, templates)
	if !found {
		return a, false
	}
	name, f, found := strings.Cut(rest, provision)
	if !found || !isName(name) {
		return a, false
	}
	a.op, a.template = OpThing, name
	a.format, ok = formatOf(f)
	return a, ok
}

// isName reports whether a template could have the name.
func isName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
