package registry_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

// csr is a request for a key; nil has one made.
func csr(tb testing.TB, key crypto.Signer, template x509.CertificateRequest) string {
	tb.Helper()
	if key == nil {
		key = newKey(tb, elliptic.P256())
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		tb.Fatal(err)
	}
	return requestPEM(der)
}

func requestPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func newKey(tb testing.TB, curve elliptic.Curve) crypto.Signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func newRSA(tb testing.TB, bits int) crypto.Signer {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// issue makes a certificate by a request.
func (f *fixture) issue(name string, status muster.Status) muster.Certificate {
	f.Helper()
	request := csr(f, nil, x509.CertificateRequest{Subject: pkix.Name{CommonName: name}})
	return must(f.IssueCertificate(f.Context(), muster.Issuance{Account: account, CSR: request, Status: status}))(f).Certificate
}

// roots returns the certificates of the issuing authorities that are stored.
func (f *fixture) roots() []*x509.Certificate {
	f.Helper()
	var all []*x509.Certificate
	f.ok(f.engine.View(f.Context(), func(r registry.Reader) error {
		all = nil
		docs, _, err := r.List(registry.KindIssuing, registry.Query{})
		for _, d := range docs {
			var stored struct{ PEM string }
			if err := json.Unmarshal(d.JSON, &stored); err != nil {
				return err
			}
			all = append(all, f.parse(stored.PEM))
		}
		return err
	}))
	return all
}

func (f *fixture) parse(text string) *x509.Certificate {
	f.Helper()
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
		f.Fatalf("no certificate: %s", text)
	}
	return must(x509.ParseCertificate(block.Bytes))(f)
}

// signedBy demands that TLS peers who trust the root take a certificate for a client's.
func (f *fixture) signedBy(root *x509.Certificate, c muster.Certificate) *x509.Certificate {
	f.Helper()
	cert := f.parse(c.PEM)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		f.Errorf("%s: %v", cert.Subject, err)
	}
	if c.ID != muster.Fingerprint(cert.Raw) || !c.NotAfter.Equal(cert.NotAfter) || !c.NotBefore.Equal(cert.NotBefore) {
		f.Errorf("the record %+v is not of the certificate", c)
	}
	return cert
}

func TestIssueByRequest(t *testing.T) {
	f := newFixture(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	f.ok(err)
	for name, key := range map[string]crypto.Signer{
		"RSA": newRSA(t, 2048), "P-256": newKey(t, elliptic.P256()), "P-384": newKey(t, elliptic.P384()),
		"P-521": newKey(t, elliptic.P521()), "Ed25519": ed,
	} {
		request := x509.CertificateRequest{
			Subject:         pkix.Name{CommonName: name, Organization: []string{"Factory"}, SerialNumber: "7"},
			DNSNames:        []string{"broker.example.com"},
			ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}}, // CA:TRUE
		}
		made, err := f.IssueCertificate(t.Context(), muster.Issuance{Account: account, CSR: csr(t, key, request), Status: muster.Active})
		f.ok(err)
		f.step()
		if made.PublicKey != "" || made.PrivateKey != "" {
			t.Errorf("%s: a key pair came with it", name)
		}
		stored := must(f.Certificate(t.Context(), account, made.ID))(f)
		if stored.Status != muster.Active || stored.Mode != muster.ModeDefault || stored.AuthorityID != "" || stored.PEM != made.PEM {
			t.Errorf("%s: %+v", name, stored)
		}
		cert := f.signedBy(f.roots()[0], stored)
		if cert.IsCA || len(cert.DNSNames) > 0 || cert.Subject.CommonName != name || cert.Subject.SerialNumber != "7" {
			t.Errorf("%s: CA %v, names %q, subject %s", name, cert.IsCA, cert.DNSNames, cert.Subject)
		}
		wantUsage := x509.KeyUsageDigitalSignature
		if name == "RSA" {
			wantUsage |= x509.KeyUsageKeyEncipherment
		}
		if cert.KeyUsage != wantUsage || !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) {
			t.Errorf("%s: usages %v, %v", name, cert.KeyUsage, cert.ExtKeyUsage)
		}
		if end := time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC); !cert.NotAfter.Equal(end) || cert.SerialNumber.BitLen() < 100 {
			t.Errorf("%s: ends at %v, serial number %x", name, cert.NotAfter, cert.SerialNumber)
		}
	}
}

