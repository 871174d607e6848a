package policy

import (
	"crypto/x509"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/muster-mqtt/muster"
)

// Limits of AWS on the values of variables.
const (
	maxValueLength    = 1024 // characters
	maxSubjectValues  = 5    // of one attribute of a certificate
	unsubstitutable   = "*$+?#"
	subjectVariables  = "iot:Certificate.Subject."
	thingVariables    = "iot:Connection.Thing."
	certificatePrefix = "iot:Certificate."
)

// Variables are what is known of one session. A value that is empty, longer
// than 1,024 characters, not UTF-8, or holds one of "* $ + ? #" is not put into
// a pattern: the variable then has no value. So a device cannot widen a pattern
// by its choice of a name.
type Variables struct {
	ClientID      string // ${iot:ClientId}
	CertificateID string // ${iot:CertificateId}, 64 hex digits
	SourceIP      string // ${aws:SourceIp}, without port
	// Thing fills ${iot:Connection.Thing.…}. It is nil unless the certificate
	// is attached to it and its name is the client ID (muster.Principal looks
	// it up so); then IsAttached is "false" and the others have no value.
	Thing *muster.Thing
	// Subject fills ${iot:Certificate.Subject.…}; see [SubjectVariables].
	Subject map[string][]string
}

// value returns the value of a variable, if it has one that may be put into a
// pattern.
func (v *Variables) value(name string) (string, bool) {
	value := v.lookup(name)
	ok := value != "" &&
		!strings.ContainsAny(value, unsubstitutable) &&
		utf8.ValidString(value) && // for the sake of glob, whose wildcards are invalid bytes
		utf8.RuneCountInString(value) <= maxValueLength
	return value, ok
}

func (v *Variables) lookup(name string) string {
	switch name {
	case "iot:ClientId":
		return v.ClientID
	case "iot:CertificateId":
		return v.CertificateID
	case "aws:SourceIp":
		return v.SourceIP
	}
	if field, ok := strings.CutPrefix(name, thingVariables); ok {
		return v.thing(field)
	}
	if attribute, ok := strings.CutPrefix(name, subjectVariables); ok {
		return v.subject(attribute)
	}
	return ""
}

func (v *Variables) thing(field string) string {
	if field == "IsAttached" {
		return strconv.FormatBool(v.Thing != nil)
	}
	if v.Thing == nil {
		return ""
	}
	switch field {
	case "ThingName":
		return v.Thing.Name
	case "ThingTypeName":
		return v.Thing.Type
	}
	if key, ok := strings.CutPrefix(field, "Attributes["); ok {
		return v.Thing.Attributes[strings.TrimSuffix(key, "]")]
	}
	return ""
}

// subject takes CommonName for the first value and CommonName.1 for the second.
func (v *Variables) subject(attribute string) string {
	attribute, suffix, _ := strings.Cut(attribute, ".")
	n := 0
	if suffix != "" {
		var err error
		if n, err = strconv.Atoi(suffix); err != nil {
			return ""
		}
	}
	values := v.Subject[attribute]
	if n < 0 || n >= min(len(values), maxSubjectValues) {
		return ""
	}
	return values[n]
}

// notSupplied reports whether AWS would fill a variable from the certificate
// that this package leaves without a value.
func notSupplied(name string) bool {
	return strings.HasPrefix(name, certificatePrefix) && !strings.HasPrefix(name, subjectVariables)
}

// SubjectVariables returns the attributes of the certificate's subject by the
// names of AWS, such as "CommonName", each with up to five values in the order
// of the certificate.
func SubjectVariables(cert *x509.Certificate) map[string][]string {
	values := make(map[string][]string)
	for _, attribute := range cert.Subject.Names {
		name := subjectName(attribute.Type)
		if name == "" || len(values[name]) == maxSubjectValues {
			continue
		}
		// Anything but a string has no value here, but keeps its place.
		text, _ := attribute.Value.(string)
		values[name] = append(values[name], text)
	}
	return values
}

// subjectName returns the name that AWS gives to an attribute type of X.520,
// "" for those that it does not offer, such as the locality.
func subjectName(oid []int) string {
	if len(oid) != 4 || oid[0] != 2 || oid[1] != 5 || oid[2] != 4 {
		return ""
	}
	switch oid[3] {
	case 3:
		return "CommonName"
	case 4:
		return "Surname"
	case 5:
		return "SerialNumber"
	case 6:
		return "Country"
	case 8:
		return "State"
	case 10:
		return "Organization"
	case 11:
		return "OrganizationalUnit"
	case 12:
		return "Title"
	case 42:
		return "GivenName"
	case 43:
		return "Initials"
	case 44:
		return "GenerationQualifier"
	case 46:
		return "DistinguishedNameQualifier"
	case 65:
		return "Pseudonym"
	}
	return ""
}
