package registry

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/muster-mqtt/muster"
)

// maxRequest bounds a certificate signing request, in characters, as AWS's model.
const maxRequest = 4096

// applicant is whom a certificate is issued to.
type applicant struct {
	key        crypto.PublicKey
	subject    pkix.Name
	rawSubject []byte // instead of subject; nil for none
}

// parseRequest returns who asks for a certificate by a PKCS #10 request. Its
// signature shows that they hold the key. Extensions that it asks for do not
// count: what a certificate may be used for is not the device's to say.
func parseRequest(text string) (applicant, error) {
	const what = "certificate signing request"
	fail := func(format string, args ...any) (applicant, error) {
		return applicant{}, fmt.Errorf("%s: "+format+": %w", append(append([]any{what}, args...), muster.ErrInvalid)...)
	}
	if n := utf8.RuneCountInString(text); n == 0 || n > maxRequest {
		return fail("%d characters, want 1 to %d", n, maxRequest)
	}
	if problem := blocksProblem(text, "CERTIFICATE REQUEST"); problem != "" {
		return fail("%s", problem)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return fail("its PEM block is damaged")
	}
	if block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" { // RFC 7468 §7
		return fail("a PEM block of type %q, want CERTIFICATE REQUEST", block.Type)
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return fail("%s", strings.TrimPrefix(err.Error(), "x509: "))
	}
	// The strength comes first: a key could be so large that its signature takes
	// long to verify.
	like := &x509.Certificate{
		PublicKey: request.PublicKey, PublicKeyAlgorithm: request.PublicKeyAlgorithm, SignatureAlgorithm: request.SignatureAlgorithm,
	}
	if weakness := muster.Weakness(like); weakness != "" {
		return fail("%s", weakness)
	}
	if key, ok := request.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
		return fail("its RSA key has %d bits, more than %d", key.N.BitLen(), maxRSABits)
	}
	if err := request.CheckSignature(); err != nil {
		return fail("its signature is not that of the key in it")
	}
	return applicant{key: request.PublicKey, rawSubject: request.RawSubject}, nil
}
