package registry

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/muster-mqtt/muster"
)

// issuedBits is the size of the RSA keys that are made, as AWS IoT's.
const issuedBits = 2048

// issuedUntil is when certificates end that are issued to stay, whenever that is,
// as AWS IoT's do.
// The authorities that sign them last a year longer.
func issuedUntil(time.Time) time.Time { return time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC) }

// issuingDoc is an account's own issuing authority as it is stored: no
// muster.Authority, for it registers nobody and is not listed.
type issuingDoc struct {
	Account string    `json:"account"`
	PEM     string    `json:"pem"`
	Sealed  []byte    `json:"sealed"` // its key, PKCS #8 DER
	Created time.Time `json:"created"`
}

// sealContext is what the key opens with.
func (d *issuingDoc) sealContext() string { return "issuing authority of account " + d.Account }

// issuingAuthority is an account's own, ready to sign. It is shared.
type issuingAuthority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// issuing bounds what certificates cost that are made here.
type issuing struct {
	authorities *cache[issuingAuthority]
	// pairs are the places of those who make RSA keys, which takes a processor a
	// tenth of a second each: at most half of them, so that devices are served.
	pairs chan struct{}
	// signing are the places of those who verify a request and sign.
	signing chan struct{}
}

func newIssuing(cacheSize int) issuing {
	processors := runtime.GOMAXPROCS(0)
	return issuing{
		authorities: newCache[issuingAuthority](cacheSize),
		pairs:       make(chan struct{}, max(1, processors/2)),
		signing:     make(chan struct{}, processors),
	}
}

// within runs work once one of the places is free, unless ctx ends before.
func within[T any](ctx context.Context, places chan struct{}, work func() (T, error)) (T, error) {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
		return work()
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// IssueCertificate issues a certificate that the account's own issuing authority
// signs, for the key of a certificate signing request or for a key pair that is
// made, and registers it. It ends with the year 2049, has the subject of the
// request and nothing else of it, and is DEFAULT. The same request twice makes
// two certificates. A request that is malformed, too weak or not signed by its
// own key is ErrInvalid.
//
// A few are made at once; the others wait until ctx ends.
func (s *Store) IssueCertificate(ctx context.Context, i muster.Issuance) (muster.Issued, error) {
	none := muster.Issued{}
	switch i.Status {
	case muster.Active, muster.Inactive, muster.PendingActivation:
	default:
		return none, fmt.Errorf("status %q: want ACTIVE, INACTIVE or PENDING_ACTIVATION: %w", i.Status, muster.ErrInvalid)
	}
	if !i.Expires.IsZero() && i.Status != muster.PendingActivation {
		return none, fmt.Errorf("a record that expires is PENDING_ACTIVATION, not %s: %w", i.Status, muster.ErrInvalid)
	}
	if _, err := s.Account(ctx, i.Account); err != nil {
		return none, err
	}
	out, err := s.issue(ctx, i.Account, i.CSR, issuedUntil)
	if err != nil {
		return none, err
	}
	out.Status, out.Expires = i.Status, i.Expires.UTC().Truncate(time.Microsecond)
	err = s.update(ctx, func(t *tx) error {
		if err := require(t, KindAccount, i.Account); err != nil {
			return err
		}
		return t.putCertificate(&certificateTx{Certificate: out.Certificate})
	})
	if err != nil {
		return none, err
	}
	return out, nil
}

// issue makes a certificate, and a key pair unless there is a request, and a
// record that is yet to be stored. until says when it ends: it is asked after the
// wait for a place, so that a short life is not over before it begins.
func (s *Store) issue(ctx context.Context, account, csr string, until func(now time.Time) time.Time) (muster.Issued, error) {
	none := muster.Issued{}
	var out muster.Issued
	ask := func() (applicant, error) { return parseRequest(csr) }
	if csr == "" {
		pair, err := within(ctx, s.issuing.pairs, func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, issuedBits) })
		if err != nil {
			return none, fmt.Errorf("key pair: %w", err)
		}
		if out.PublicKey, out.PrivateKey, err = pairPEM(pair); err != nil {
			return none, err
		}
		// AWS IoT names its certificates so.
		ask = func() (applicant, error) {
			return applicant{key: &pair.PublicKey, subject: pkix.Name{CommonName: "AWS IoT Certificate"}}, nil
		}
	}
	cert, err := within(ctx, s.issuing.signing, func() (*x509.Certificate, error) {
		to, err := ask() // first: a request that cannot be read leaves no authority behind
		if err != nil {
			return nil, err
		}
		authority, err := s.issuingAuthority(ctx, account)
		if err != nil {
			return nil, err
		}
		now := s.now()
		return authority.sign(to, now, until(now))
	})
	if err != nil {
		return none, err
	}
	out.Certificate = newIssued(account, cert, s.now())
	return out, nil
}

