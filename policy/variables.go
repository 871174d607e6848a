package policy

import (
	"crypto/x509"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/muster-mqtt/muster"
)

// Limits of AWS on the values that are put into a pattern.
const (
	maxValueLength  = 1024 // characters
	unsubstitutable = "*$+?#"
)

// Variables are what is known of one session: the values of variables, and what
// conditions look at. A value that is empty, longer than 1,024 characters, not
// UTF-8, or holds one of "* $ + ? #" is not put into a pattern: the variable
// then has no value. So a device cannot widen a pattern by its choice of a name.
// Nothing of it is kept when a session is bound but Now.
type Variables struct {
	ClientID      string // iot:ClientId
	CertificateID string // iot:CertificateId, 64 hex digits
	SourceIP      string // aws:SourceIp, without port
	DomainName    string // iot:DomainName: the server name of the TLS handshake; "" if none was sent
	// Thing fills iot:Connection.Thing.…. It is nil unless the certificate is
	// attached to it and, if it is not so exclusively, its name is the client ID
	// (muster.Principal looks it up so); then IsAttached is "false" and the others
	// have no value.
	Thing *muster.Thing
	// Certificate fills iot:Certificate.…; nil if it is not known.
	Certificate *x509.Certificate
	Connect     ConnectAttributes
	// Now is the clock of aws:CurrentTime and aws:EpochTime. It is asked by
	// each Evaluate that comes to a condition on the time, which cannot be
	// decided if it is nil.
	Now func() time.Time
}

// ConnectAttributes are what a CONNECT asks for beyond a plain session. Only
// iot:Connect has them.
type ConnectAttributes struct {
	PersistentConnect bool // the session is to outlive its connection
	LastWill          bool
	WillTopic         string // iot:LastWillTopic; "" if there is no will
}

// scope is a session as it is seen by one question of its statements.
type scope struct {
	*Variables
	topics     string // the ARN of a topic, up to its name
	connecting bool   // the question is iot:Connect
}

// value returns the value of a variable, if it has one that may be put into a
// pattern.
func (s *scope) value(k *key) (string, bool) {
	value := s.lookup(k)
	ok := value != "" &&
		!strings.ContainsAny(value, unsubstitutable) &&
		utf8.ValidString(value) && // for the sake of glob, whose wildcards are invalid bytes
		utf8.RuneCountInString(value) <= maxValueLength
	return value, ok
}

// lookup returns a value of which there is one, or the one of several that the
// key asks for; "" if there is none.
func (s *scope) lookup(k *key) string {
	switch k.kind {
	case clientID:
		return s.ClientID
	case certificateID:
		return s.CertificateID
	case sourceIP:
		return s.SourceIP
	case domainName:
		return strings.ToLower(s.DomainName)
	case secureTransport:
		return "true" // nothing else is served
	case thingIsAttached:
		return strconv.FormatBool(s.Thing != nil)
	case thingName, thingType, thingAttribute:
		return s.thing(k)
	case serialNumber:
		if s.Certificate == nil || s.Certificate.SerialNumber == nil {
			return ""
		}
		return s.Certificate.SerialNumber.String() // decimal, as in AWS
	}
	values := certificateValues(s.Certificate, k.kind, k.which)
	if k.list || k.n >= len(values) {
		return ""
	}
	return values[k.n]
}

func (s *scope) thing(k *key) string {
	switch {
	case s.Thing == nil:
		return ""
	case k.kind == thingName:
		return s.Thing.Name
	case k.kind == thingType:
		return s.Thing.Type
	}
	return s.Thing.Attributes[k.field]
}

// values returns everything that a condition on the key looks at. A value that
// is empty counts as absent.
func (s *scope) values(k *key) (values []string) {
	switch {
	case k.kind == connectAttributes && s.connecting:
		if s.Connect.PersistentConnect {
			values = append(values, "PersistentConnect")
		}
		if s.Connect.LastWill {
			values = append(values, "LastWill")
		}
	case k.kind == lastWillTopic && s.connecting && s.Connect.WillTopic != "":
		return []string{s.topics + s.Connect.WillTopic}
	case k.kind == availableKeys:
		return presentKeys(s.Certificate)
	case k.list:
		for _, value := range certificateValues(s.Certificate, k.kind, k.which) {
			if value != "" {
				values = append(values, value)
			}
		}
	default:
		if value := s.lookup(k); value != "" {
			return []string{value}
		}
	}
	return values
}
