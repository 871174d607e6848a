package ocsp_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
)

// signedBytes returns what the signature of a response is over, or nil.
func signedBytes(der []byte) []byte {
	var outer struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type     asn1.ObjectIdentifier
			Response []byte
		} `asn1:"explicit,tag:0,optional"`
	}
	var basic struct{ Data, Algorithm, Signature asn1.RawValue }
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil
	}
	if _, err := asn1.Unmarshal(outer.Bytes.Response, &basic); err != nil {
		return nil
	}
	return basic.Data.FullBytes
}

// fixedParty is the same in each process, for the workers of a fuzz run get
// their seeds from another one and must be able to verify them.
func fixedParty(f *testing.F) party {
	f.Helper()
	key := func(seed string) *ecdsa.PrivateKey {
		scalar := sha256.Sum256([]byte(seed))
		k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
		if err != nil {
			f.Fatal(err)
		}
		return k
	}
	root, err := mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: "Fuzz authority"}, Key: key("authority")})
	if err != nil {
		f.Fatal(err)
	}
	a := &mint.Authority{Cert: root.Cert, Key: root.Key}
	leaf, err := a.Issue(mint.Request{
		Key:  key("leaf"),
		Edit: func(c *x509.Certificate) { c.SerialNumber = big.NewInt(0x1122334455667788) },
	})
	if err != nil {
		f.Fatal(err)
	}
	return party{a, leaf, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// Whatever the bytes, Validate does not panic; and it believes nothing that
// differs in one signed byte from what the authority said.
func FuzzValidate(f *testing.F) {
	p := fixedParty(f)
	genuine := map[string]bool{}
	for _, fault := range honest {
		for _, status := range []asn1.RawValue{testpki.Good(), revoked(f, p.now, 1)} {
			der := p.forge(f, fault, status)
			genuine[string(signedBytes(der))] = true
			f.Add(der)
		}
	}
	for _, c := range refused {
		f.Add(p.forge(f, c.fault, testpki.Good()))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		a, err := p.validate(der)
		if err != nil {
			if a != (ocsp.Answer{}) {
				t.Errorf("an answer beside the error %v: %+v", err, a)
			}
			return
		}
		if !genuine[string(signedBytes(der))] {
			t.Errorf("believed what was never signed: %+v", a)
		}
	})
}

// Each byte of a genuine response, changed in turn: nothing signed may change
// without the answer being lost.
func TestValidateMalleability(t *testing.T) {
	p := newParty(t)
	for _, fault := range []testpki.Fault{testpki.None, testpki.Delegate} {
		der := p.forge(t, fault, revoked(t, p.now, 1))
		signed := signedBytes(der)
		for i := range der {
			for _, flip := range []byte{0x01, 0x80} {
				changed := bytes.Clone(der)
				changed[i] ^= flip
				a, err := p.validate(changed)
				if err == nil && (!a.Final() || !bytes.Equal(signedBytes(changed), signed)) {
					t.Errorf("%s: byte %d changed by %#x: %+v", fault, i, flip, a)
				}
			}
		}
	}
}

// Whatever a device brings, Check does not panic, keeps nothing that was never
// signed, and says why it does not count.
func FuzzCheckBrought(f *testing.F) {
	p := fixedParty(f)
	genuine := map[string]bool{}
	for _, fault := range honest {
		for _, status := range []asn1.RawValue{testpki.Good(), revoked(f, p.now, 1), revoked(f, p.now, 6)} {
			der := p.forge(f, fault, status)
			genuine[string(signedBytes(der))] = true
			f.Add(der)
		}
	}
	for _, c := range refused {
		f.Add(p.forge(f, c.fault, testpki.Good()))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		kept := newShelf()
		c, err := ocsp.New(ocsp.Config{Now: func() time.Time { return p.now }, Cache: kept})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		q := ocsp.Question{Leaf: p.leaf.Cert, Issuer: p.authority.Cert, Brought: der, Offline: true}
		a := c.Check(t.Context(), q)
		believed := a.Status == ocsp.Good || a.Status == ocsp.Revoked
		if believed && (a.Source != ocsp.SourceBrought || !genuine[string(signedBytes(der))]) {
			t.Errorf("believed what was never signed: %+v", a)
		}
		if !believed && len(der) > 0 && a.Detail == "" {
			t.Errorf("no reason: %+v", a)
		}
		if believed != (len(kept.answers) == 1) {
			t.Errorf("%+v, but %d kept", a, len(kept.answers))
		}
	})
}
