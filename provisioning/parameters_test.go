package provisioning_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/provisioning"
)

// full has something for every parameter. The X.509 serial number and the
// attribute of the subject must not be taken for one another.
func full(t testing.TB) *x509.Certificate {
	t.Helper()
	attribute := func(value string, oid ...int) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier(oid), Value: value}
	}
	extension := func(last int, der ...byte) pkix.Extension {
		return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, last}, Value: der}
	}
	return selfSigned(t, &x509.Certificate{
		SerialNumber: big.NewInt(0xa1b2c),
		NotBefore:    time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)),
		NotAfter:     time.Date(2036, 1, 2, 3, 4, 5, 0, time.UTC),
		Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			attribute("DE", 2, 5, 4, 6), attribute("Acme", 2, 5, 4, 10), attribute("Lamps", 2, 5, 4, 11),
			attribute("Desk lamps", 2, 5, 4, 11), attribute("q", 2, 5, 4, 46), attribute("Bavaria", 2, 5, 4, 8),
			attribute("lamp-0007", 2, 5, 4, 3), attribute("SN7", 2, 5, 4, 5), attribute("Munich", 2, 5, 4, 7),
			attribute("Weg 1", 2, 5, 4, 9), attribute("80331", 2, 5, 4, 17), attribute("Dr.", 2, 5, 4, 12),
			attribute("Doe", 2, 5, 4, 4), attribute("Jo", 2, 5, 4, 42), attribute("J.", 2, 5, 4, 43),
			attribute("Jr.", 2, 5, 4, 44), attribute("jd", 2, 5, 4, 65), attribute("u7", 0, 9, 2342, 19200300, 100, 1, 1),
			attribute("com", 0, 9, 2342, 19200300, 100, 1, 25), attribute("jo@acme.example", 1, 2, 840, 113549, 1, 9, 1),
			attribute("VATDE-7", 2, 5, 4, 97), attribute(strings.Repeat("x", 1025), 2, 5, 4, 13), attribute("", 2, 5, 4, 15),
		}},
		DNSNames:       []string{"lamp.example", "lamp2.example"},
		EmailAddresses: []string{"lamp@acme.example"},
		IPAddresses:    []net.IP{net.IPv4(192, 0, 2, 7).To4(), net.ParseIP("2001:db8::7")},
		URIs:           []*url.URL{{Scheme: "urn", Opaque: "lamp:7"}},
		ExtraExtensions: []pkix.Extension{
			extension(1, 0x0c, 2, 0xc3, 0xa9), extension(2, 0x13, 1, 'p'), extension(3, 0x16, 1, 'i'),
			extension(4, 0x1a, 1, 'v'), extension(5, 2, 1, 0x80), extension(6, 1, 1, 0xff),
			extension(7, 6, 3, 0x2a, 3, 4), extension(8, 4, 2, 0xab, 0xcd), extension(9, 0x30, 0),
			extension(10, 0x0c, 1, 0xff), extension(11, 0x0c, 9, 'x'), extension(12, 0x0c, 1, 'x', 0), extension(13),
			extension(14, 0x1e, 2, 0x00, 'b'), extension(15, 0x1a, 1, 0xff), extension(16, 0x05, 0),
			extension(18, 0x3a, 3, 0x1a, 1, 'v'),
			extension(19, 2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0), extension(20, 2, 2, 0, 1),
		},
	})
}

// TestParametersOfCertificate looks the parameters of parameters.txt up, which
// explains its own form.
func TestParametersOfCertificate(t *testing.T) {
	cert := full(t)
	form := regexp.MustCompile(`^(\S+) +([=!]) ?(.*)$`)
	for line := range strings.Lines(string(read(t, templates+"/parameters.txt"))) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		m := form.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%q is no case", line)
		}
		name, want := m[1], strings.ReplaceAll(m[3], "%ID%", muster.Fingerprint(cert.Raw))
		t.Run(name, func(t *testing.T) {
			got, err := valueOf(t, name, provisioning.Parameters{Certificate: cert, Given: map[string]string{name: "given"}})
			switch {
			case m[2] == "!":
				wantError(t, err, want)
			case err != nil:
				t.Error(err)
			case got != want:
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// valueOf renders a reference where any text may stand.
func valueOf(t *testing.T, name string, params provisioning.Parameters) (string, error) {
	t.Helper()
	template, err := provisioning.Parse([]byte(expand(`{"DeviceConfiguration": {"v": {"Ref": "` + name + `"}}, "Resources": {%CERT%}}`)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := template.Render(params)
	return r.DeviceConfiguration["v"], err
}

// TestGiven holds that only a certificate speaks for the certificate.
func TestGiven(t *testing.T) {
	const country = "AWS::IoT::Certificate::Country"
	bare := selfSigned(t, &x509.Certificate{SerialNumber: big.NewInt(0x7f)})
	given := map[string]string{country: "XX"}
	if got, err := valueOf(t, country, provisioning.Parameters{Given: given}); got != "XX" || err != nil {
		t.Errorf("without a certificate: %q, %v", got, err)
	}
	_, err := valueOf(t, country, provisioning.Parameters{Certificate: bare, Given: given})
	wantError(t, err, "the certificate has no Country in its subject")
}

// BenchmarkRender is what a template costs each first connect.
func BenchmarkRender(b *testing.B) {
	template, err := provisioning.Parse(read(b, templates+"/thing-by-common-name.json"))
	if err != nil {
		b.Fatal(err)
	}
	params := provisioning.Parameters{Certificate: full(b)}
	for b.Loop() {
		if _, err := template.Render(params); err != nil {
			b.Fatal(err)
		}
	}
}

// TestMissing: who could have given a value is told so.
func TestMissing(t *testing.T) {
	template, err := provisioning.Parse([]byte(`{"Parameters": {"Serial": {"Type": "String"}}, "Resources": {
		"c": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	cert := full(t)
	for want, params := range map[string]provisioning.Parameters{
		"a first connect brings only those of the certificate":         {Certificate: cert},
		"parameter Serial has no value; give it one, or add a Default": {Certificate: cert, Given: map[string]string{}},
	} {
		_, err := template.Render(params)
		wantError(t, err, want)
	}
}

func selfSigned(t testing.TB, draft *x509.Certificate) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
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
