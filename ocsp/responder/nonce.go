package responder

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
)

// maxNonce is how many octets a nonce may have (RFC 9654 §2.1).
const maxNonce = 128

var oidNonce = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}

// readNonce returns the nonce among the extensions of a request, nil if there
// is none. One of an impossible length makes the request malformed
// (RFC 9654 §2.1).
func readNonce(extensions []pkix.Extension) ([]byte, error) {
	var nonce []byte
	for _, e := range extensions {
		if !e.Id.Equal(oidNonce) {
			if e.Critical {
				return nil, fmt.Errorf("the critical extension %v is unknown", e.Id)
			}
			continue
		}
		if nonce != nil {
			return nil, errors.New("two nonces")
		}
		rest, err := asn1.Unmarshal(e.Value, &nonce)
		if err != nil || len(rest) > 0 {
			return nil, errors.New("a nonce that is no OCTET STRING")
		}
		if len(nonce) == 0 || len(nonce) > maxNonce {
			return nil, fmt.Errorf("a nonce of %d octets", len(nonce))
		}
	}
	return nonce, nil
}

// unsigned is a signer that leaves the signing to addNonce.
type unsigned struct{ crypto.Signer }

func (unsigned) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }

type signedResponse struct {
	Status asn1.Enumerated
	Bytes  struct {
		Type     asn1.ObjectIdentifier
		Response []byte
	} `asn1:"explicit,tag:0"`
}

type basicResponse struct {
	Data         asn1.RawValue
	Algorithm    pkix.AlgorithmIdentifier
	Signature    asn1.BitString
	Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional,omitempty"`
}

// addNonce puts a nonce into a response and signs it with SHA-256.
// x/crypto/ocsp has no place for responseExtensions (golang/go #43522).
func (h *Handler) addNonce(der, nonce []byte) ([]byte, error) {
	var outer signedResponse
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil, err
	}
	var basic basicResponse
	if _, err := asn1.Unmarshal(outer.Bytes.Response, &basic); err != nil {
		return nil, err
	}
	value, err := asn1.Marshal(nonce)
	if err != nil {
		return nil, err
	}
	extensions, err := asn1.MarshalWithParams([]pkix.Extension{{Id: oidNonce, Value: value}}, "explicit,tag:1")
	if err != nil {
		return nil, err
	}
	// They are the last field of ResponseData, which has had none so far.
	basic.Data.Bytes, basic.Data.FullBytes = append(bytes.Clone(basic.Data.Bytes), extensions...), nil
	if basic.Data.FullBytes, err = asn1.Marshal(basic.Data); err != nil {
		return nil, err
	}
	digest := sha256.Sum256(basic.Data.FullBytes)
	signature, err := h.cfg.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	basic.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	if outer.Bytes.Response, err = asn1.Marshal(basic); err != nil {
		return nil, err
	}
	return asn1.Marshal(outer)
}
