package mint_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/internal/mint"
)

func authority(t *testing.T) *mint.Authority {
	t.Helper()
	root, err := mint.NewAuthority("Root")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// A certificate of an intermediate verifies to the root with the chain that
// ChainPEM and TLS carry.
func TestIssueChain(t *testing.T) {
	root := authority(t)
	inter, err := root.Intermediate("Factory")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := inter.Issue(mint.Request{
		Subject:    pkix.Name{CommonName: "device-1", SerialNumber: "42"},
		OCSPServer: []string{"http://ocsp.example.test/"},
	})
	if err != nil {
		t.Fatal(err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root.Cert)
	if !between.AppendCertsFromPEM(leaf.ChainPEM()) {
		t.Fatal("ChainPEM holds no certificate")
	}
	chains, err := leaf.Cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(chains[0]); got != 3 {
		t.Errorf("chain of %d certificates, want 3", got)
	}
	if got := len(leaf.TLS().Certificate); got != 3 {
		t.Errorf("TLS carries %d certificates, want 3", got)
	}
	if _, err := tls.X509KeyPair(leaf.ChainPEM(), leaf.KeyPEM()); err != nil {
		t.Errorf("certificate and key as PEM: %v", err)
	}
	if _, err := tls.X509KeyPair(root.CertPEM(), root.KeyPEM()); err != nil {
		t.Errorf("authority and key as PEM: %v", err)
	}
}

func TestIssueRequest(t *testing.T) {
	root := authority(t)
	past := time.Now().Add(-48 * time.Hour).Truncate(time.Second).UTC()
	leaf, err := root.Issue(mint.Request{
		NotBefore: past, NotAfter: past.Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{},
		Key:  root.Key,
		Edit: func(c *x509.Certificate) { c.KeyUsage = 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	c := leaf.Cert
	if len(c.ExtKeyUsage) != 0 || c.KeyUsage != 0 || c.IsCA {
		t.Errorf("usages %v, %v, CA %v; want none", c.ExtKeyUsage, c.KeyUsage, c.IsCA)
	}
	if !c.NotBefore.Equal(past) || !c.NotAfter.Equal(past.Add(time.Hour)) {
		t.Errorf("valid %v to %v", c.NotBefore, c.NotAfter)
	}
	if leaf.Key != root.Key {
		t.Error("the key given was not used")
	}
}

func TestSerialNumbers(t *testing.T) {
	root := authority(t)
	seen := map[string]bool{}
	for range 32 {
		leaf, err := root.Issue(mint.Request{})
		if err != nil {
			t.Fatal(err)
		}
		n := leaf.Cert.SerialNumber
		if n.Sign() != 1 || n.BitLen() != 127 {
			t.Errorf("serial number %x: want positive, 127 bits", n)
		}
		seen[n.String()] = true
	}
	if len(seen) != 32 {
		t.Errorf("%d serial numbers for 32 certificates", len(seen))
	}
}

func TestSelfSigned(t *testing.T) {
	leaf, err := mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: "lonely"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := leaf.Cert.CheckSignatureFrom(leaf.Cert); err != nil {
		t.Errorf("not signed by itself: %v", err)
	}
	if !leaf.Cert.IsCA || len(leaf.Cert.ExtKeyUsage) != 0 || len(leaf.Chain) != 0 {
		t.Errorf("CA %v, usages %v, chain %d", leaf.Cert.IsCA, leaf.Cert.ExtKeyUsage, len(leaf.Chain))
	}
}

func TestVerification(t *testing.T) {
	root := authority(t)
	leaf, err := root.Verification("code")
	if err != nil {
		t.Fatal(err)
	}
	if err := leaf.Cert.CheckSignatureFrom(root.Cert); err != nil {
		t.Error(err)
	}
	if got := leaf.Cert.Subject.CommonName; got != "code" {
		t.Errorf("common name %q, want %q", got, "code")
	}
}
