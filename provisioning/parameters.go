package provisioning

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/muster-mqtt/muster"
)

// maxValue bounds a value that a certificate gives, in bytes: far above what
// X.520 allows an attribute, and what a policy variable may have.
const maxValue = 1024

// Parameters are what a template is rendered with. A value is looked up when
// the template refers to it, so that a template pays for nothing else.
type Parameters struct {
	// Certificate gives the parameters under AWS::IoT::Certificate:: and
	// Muster::Certificate::, and nothing else gives those: whoever may fill
	// Given cannot speak for the certificate. If it is nil, Given stands in.
	Certificate *x509.Certificate
	Given       map[string]string
}

// FromCertificate says whether certificates give a parameter of this name.
func FromCertificate(name string) bool {
	_, known := originOf(name)
	return known
}

// lookup returns the value of a parameter. A problem says that there is one
// that cannot be used.
func (p Parameters) lookup(name string) (value string, found bool, problem string) {
	o, known := originOf(name)
	if !known || p.Certificate == nil {
		value, found = p.Given[name]
		return value, found, ""
	}
	value, found, problem = o.of(p.Certificate)
	if problem == "" && len(value) > maxValue {
		problem = fmt.Sprintf("has %d bytes in the certificate, at most %d may be used", len(value), maxValue)
	}
	if problem == "" && !utf8.ValidString(value) {
		problem = "is not UTF-8 in the certificate"
	}
	return value, found, problem
}

func (o origin) of(cert *x509.Certificate) (value string, found bool, problem string) {
	switch o.part {
	case fingerprint:
		return muster.Fingerprint(cert.Raw), true, ""
	case serialNumber:
		// Two digits a byte, as openssl x509 -serial has it, but in lower case.
		return hex.EncodeToString(serial(cert)), true, ""
	case notBefore:
		return cert.NotBefore.UTC().Format(time.RFC3339), true, ""
	case notAfter:
		return cert.NotAfter.UTC().Format(time.RFC3339), true, ""
	case extension:
		for i := range cert.Extensions {
			if cert.Extensions[i].Id.String() == o.oid {
				value, problem = plainValue(cert.Extensions[i].Value)
				return value, true, problem
			}
		}
		return "", false, ""
	}
	value, found = o.nth(cert)
	return value, found, ""
}

func serial(cert *x509.Certificate) []byte {
	if cert.SerialNumber.Sign() == 0 {
		return []byte{0}
	}
	return cert.SerialNumber.Bytes()
}

// nth returns one of several values.
func (o origin) nth(cert *x509.Certificate) (value string, found bool) {
	switch o.part {
	case subject:
		return o.attribute(cert.Subject)
	case issuer:
		return o.attribute(cert.Issuer)
	case dnsName:
		return at(cert.DNSNames, o.index)
	case email:
		return at(cert.EmailAddresses, o.index)
	case uri:
		return at(cert.URIs, o.index)
	case ipAddress:
		return at(cert.IPAddresses, o.index)
	}
	return "", false
}

func at[T any](values []T, index int) (string, bool) {
	if index >= len(values) {
		return "", false
	}
	return fmt.Sprint(values[index]), true
}

// attribute returns the value of the attribute of a name that stands at the
// index, counted among those of its type.
func (o origin) attribute(name pkix.Name) (value string, found bool) {
	index := o.index
	for _, a := range name.Names {
		s, ok := a.Value.(string)
		if !ok || a.Type.String() != o.oid {
			continue
		}
		if index == 0 {
			return s, true
		}
		index--
	}
	return "", false
}

// plainValue is the text of a DER value: of a string itself, of an INTEGER its
// digits, of a BOOLEAN true or false, of an OBJECT IDENTIFIER the dotted form,
// and of an OCTET STRING its bytes in hex.
func plainValue(der []byte) (value, problem string) {
	var raw asn1.RawValue
	rest, err := asn1.Unmarshal(der, &raw)
	if err != nil || len(rest) > 0 {
		return "", "is no DER value in the certificate"
	}
	const tagVisibleString = 26 // a part of ASCII (ITU-T X.680 §41), which encoding/asn1 does not read
	if raw.Class == asn1.ClassUniversal && raw.Tag == tagVisibleString && !raw.IsCompound {
		return string(raw.Bytes), ""
	}
	if raw.Class == asn1.ClassUniversal && raw.Tag == asn1.TagInteger && len(raw.Bytes) < maxValue/2 {
		n := new(big.Int) // a serial number, say, has more than 64 bits
		if _, err := asn1.Unmarshal(der, &n); err != nil {
			return "", "is no DER value in the certificate"
		}
		return n.String(), ""
	}
	var v any
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		return "", "is no DER value in the certificate"
	}
	switch v := v.(type) {
	case string:
		return v, ""
	case bool:
		return strconv.FormatBool(v), ""
	case asn1.ObjectIdentifier:
		return v.String(), ""
	case []byte:
		return hex.EncodeToString(v), ""
	}
	return "", fmt.Sprintf("is neither a string nor a number in the certificate, but of the ASN.1 class %d and tag %d", raw.Class, raw.Tag)
}

// missing is the fault of a parameter without a value, where it is wanted.
func (e *env) missing(at *place, name string) *fault {
	o, known := originOf(name)
	claimed := e.params.Certificate != nil && e.params.Given != nil // a device with a claim may give some
	if e.template.sourced || claimed && !known {
		return at.fault("give it one, or add a Default", "parameter %s has no value", shown(name))
	}
	if !known {
		return at.fault("add a Default", "parameter %s has no value: a first connect brings only those of the certificate (%s…, %s…)",
			shown(name), awsPrefix, musterPrefix)
	}
	return at.fault("add a Default or put it in the certificate", "parameter %s has no value: the certificate has no %s", name, o.describe(name))
}

// describe says what a certificate lacks that has no value for a name.
func (o origin) describe(name string) string {
	word := strings.TrimPrefix(strings.TrimPrefix(name, awsPrefix), musterPrefix)
	switch o.part {
	case subject:
		return strings.TrimPrefix(word, "Subject.") + " in its subject"
	case issuer:
		return strings.TrimPrefix(word, "Issuer.") + " in its issuer"
	case extension:
		return "extension " + o.oid
	}
	return word + " among the alternative names of its subject"
}
