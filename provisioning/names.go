package provisioning

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The prefixes of parameters that a certificate gives. What stands under the
// second, AWS IoT does not have.
const (
	awsPrefix     = "AWS::IoT::Certificate::"
	musterPrefix  = "Muster::Certificate::"
	certificateID = awsPrefix + "Id"
)

// part is what of a certificate a parameter names.
type part int

const (
	noPart part = iota
	fingerprint
	serialNumber // of the certificate
	notBefore
	notAfter
	subject
	issuer
	dnsName
	email
	uri
	ipAddress
	extension
)

// origin is where in a certificate the value of a parameter stands.
type origin struct {
	part  part
	oid   string // of an attribute of a subject or issuer, or of an extension, dotted
	index int    // which of several values, from 0
}

// single are the parts that have one value.
var single = map[string]part{"SerialNumber": serialNumber, "NotBefore": notBefore, "NotAfter": notAfter}

// several are the parts that may have several: alternative names of the subject
// (RFC 5280 §4.2.1.6).
var several = map[string]part{"DNSName": dnsName, "Email": email, "URI": uri, "IPAddress": ipAddress}

// distinguished are the parts that have attributes.
var distinguished = map[string]part{"Subject.": subject, "Issuer.": issuer}

// attributes are those of distinguished names (X.520, RFC 4519, PKCS #9).
// SerialNumber is the attribute, not the serial number of the certificate.
var attributes = map[string]string{
	"CommonName":                 "2.5.4.3",
	"Country":                    "2.5.4.6",
	"DistinguishedNameQualifier": "2.5.4.46",
	"DomainComponent":            "0.9.2342.19200300.100.1.25",
	"EmailAddress":               "1.2.840.113549.1.9.1",
	"GenerationQualifier":        "2.5.4.44",
	"GivenName":                  "2.5.4.42",
	"Initials":                   "2.5.4.43",
	"Locality":                   "2.5.4.7",
	"Organization":               "2.5.4.10",
	"OrganizationalUnit":         "2.5.4.11",
	"PostalCode":                 "2.5.4.17",
	"Pseudonym":                  "2.5.4.65",
	"SerialNumber":               "2.5.4.5",
	"StateName":                  "2.5.4.8",
	"StreetAddress":              "2.5.4.9",
	"Surname":                    "2.5.4.4",
	"Title":                      "2.5.4.12",
	"UserID":                     "0.9.2342.19200300.100.1.1",
}

// awsAttributes are those of the subject that AWS IoT offers.
var awsAttributes = []string{
	"CommonName", "Country", "DistinguishedNameQualifier", "Organization", "OrganizationalUnit", "SerialNumber", "StateName",
}

var (
	dotted   = regexp.MustCompile(`^[0-2](\.(0|[1-9][0-9]{0,17})){1,31}$`)
	numbered = regexp.MustCompile(`^(.+)\.([1-9][0-9]?)$`)
)

// ofCertificate says whether a name has a prefix of those that certificates give.
func ofCertificate(name string) bool {
	return strings.HasPrefix(name, awsPrefix) || strings.HasPrefix(name, musterPrefix)
}

// originOf says where in a certificate the value of a parameter stands; ok is
// false if no certificate gives a parameter of this name.
func originOf(name string) (o origin, ok bool) {
	if word, ok := strings.CutPrefix(name, awsPrefix); ok {
		if name == certificateID {
			return origin{part: fingerprint}, true
		}
		return origin{part: subject, oid: attributes[word]}, slices.Contains(awsAttributes, word)
	}
	word, ok := strings.CutPrefix(name, musterPrefix)
	if !ok {
		return origin{}, false
	}
	if p, ok := single[word]; ok {
		return origin{part: p}, true
	}
	if oid, ok := strings.CutPrefix(word, "Extension."); ok {
		return origin{part: extension, oid: oid}, dotted.MatchString(oid)
	}
	for prefix, p := range distinguished {
		if oid, ok := strings.CutPrefix(word, prefix); ok && dotted.MatchString(oid) {
			return origin{part: p, oid: oid}, true
		}
	}
	index := 0
	if m := numbered.FindStringSubmatch(word); m != nil {
		word = m[1]
		index, _ = strconv.Atoi(m[2])
	}
	if p, ok := several[word]; ok {
		return origin{part: p, index: index}, true
	}
	for prefix, p := range distinguished {
		if attribute, ok := strings.CutPrefix(word, prefix); ok {
			oid, known := attributes[attribute]
			return origin{part: p, oid: oid, index: index}, known
		}
	}
	return origin{}, false
}

// certificateNames are the names of the parameters that a certificate gives, as
// far as they can be listed.
func certificateNames() []string {
	names := []string{certificateID}
	for _, word := range awsAttributes {
		names = append(names, awsPrefix+word)
	}
	for _, words := range []map[string]part{single, several} {
		for _, word := range slices.Sorted(maps.Keys(words)) {
			names = append(names, musterPrefix+word)
		}
	}
	for _, prefix := range slices.Sorted(maps.Keys(distinguished)) {
		for _, word := range slices.Sorted(maps.Keys(attributes)) {
			names = append(names, musterPrefix+prefix+word)
		}
	}
	return names
}

// noParameter is the fault of a name that is no parameter's.
func (p *parser) noParameter(at *place, name string) *fault {
	mend := "declare it in Parameters, or use one of the certificate (" + awsPrefix + "…, " + musterPrefix + "…)"
	if word, ok := strings.CutPrefix(name, awsPrefix); ok {
		for _, prefix := range []string{"", "Subject."} {
			if FromCertificate(musterPrefix + prefix + word) {
				return at.fault("write "+musterPrefix+prefix+word, "AWS IoT has no parameter %s", shown(name))
			}
		}
	}
	if strings.HasPrefix(name, "iot:") || strings.HasPrefix(name, "aws:") {
		mend = "write ${!" + name + "} to keep the policy variable"
	}
	known := certificateNames()
	for _, declared := range p.template.parameters {
		known = append(known, declared.name)
	}
	if near := p.nearest(name, known); near != "" && near != name {
		mend = "did you mean " + shown(near) + "?"
	}
	if strings.HasPrefix(name, musterPrefix+"Extension.") {
		mend = "write the dotted identifier of an extension, as in " + musterPrefix + "Extension.1.3.6.1.4.1.311.21.7"
	}
	if ofCertificate(name) {
		return at.fault(mend, "no certificate gives a parameter %s", shown(name))
	}
	return at.fault(mend, "no parameter is called %s", excerpt(name))
}
