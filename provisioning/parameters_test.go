package provisioning_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"maps"
	"math/big"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/provisioning"
)

func TestParameters(t *testing.T) {
	attribute := func(value string, oid ...int) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier(oid), Value: value}
	}
	tests := []struct {
		name    string
		subject []pkix.AttributeTypeAndValue
		want    map[string]string // without the prefix and Id
	}{
		{"empty subject", nil, nil},
		{"every attribute", []pkix.AttributeTypeAndValue{
			attribute("DE", 2, 5, 4, 6),
			attribute("Acme", 2, 5, 4, 10),
			attribute("Lamps", 2, 5, 4, 11),
			attribute("q", 2, 5, 4, 46),
			attribute("Bavaria", 2, 5, 4, 8),
			attribute("lamp-0007", 2, 5, 4, 3),
			attribute("SN7", 2, 5, 4, 5),
		}, map[string]string{
			"Country": "DE", "Organization": "Acme", "OrganizationalUnit": "Lamps", "DistinguishedNameQualifier": "q",
			"StateName": "Bavaria", "CommonName": "lamp-0007", "SerialNumber": "SN7",
		}},
		{"the first of several", []pkix.AttributeTypeAndValue{
			attribute("first", 2, 5, 4, 11),
			attribute("second", 2, 5, 4, 11),
		}, map[string]string{"OrganizationalUnit": "first"}},
		{"an empty value is a value", []pkix.AttributeTypeAndValue{
			attribute("", 2, 5, 4, 3),
		}, map[string]string{"CommonName": ""}},
		{"locality and surname give nothing", []pkix.AttributeTypeAndValue{
			attribute("Munich", 2, 5, 4, 7),
			attribute("Doe", 2, 5, 4, 4),
		}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cert := selfSigned(t, pkix.Name{ExtraNames: test.subject})
			want := map[string]string{"AWS::IoT::Certificate::Id": muster.Fingerprint(cert.Raw)}
			for name, value := range test.want {
				want["AWS::IoT::Certificate::"+name] = value
			}
			if got := provisioning.Parameters(cert); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// selfSigned makes a certificate whose X.509 serial number and alternative name
// must not be taken for parts of its subject.
func selfSigned(t testing.TB, subject pkix.Name) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	draft := &x509.Certificate{SerialNumber: big.NewInt(99), Subject: subject, DNSNames: []string{"device.example"}}
	der, err := x509.CreateCertificate(rand.Reader, draft, draft, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
