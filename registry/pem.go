package registry

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/muster-mqtt/muster"
)

const (
	maxPEM = 65536 // characters, as in AWS's API
	// maxRSABits is where crypto/tls stops verifying: a peer could have a larger
	// key only to make us work.
	maxRSABits = 8192
	// clockSkew is how far the clock of whoever issued a certificate may be off.
	clockSkew = 5 * time.Minute
)

// parsePEM returns the certificate in a text that holds exactly one. Text
// around the block is let pass, for openssl x509 -text writes some; what names
// the certificate in errors.
func parsePEM(what, text string) (*x509.Certificate, error) {
	if n := utf8.RuneCountInString(text); n == 0 || n > maxPEM {
		return nil, fmt.Errorf("%s: a PEM text of %d characters, want 1 to %d: %w", what, n, maxPEM, muster.ErrInvalid)
	}
	if !utf8.ValidString(text) { // could not be kept byte for byte
		return nil, fmt.Errorf("%s: the PEM text is not UTF-8: %w", what, muster.ErrCertificate)
	}
	if problem := blocksProblem(text, "CERTIFICATE"); problem != "" {
		return nil, fmt.Errorf("%s: %s: %w", what, problem, muster.ErrCertificate)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fmt.Errorf("%s: its PEM block is damaged: %w", what, muster.ErrCertificate)
	}
	if block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s: a PEM block of type %q, want CERTIFICATE: %w", what, block.Type, muster.ErrCertificate)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", what, strings.TrimPrefix(err.Error(), "x509: "), muster.ErrCertificate)
	}
	return cert, nil
}

// blocksProblem says why a text does not hold exactly one PEM block, or returns "".
// Where there is none at all, as a rule somebody sent DER, or a file's name.
func blocksProblem(text, want string) string {
	switch n := strings.Count(text, "-----BEGIN "); n {
	case 0:
		return fmt.Sprintf("no PEM block; give the text that begins with -----BEGIN %s-----, not DER and not the name of a file", want)
	case 1:
		return ""
	default:
		return fmt.Sprintf("%d PEM blocks, want one %s alone", n, want)
	}
}

// checkStrength refuses weak keys and signatures, and keys too large to verify.
func checkStrength(what string, c *x509.Certificate) error {
	if weakness := muster.Weakness(c); weakness != "" {
		return fmt.Errorf("%s: %s: %w", what, weakness, muster.ErrCertificate)
	}
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
		return fmt.Errorf("%s: its RSA key has %d bits, more than %d: %w", what, key.N.BitLen(), maxRSABits, muster.ErrCertificate)
	}
	return nil
}

func checkValidity(what string, c *x509.Certificate, now time.Time) error {
	if now.Add(clockSkew).Before(c.NotBefore) {
		return fmt.Errorf("%s: not valid before %s: %w", what, c.NotBefore.Format(time.RFC3339), muster.ErrCertificate)
	}
	if now.Add(-clockSkew).After(c.NotAfter) {
		return fmt.Errorf("%s: expired at %s: %w", what, c.NotAfter.Format(time.RFC3339), muster.ErrCertificate)
	}
	return nil
}

// checkSignature verifies that the key in issuer signed c. Names, validity and
// constraints are not looked at: an authority that an account registered is
// trusted for itself, not through a chain.
func checkSignature(what string, c, issuer *x509.Certificate) error {
	if err := issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		return fmt.Errorf("%s: not signed by %s: %w", what, muster.NameText(issuer.Subject), muster.ErrCertificate)
	}
	return nil
}

// parseAuthority parses a certificate that may sign devices.
func parseAuthority(text string, now time.Time) (*x509.Certificate, error) {
	const what = "authority certificate"
	c, err := parsePEM(what, text)
	if err != nil {
		return nil, err
	}
	if !c.BasicConstraintsValid || !c.IsCA {
		return nil, fmt.Errorf("%s: its basic constraints do not say CA:TRUE, so it is a device's, or was made without the extension: %w", what, muster.ErrCertificate)
	}
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 { // RFC 5280 §4.2.1.3
		return nil, fmt.Errorf("%s: its key usage does not allow it to sign certificates: %w", what, muster.ErrCertificate)
	}
	if _, ok := c.PublicKey.(ed25519.PublicKey); ok { // AWS IoT takes RSA and ECDSA authorities only
		return nil, fmt.Errorf("%s: an Ed25519 key, want RSA or ECDSA: %w", what, muster.ErrCertificate)
	}
	if err := checkStrength(what, c); err != nil {
		return nil, err
	}
	return c, checkValidity(what, c, now)
}

// parseDevice parses the certificate of a device that is registered by hand.
// withoutCA lets it say CA:TRUE, as what openssl req -x509 makes does.
func parseDevice(text string, now time.Time, withoutCA bool) (*x509.Certificate, error) {
	const what = "device certificate"
	c, err := parsePEM(what, text)
	if err != nil {
		return nil, err
	}
	if c.IsCA && !withoutCA {
		return nil, fmt.Errorf("%s: it is an authority's (CA:TRUE): %w", what, muster.ErrCertificate)
	}
	if !muster.ForClients(c) {
		return nil, fmt.Errorf("%s: its extended key usage lacks clientAuth: %w", what, muster.ErrCertificate)
	}
	if err := checkStrength(what, c); err != nil {
		return nil, err
	}
	return c, checkValidity(what, c, now)
}

// checkPossession verifies the certificate by which an account shows that it
// holds the authority's key, and returns the common name, which has to be the
// account's registration code.
func checkPossession(text string, authority *x509.Certificate, now time.Time) (commonName string, err error) {
	const what = "verification certificate"
	c, err := parsePEM(what, text)
	if err != nil {
		return "", err
	}
	if err := checkStrength(what, c); err != nil {
		return "", err
	}
	if err := checkValidity(what, c, now); err != nil {
		return "", err
	}
	return c.Subject.CommonName, checkSignature(what, c, authority)
}

// subjectHash is the key under which authorities of one subject are found.
func subjectHash(rawSubject []byte) string {
	sum := sha256.Sum256(rawSubject)
	return hex.EncodeToString(sum[:])
}