// Two certificates come of one request, as in AWS IoT.
func TestIssueTwice(t *testing.T) {
	f := newFixture(t)
	request := muster.Issuance{Account: account, CSR: csr(t, nil, x509.CertificateRequest{}), Status: muster.Inactive}
	one := must(f.IssueCertificate(t.Context(), request))(f)
	two := must(f.IssueCertificate(t.Context(), request))(f)
	if one.ID == two.ID || f.parse(one.PEM).SerialNumber.Cmp(f.parse(two.PEM).SerialNumber) == 0 {
		t.Error("they are the same")
	}
	if n := len(must(first(f.ListCertificates(t.Context(), account, registry.Page{})))(f)); n != 2 {
		t.Errorf("%d certificates", n)
	}
}

func first[T any](v T, _ registry.Cursor, err error) (T, error) { return v, err }

func TestIssueKeyPair(t *testing.T) {
	f := newFixture(t)
	made := must(f.IssueCertificate(t.Context(), muster.Issuance{Account: account, Status: muster.Inactive}))(f)
	if !strings.HasPrefix(made.PublicKey, "-----BEGIN PUBLIC KEY-----\n") || !strings.HasPrefix(made.PrivateKey, "-----BEGIN RSA PRIVATE KEY-----\n") {
		t.Errorf("public key %.40q, private key %.40q", made.PublicKey, made.PrivateKey)
	}
	pair := must(tls.X509KeyPair([]byte(made.PEM), []byte(made.PrivateKey)))(f)
	if bits := pair.PrivateKey.(*rsa.PrivateKey).N.BitLen(); bits != 2048 {
		t.Errorf("a key of %d bits", bits)
	}
	block, _ := pem.Decode([]byte(made.PublicKey))
	if public := must(x509.MarshalPKIXPublicKey(f.parse(made.PEM).PublicKey))(f); !bytes.Equal(public, block.Bytes) {
		t.Error("the public key is not that of the certificate")
	}
	if name := f.parse(made.PEM).Subject.CommonName; name != "AWS IoT Certificate" {
		t.Errorf("common name %q", name)
	}
	body := strings.Split(made.PrivateKey, "\n")[3]
	for _, d := range contents(t, f.engine) {
		if strings.Contains(d, body) {
			t.Errorf("the private key is stored: %s", d)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	f := newFixture(t)
	good := csr(t, nil, x509.CertificateRequest{})
	block, _ := pem.Decode([]byte(good))
	forged := slices.Clone(block.Bytes)
	forged[len(forged)-1] ^= 1
	weak := csr(t, newRSA(t, 2048), x509.CertificateRequest{SignatureAlgorithm: x509.SHA256WithRSA})
	for name, c := range map[string]struct {
		muster.Issuance
		want error
		text string
	}{
		"empty block":  {muster.Issuance{CSR: "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"}, muster.ErrInvalid, "request"},
		"no PEM":       {muster.Issuance{CSR: "request"}, muster.ErrInvalid, "no PEM block; give the text that begins with -----BEGIN CERTIFICATE REQUEST-----"},
		"damaged":      {muster.Issuance{CSR: "-----BEGIN CERTIFICATE REQUEST-----\nAA"}, muster.ErrInvalid, "damaged"},
		"two":          {muster.Issuance{CSR: good + good}, muster.ErrInvalid, "2 PEM blocks"},
		"too long":     {muster.Issuance{CSR: good + strings.Repeat("\n", 4096)}, muster.ErrInvalid, "want 1 to 4096"},
		"another kind": {muster.Issuance{CSR: strings.ReplaceAll(good, "CERTIFICATE REQUEST", "CERTIFICATE")}, muster.ErrInvalid, `type "CERTIFICATE"`},
		"not a CSR":    {muster.Issuance{CSR: requestPEM([]byte{0x30, 0})}, muster.ErrInvalid, "request"},
		"forged":       {muster.Issuance{CSR: requestPEM(forged)}, muster.ErrInvalid, "signature"},
		"a small key":  {muster.Issuance{CSR: csr(t, newKey(t, elliptic.P224()), x509.CertificateRequest{})}, muster.ErrInvalid, "224 bits"},
		"SHA-1":        {muster.Issuance{CSR: sha1Signed(t, weak)}, muster.ErrInvalid, "weaker than SHA-256"},
		"no account":   {muster.Issuance{Account: "999999999999", CSR: good}, muster.ErrNotFound, "account 999999999999"},
		"a status":     {muster.Issuance{CSR: good, Status: muster.Revoked}, muster.ErrInvalid, "REVOKED"},
		"a date":       {muster.Issuance{CSR: good, Expires: time.Now()}, muster.ErrInvalid, "PENDING_ACTIVATION"},
	} {
		i := c.Issuance
		if i.Account == "" {
			i.Account = account
		}
		if i.Status == "" {
			i.Status = muster.Active
		}
		seq := f.seq()
		_, err := f.IssueCertificate(t.Context(), i)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v and %q", name, err, c.want, c.text)
		}
		if f.seq() != seq {
			t.Errorf("%s: something was written", name)
		}
	}
}

// TestIssueRefusesSubjects: what encoding/asn1 reads in the name of a request, and
// X.509 in none, is the device's mistake.
func TestIssueRefusesSubjects(t *testing.T) {
	f := newFixture(t)
	for name, value := range map[string][]byte{
		"a number": {asn1.TagInteger, 1, 7}, "a truth": {asn1.TagBoolean, 1, 0xff}, "a GeneralString": {asn1.TagGeneralString, 1, 'a'},
		"a surrogate": {asn1.TagBMPString, 2, 0xd8, 0x00},
	} {
		attribute := append([]byte{asn1.TagOID, 3, 0x55, 4, 3}, value...) // a common name
		for _, around := range []byte{asn1.TagSequence, asn1.TagSet, asn1.TagSequence} {
			attribute = append([]byte{around | 0x20, byte(len(attribute))}, attribute...)
		}
		request := csr(t, nil, x509.CertificateRequest{RawSubject: attribute})
		_, err := f.IssueCertificate(t.Context(), muster.Issuance{Account: account, CSR: request, Status: muster.Active})
		if !errors.Is(err, muster.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

// sha1Signed says of a request that SHA-1 signed it, by the last arc of
// sha256WithRSAEncryption (RFC 4055 §5).
func sha1Signed(t *testing.T, text string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	oid := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b}
	at := bytes.LastIndex(block.Bytes, oid)
	if at < 0 {
		t.Fatal("not signed by sha256WithRSAEncryption")
	}
	block.Bytes[at+len(oid)-1] = 5
	return requestPEM(block.Bytes)
}

// TestOneIssuingAuthority: those who come first at the same time make one
// authority an account, and none is made twice.
func TestOneIssuingAuthority(t *testing.T) { onBothEngines(t, testOneIssuingAuthority) }

func testOneIssuingAuthority(f *fixture) {
	request := csr(f, nil, x509.CertificateRequest{})
	made := make([]muster.Certificate, 16)
	var all sync.WaitGroup
	for i := range made {
		owner := []string{account, account2}[i%2]
		all.Go(func() {
			issued, err := f.IssueCertificate(f.Context(), muster.Issuance{Account: owner, CSR: request, Status: muster.Active})
			if err != nil {
				f.Error(err)
			}
			made[i] = issued.Certificate
		})
	}
	all.Wait()
	roots := f.roots()
	if len(roots) != 2 {
		f.Fatalf("%d authorities, want 2", len(roots))
	}
	if !roots[0].NotAfter.After(made[0].NotAfter) || !roots[0].IsCA || !strings.Contains(roots[0].Subject.CommonName, account) {
		f.Errorf("the authority %s ends at %v", roots[0].Subject, roots[0].NotAfter)
	}
	for i, c := range made {
		f.signedBy(roots[i%2], c)
	}
	f.step()
}

// TestIssuingAuthorityStays: whoever comes second, because both found none, takes
// what the first one made.
func TestIssuingAuthorityStays(t *testing.T) { onBothEngines(t, testIssuingAuthorityStays) }

func testIssuingAuthorityStays(f *fixture) {
	made := make([]string, 8)
	var all sync.WaitGroup
	for i := range made {
		all.Go(func() {
			var err error
			if made[i], err = f.CreateIssuing(f.Context(), account); err != nil {
				f.Error(err)
			}
		})
	}
	all.Wait()
	if made = slices.Compact(made); len(made) != 1 || made[0] == "" {
		f.Errorf("%d authorities were made", len(made))
	}
	_, err := f.CreateIssuing(f.Context(), "999999999999")
	f.is("of no account", err, muster.ErrNotFound)
}

// The authority that issues is none of those that are registered: it is on no
// list, and lets nobody in by its signature.
func TestIssuingAuthorityIsNoneOfTheRegistered(t *testing.T) {
	f := newFixture(t)
	c := f.issue("device", muster.Inactive)
	issuer := f.parse(c.PEM).RawIssuer
	if all := must(f.AuthoritiesBySubject(t.Context(), issuer))(f); len(all) > 0 {
		t.Errorf("it is found: %v", all)
	}
	if all := must(first(f.ListAuthorities(t.Context(), account, "", registry.Page{})))(f); len(all) > 0 {
		t.Errorf("it is listed: %v", all)
	}
	f.ok(f.DeleteCertificate(t.Context(), account, c.ID, false))
	_, err := f.RegisterCertificate(t.Context(), registry.CertificateRegistration{Account: account, PEM: c.PEM})
	f.is("registered under it", err, muster.ErrCertificate)
}

// What waits for a key pair gives up when its caller does, and no request waits
// behind it.
func TestIssueWaits(t *testing.T) {
	f := newFixture(t)
	defer f.OccupyPairs()()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := f.IssueCertificate(ctx, muster.Issuance{Account: account, Status: muster.Active})
		ended <- err
	}()
	f.issue("at once", muster.Active)
	cancel()
	f.is("given up", <-ended, context.Canceled)
}

// The key of an issuing authority opens under the master key it was sealed by,
// and under no other.
func TestIssuingKeyIsSealed(t *testing.T) {
	f := newFixture(t)
	f.issue("device", muster.Active)
	file, _ := backup(t, f.engine)
	if _, err := registry.VerifyBackup(t.Context(), bytes.NewReader(file), testSealer(t, strings.Repeat("x", 32))); !errors.Is(err, muster.ErrInvalid) {
		t.Errorf("under another key: %v", err)
	}
	other := must(registry.New(registry.Config{Engine: f.engine, Sealer: testSealer(t, strings.Repeat("x", 32))}))(f)
	_, err := other.IssueCertificate(t.Context(), muster.Issuance{Account: account, CSR: csr(t, nil, x509.CertificateRequest{}), Status: muster.Active})
	if err == nil || errors.Is(err, muster.ErrInvalid) || !strings.Contains(err.Error(), "another master key") {
		t.Errorf("issued under another key: %v", err)
	}
	again := must(registry.New(registry.Config{Engine: f.engine, Sealer: testSealer(t, testMaster)}))(f) // as after a restart
	c := must(again.IssueCertificate(t.Context(), muster.Issuance{Account: account, CSR: csr(t, nil, x509.CertificateRequest{}), Status: muster.Active}))(f)
	f.signedBy(f.roots()[0], c.Certificate)
}

func BenchmarkIssueCertificate(b *testing.B) {
	for name, request := range map[string]string{"request": csr(b, nil, x509.CertificateRequest{}), "pair": ""} {
		b.Run(name, func(b *testing.B) {
			s, err := registry.New(registry.Config{Engine: newBadger(b), Sealer: testSealer(b, testMaster)})
			if err != nil {
				b.Fatal(err)
			}
			if err := s.CreateAccount(b.Context(), muster.Account{ID: account}); err != nil {
				b.Fatal(err)
			}
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := s.IssueCertificate(b.Context(), muster.Issuance{Account: account, CSR: request, Status: muster.Active}); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
