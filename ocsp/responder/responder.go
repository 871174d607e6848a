// Package responder answers OCSP requests for one authority (RFC 6960, in the
// profile of RFC 5019: one certificate a request, by GET or POST). A nonce is
// given back (RFC 9654), and such an answer is not for caches. It is the other side of package ocsp, for authorities that Muster
// itself keeps and for the one that muster demo makes.
package responder

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/ocsp"
)

// Status is what a responder may say of a certificate. The zero value says
// that it knows nothing of it.
type Status uint8

// The statuses of RFC 6960 §2.2.
const (
	Unknown Status = iota
	Good
	Revoked
)

// State is what an authority knows of one of its certificates.
type State struct {
	Status    Status
	RevokedAt time.Time // of Revoked
	Reason    int       // CRLReason of RFC 5280 §5.3.1; 0 is unspecified, 6 certificateHold
}

// Config configures a Handler.
type Config struct {
	Issuer *x509.Certificate // the authority answered for
	// Signer signs: the issuer's key, or that of Certificate. RSA or ECDSA.
	Signer crypto.Signer
	// Certificate is the delegate's, signed by the issuer and with the
	// extended key usage OCSPSigning; nil if the issuer's own key signs.
	Certificate *x509.Certificate
	// Status says what is known of a serial number. It must not say Good of a
	// number that was never issued. An error means that it could not find out.
	Status   func(ctx context.Context, serial *big.Int) (State, error)
	Validity time.Duration    // from thisUpdate to nextUpdate; default 1 hour
	Now      func() time.Time // default time.Now
	Log      zerolog.Logger
}

// Handler is the http.Handler. It wants the whole path after its mount point
// as the client wrote it: http.ServeMux redirects a path with two slashes in a
// row, which base64 may contain, so do not put one before it.
type Handler struct {
	cfg Config
	ids map[crypto.Hash]*ocsp.Request // how requests name the issuer
}

// New returns a Handler, or an error if its answers could not be believed.
func New(cfg Config) (*Handler, error) {
	if cfg.Issuer == nil || cfg.Signer == nil || cfg.Status == nil {
		return nil, errors.New("OCSP responder: Issuer, Signer and Status are needed")
	}
	if cfg.Validity < 0 {
		return nil, errors.New("OCSP responder: Validity is negative")
	}
	if cfg.Validity == 0 {
		cfg.Validity = time.Hour
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := checkSigner(cfg); err != nil {
		return nil, fmt.Errorf("OCSP responder: %w", err)
	}
	h := &Handler{cfg: cfg, ids: map[crypto.Hash]*ocsp.Request{}}
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		id, err := issuerID(cfg.Issuer, hash)
		if err != nil {
			return nil, fmt.Errorf("OCSP responder: %w", err)
		}
		h.ids[hash] = id
	}
	return h, nil
}

func checkSigner(cfg Config) error {
	public, ok := cfg.Signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return fmt.Errorf("a key of type %T cannot sign responses", cfg.Signer.Public())
	}
	switch cfg.Signer.Public().(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
	default:
		return fmt.Errorf("a key of type %T cannot sign responses: use RSA or ECDSA", cfg.Signer.Public())
	}
	if cfg.Certificate == nil {
		if !public.Equal(cfg.Issuer.PublicKey) {
			return errors.New("the signer is not the issuer's key, and there is no delegate's certificate")
		}
		return nil
	}
	if !public.Equal(cfg.Certificate.PublicKey) {
		return errors.New("the signer is not the key of the delegate's certificate")
	}
	if err := cfg.Certificate.CheckSignatureFrom(cfg.Issuer); err != nil {
		return fmt.Errorf("the delegate's certificate is not signed by the issuer: %w", err)
	}
	if !slices.Contains(cfg.Certificate.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
		return errors.New("the delegate's certificate lacks the extended key usage OCSPSigning")
	}
	return nil
}

// issuerID returns a request whose hashes are the issuer's.
func issuerID(issuer *x509.Certificate, hash crypto.Hash) (*ocsp.Request, error) {
	anyCert := &x509.Certificate{SerialNumber: new(big.Int)}
	der, err := ocsp.CreateRequest(anyCert, issuer, &ocsp.RequestOptions{Hash: hash})
	if err != nil {
		return nil, err
	}
	return ocsp.ParseRequest(der)
}

// answersFor reports whether the request is about a certificate of ours.
func (h *Handler) answersFor(r *ocsp.Request) bool {
	id := h.ids[r.HashAlgorithm]
	return id != nil && bytes.Equal(r.IssuerNameHash, id.IssuerNameHash) && bytes.Equal(r.IssuerKeyHash, id.IssuerKeyHash)
}

// response makes the signed answer, with the nonce if that is not nil.
func (h *Handler) response(r *ocsp.Request, nonce []byte, s State, now time.Time) ([]byte, error) {
	template := ocsp.Response{
		SerialNumber: r.SerialNumber,
		IssuerHash:   r.HashAlgorithm,
		ThisUpdate:   now,
		NextUpdate:   now.Add(h.cfg.Validity),
		Certificate:  h.cfg.Certificate,
	}
	switch s.Status {
	case Good:
		template.Status = ocsp.Good
	case Revoked:
		template.Status, template.RevokedAt, template.RevocationReason = ocsp.Revoked, s.RevokedAt, s.Reason
	case Unknown:
		template.Status = ocsp.Unknown
	default:
		return nil, fmt.Errorf("serial number %x: the status %d is none", r.SerialNumber, s.Status)
	}
	responder := h.cfg.Certificate
	if responder == nil {
		responder = h.cfg.Issuer
	}
	if nonce == nil {
		return ocsp.CreateResponse(h.cfg.Issuer, responder, template, h.cfg.Signer)
	}
	template.SignatureAlgorithm = x509.ECDSAWithSHA256
	if _, ok := h.cfg.Signer.Public().(*rsa.PublicKey); ok {
		template.SignatureAlgorithm = x509.SHA256WithRSA
	}
	der, err := ocsp.CreateResponse(h.cfg.Issuer, responder, template, unsigned{h.cfg.Signer})
	if err != nil {
		return nil, err
	}
	return h.addNonce(der, nonce)
}