func newIssued(account string, cert *x509.Certificate, now time.Time) muster.Certificate {
	return muster.Certificate{
		Account:    account,
		ID:         muster.Fingerprint(cert.Raw),
		PEM:        certificatePEM(cert.Raw),
		Mode:       muster.ModeDefault,
		Created:    now,
		Modified:   now,
		Revision:   1,
		Generation: randomUUID(),
		NotBefore:  cert.NotBefore,
		NotAfter:   cert.NotAfter,
	}
}

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func pairPEM(key *rsa.PrivateKey) (public, private string, err error) {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", "", fmt.Errorf("public key: %w", err)
	}
	public = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	private = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	return public, private, nil
}

// sign issues a certificate for TLS clients that begins a little ago, for
// devices whose clocks lag.
func (a issuingAuthority) sign(to applicant, now, notAfter time.Time) (*x509.Certificate, error) {
	usage := x509.KeyUsageDigitalSignature
	if _, ok := to.key.(*rsa.PublicKey); ok { // TLS 1.2 without ECDHE; RFC 5280 §4.2.1.3
		usage |= x509.KeyUsageKeyEncipherment
	}
	template := &x509.Certificate{ // CreateCertificate draws a serial number of 159 bits
		Subject:               to.subject,
		RawSubject:            to.rawSubject,
		NotBefore:             now.Add(-clockSkew).Truncate(time.Second),
		NotAfter:              notAfter,
		KeyUsage:              usage,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, to.key, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil { // CSRs are read by encoding/asn1, which takes values in a name that X.509 does not
		return nil, fmt.Errorf("certificate signing request: its subject cannot stand in a certificate: %s: %w",
			strings.TrimPrefix(err.Error(), "x509: "), muster.ErrInvalid)
	}
	return cert, nil
}

// issuingAuthority returns the account's own issuing authority. It is made when
// it is first needed; of several that are made at once one stays.
func (s *Store) issuingAuthority(ctx context.Context, account string) (issuingAuthority, error) {
	return s.issuing.authorities.load(account, func() (issuingAuthority, error) {
		if s.sealer == nil {
			return issuingAuthority{}, errors.New("issuing certificates needs a master key: Config.Sealer is not set")
		}
		doc, err := get[issuingDoc](ctx, s, KindIssuing, account)
		if errors.Is(err, muster.ErrNotFound) {
			doc, err = s.createIssuing(ctx, account)
		}
		if err != nil {
			return issuingAuthority{}, err
		}
		authority, err := doc.open(s.sealer)
		if err != nil {
			return authority, errors.New(err.Error()) // not the caller's mistake, as ErrInvalid would say
		}
		return authority, nil
	})
}

func (s *Store) createIssuing(ctx context.Context, account string) (issuingDoc, error) {
	fresh, err := newIssuingDoc(account, s.sealer, s.now())
	if err != nil {
		return fresh, err
	}
	var out issuingDoc
	err = s.update(ctx, func(t *tx) error {
		if err := require(t, KindAccount, account); err != nil {
			return err
		}
		have, version, err := read[issuingDoc](t, KindIssuing, account)
		if version, err = optional(version, err); err != nil {
			return err
		}
		if version != 0 {
			out = have
			return nil
		}
		out = fresh
		return t.put(0, &fresh)
	})
	return out, err
}

func newIssuingDoc(account string, sealer *Sealer, now time.Time) (issuingDoc, error) {
	doc := issuingDoc{Account: account, Created: now}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return doc, fmt.Errorf("key of the issuing authority: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Issuing authority of account " + account, Organization: []string{"Muster"}},
		NotBefore:             now.Add(-clockSkew).Truncate(time.Second),
		NotAfter:              issuedUntil(now).AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return doc, fmt.Errorf("certificate of the issuing authority: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return doc, fmt.Errorf("key of the issuing authority: %w", err)
	}
	doc.PEM, doc.Sealed = certificatePEM(der), sealer.Seal(secret, doc.sealContext())
	return doc, nil
}

// open parses the certificate and its key.
func (d *issuingDoc) open(sealer *Sealer) (issuingAuthority, error) {
	what := d.sealContext()
	secret, err := sealer.Open(d.Sealed, what)
	if err != nil {
		return issuingAuthority{}, err
	}
	cert, err := parsePEM(what, d.PEM)
	if err != nil {
		return issuingAuthority{}, err
	}
	key, err := x509.ParsePKCS8PrivateKey(secret)
	if err != nil {
		return issuingAuthority{}, fmt.Errorf("%s: its key: %w", what, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return issuingAuthority{}, fmt.Errorf("%s: its key cannot sign", what)
	}
	return issuingAuthority{cert: cert, key: signer}, nil
}
