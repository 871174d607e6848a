package provisioning

import (
	"crypto/x509"
	"strings"

	"github.com/muster-mqtt/muster"
)

const (
	certificatePrefix = "AWS::IoT::Certificate::"
	certificateID     = certificatePrefix + "Id"
)

// subjectParameters are the parameters that a certificate's subject gives and
// their attribute types (X.520). SerialNumber is the attribute of the subject,
// not the serial number of the certificate.
var subjectParameters = map[string]string{
	certificatePrefix + "CommonName":                 "2.5.4.3",
	certificatePrefix + "Country":                    "2.5.4.6",
	certificatePrefix + "DistinguishedNameQualifier": "2.5.4.46",
	certificatePrefix + "Organization":               "2.5.4.10",
	certificatePrefix + "OrganizationalUnit":         "2.5.4.11",
	certificatePrefix + "SerialNumber":               "2.5.4.5",
	certificatePrefix + "StateName":                  "2.5.4.8",
}

// Parameters returns what a certificate gives a template at a first connect:
// AWS::IoT::Certificate::Id, its Fingerprint, and of its subject CommonName,
// Country, DistinguishedNameQualifier, Organization, OrganizationalUnit,
// SerialNumber and StateName under the same prefix. Of a repeated attribute it
// takes the first; an absent one is absent from the map.
func Parameters(cert *x509.Certificate) map[string]string {
	params := map[string]string{certificateID: muster.Fingerprint(cert.Raw)}
	for name, oid := range subjectParameters {
		for _, attribute := range cert.Subject.Names {
			if s, ok := attribute.Value.(string); ok && attribute.Type.String() == oid {
				params[name] = s
				break
			}
		}
	}
	return params
}

// fromCertificate reports whether name is a parameter of a certificate.
func fromCertificate(name string) bool {
	_, subject := subjectParameters[name]
	return subject || name == certificateID
}

// missing is the fault of a parameter without a value, where it is wanted.
func missing(at *place, name string) error {
	if _, subject := subjectParameters[name]; subject {
		return at.faultf("parameter %s has no value: the certificate has no %s in its subject; add a Default or put it in the certificate",
			name, strings.TrimPrefix(name, certificatePrefix))
	}
	return at.faultf("parameter %s has no value: a first connect brings only those of the certificate (%s…); add a Default",
		shown(name), certificatePrefix)
}
