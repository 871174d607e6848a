package policy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// certificate is what a table says of a certificate.
type certificate struct {
	subject, issuer       []pkix.AttributeTypeAndValue
	subjectAlt, issuerAlt []asn1.RawValue
	serial                *big.Int
}

var signingKey = sync.OnceValues(func() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
})

// attributeTypes are the last numbers of 2.5.4.x.
var attributeTypes = map[string]int{
	"CommonName": 3, "Surname": 4, "SerialNumber": 5, "Country": 6, "Locality": 7, "State": 8, "Organization": 10,
	"OrganizationalUnit": 11, "Title": 12, "GivenName": 42, "Initials": 43, "GenerationQualifier": 44,
	"DistinguishedNameQualifier": 46, "Pseudonym": 65,
}

var alternativeTags = map[string]int{
	"RFC822Name": 1, "DNSName": 2, "DirectoryName": 4, "UniformResourceIdentifier": 6, "IPAddress": 7,
}

// set reads a line about the certificate.
func (c *certificate) set(word, name, value string) error {
	switch word {
	case "serial":
		c.serial = new(big.Int)
		if _, ok := c.serial.SetString(name, 10); !ok {
			return fmt.Errorf("serial %q", name)
		}
		return nil
	case "subject", "issuer":
		number, ok := attributeTypes[name]
		if !ok {
			return fmt.Errorf("unknown attribute %q", name)
		}
		a := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, number}, Value: value}
		if word == "subject" {
			c.subject = append(c.subject, a)
		} else {
			c.issuer = append(c.issuer, a)
		}
		return nil
	case "subjectalt", "issueralt":
		n, err := generalName(name, value)
		if word == "subjectalt" {
			c.subjectAlt = append(c.subjectAlt, n)
		} else {
			c.issuerAlt = append(c.issuerAlt, n)
		}
		return err
	}
	return fmt.Errorf("unknown word %q", word)
}

func generalName(kind, value string) (asn1.RawValue, error) {
	n := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: alternativeTags[kind], Bytes: []byte(value)}
	switch kind {
	case "IPAddress":
		ip, err := netip.ParseAddr(value)
		n.Bytes = ip.AsSlice()
		return n, err
	case "DirectoryName":
		var name pkix.RDNSequence
		for part := range strings.SplitSeq(value, "/") {
			kind, text, _ := strings.Cut(part, "=")
			number := map[string]int{"CN": 3, "C": 6, "O": 10, "OU": 11}[kind]
			name = append(name, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 5, 4, number}, Value: text}})
		}
		der, err := asn1.Marshal(name)
		n.IsCompound, n.Bytes = true, der
		return n, err
	case "":
		return n, fmt.Errorf("unknown kind of name")
	}
	return n, nil
}

// make returns the certificate as it is read from its DER; nil if the table
// says nothing of one.
func (c *certificate) make(t testing.TB) *x509.Certificate {
	t.Helper()
	if c.subject == nil && c.issuer == nil && c.subjectAlt == nil && c.issuerAlt == nil && c.serial == nil {
		return nil
	}
	key, err := signingKey()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{ExtraNames: c.subject}, NotAfter: time.Unix(1<<31, 0),
	}
	if c.serial != nil {
		template.SerialNumber = c.serial
	}
	for number, names := range map[int][]asn1.RawValue{17: c.subjectAlt, 18: c.issuerAlt} {
		if names == nil {
			continue
		}
		der, err := asn1.Marshal(names)
		if err != nil {
			t.Fatal(err)
		}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, number}, Value: der})
	}
	parent := &x509.Certificate{Subject: pkix.Name{ExtraNames: c.issuer}}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
