package ocsp

import (
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509/pkix"
	"encoding/asn1"

	"github.com/muster-mqtt/muster"
)

// nonceSize is how many octets a nonce has, and maxNonce how many one may have
// (RFC 9654 §2.1).
const (
	nonceSize = 32
	maxNonce  = 128
)

var oidNonce = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}

// newNonce returns what no earlier answer can hold.
func newNonce() []byte {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce) // never fails
	return nonce
}

// nonceExtension wraps a nonce: an OCTET STRING inside that of the extension.
func nonceExtension(nonce []byte) (pkix.Extension, error) {
	value, err := asn1.Marshal(nonce)
	return pkix.Extension{Id: oidNonce, Value: value}, err
}

// nonceOf returns the nonce among the extensions of a response, or nil if
// there is none.
func nonceOf(extensions []pkix.Extension) ([]byte, error) {
	var nonce []byte
	for _, e := range extensions {
		if !e.Id.Equal(oidNonce) {
			continue
		}
		if nonce != nil {
			return nil, fault(FaultNonce, "it has two nonces")
		}
		if err := unmarshal(e.Value, &nonce); err != nil {
			return nil, fault(FaultNonce, "its nonce is no OCTET STRING: %v", err)
		}
		if len(nonce) == 0 || len(nonce) > maxNonce {
			return nil, fault(FaultNonce, "its nonce has %d octets: 1 to %d are allowed (RFC 9654)", len(nonce), maxNonce)
		}
	}
	return nonce, nil
}

// checkNonce says whether a response to a request with the nonce sent counts,
// and whether it has that nonce. Nothing was sent if mode is off, and then what
// the response has does not matter: it may have been made for another.
//
// A final revocation counts whatever its nonce: to replay it deceives nobody.
func checkNonce(mode muster.OCSPNonce, sent []byte, v verdict) (fresh bool, err error) {
	if sent == nil {
		return false, nil
	}
	got, err := nonceOf(v.extensions)
	switch {
	case err == nil && got != nil && subtle.ConstantTimeCompare(got, sent) == 1:
		return true, nil
	case v.answer.Final(), err == nil && got == nil && mode != muster.OCSPNonceRequired:
		return false, nil
	case err != nil:
		return false, err
	case got == nil:
		return false, fault(FaultNonce, "it lacks the nonce that was sent, and the settings require that")
	}
	return false, fault(FaultNonce, "it has another nonce than was sent: it was made for another request")
}
