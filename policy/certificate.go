package policy

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"strings"
)

// maxValues is how many values of one attribute of a certificate count, as in
// AWS.
const maxValues = 5

type numbered struct {
	name   string
	number int
}

// attributeNames are the names that AWS gives to attribute types of X.520, by
// the last number of 2.5.4.x. It has none for others, such as the locality.
var attributeNames = []numbered{
	{"CommonName", 3}, {"Surname", 4}, {"SerialNumber", 5}, {"Country", 6}, {"State", 8}, {"Organization", 10},
	{"OrganizationalUnit", 11}, {"Title", 12}, {"GivenName", 42}, {"Initials", 43}, {"GenerationQualifier", 44},
	{"DistinguishedNameQualifier", 46}, {"Pseudonym", 65},
}

// The tags of a GeneralName (RFC 5280 §4.2.1.6).
const (
	tagRFC822Name    = 1
	tagDNSName       = 2
	tagDirectoryName = 4
	tagURI           = 6
	tagIPAddress     = 7
)

var alternativeNames = []numbered{
	{"RFC822Name", tagRFC822Name}, {"DNSName", tagDNSName}, {"DirectoryName", tagDirectoryName},
	{"UniformResourceIdentifier", tagURI}, {"IPAddress", tagIPAddress},
}

// The extensions that hold alternative names, by the last number of 2.5.29.x.
const (
	subjectAltName = 17
	issuerAltName  = 18
)

// certificateValues returns the values of a key in their order in the
// certificate. One that is no string is "", and keeps its place.
func certificateValues(cert *x509.Certificate, kind keyKind, which int) []string {
	if cert == nil {
		return nil
	}
	switch kind {
	case subjectName:
		return nameValues(&cert.Subject, which)
	case issuerName:
		return nameValues(&cert.Issuer, which)
	case subjectAlternative:
		return generalNames(cert, subjectAltName, which)
	case issuerAlternative:
		return generalNames(cert, issuerAltName, which)
	}
	return nil
}

func nameValues(name *pkix.Name, number int) (values []string) {
	for _, a := range name.Names {
		if len(a.Type) == 4 && a.Type[0] == 2 && a.Type[1] == 5 && a.Type[2] == 4 && a.Type[3] == number && len(values) < maxValues {
			text, _ := a.Value.(string)
			values = append(values, text)
		}
	}
	return values
}

// generalNames reads an extension of alternative names. One that is malformed
// has none.
func generalNames(cert *x509.Certificate, extension, tag int) (values []string) {
	for _, e := range cert.Extensions {
		if !e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, extension}) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &names); err != nil || len(rest) > 0 {
			return nil
		}
		for _, n := range names {
			if n.Class == asn1.ClassContextSpecific && n.Tag == tag && len(values) < maxValues {
				values = append(values, generalName(n))
			}
		}
		return values
	}
	return nil
}

func generalName(n asn1.RawValue) string {
	switch n.Tag {
	case tagIPAddress:
		if ip, ok := netip.AddrFromSlice(n.Bytes); ok {
			return ip.String()
		}
		return ""
	case tagDirectoryName:
		return directoryName(n.Bytes)
	}
	return string(n.Bytes)
}

// directoryName writes a name as AWS does: by RFC 4514, with the types in lower
// case: cn=pump,ou=hall,o=works,c=DE.
func directoryName(der []byte) string {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return ""
	}
	var parts []string
	for i := len(name) - 1; i >= 0; i-- {
		kind, value, _ := strings.Cut(pkix.RDNSequence{name[i]}.String(), "=")
		parts = append(parts, strings.ToLower(kind)+"="+value)
	}
	return strings.Join(parts, ",")
}

// presentKeys returns the names of all keys that have a value in a certificate.
func presentKeys(cert *x509.Certificate) (keys []string) {
	if cert == nil {
		return nil
	}
	for _, family := range []struct {
		prefix string
		kind   keyKind
		names  []numbered
	}{
		{"iot:Certificate.Subject.", subjectName, attributeNames},
		{"iot:Certificate.Issuer.", issuerName, attributeNames},
		{"iot:Certificate.Subject.AlternativeName.", subjectAlternative, alternativeNames},
		{"iot:Certificate.Issuer.AlternativeName.", issuerAlternative, alternativeNames},
	} {
		for _, n := range family.names {
			if strings.Join(certificateValues(cert, family.kind, n.number), "") != "" {
				keys = append(keys, family.prefix+n.name)
			}
		}
	}
	if cert.SerialNumber != nil {
		keys = append(keys, "iot:Certificate.SerialNumber")
	}
	return keys
}
