package testpki

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
)

var oidNonce = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}

// Nonce returns the extension that carries a nonce (RFC 9654).
func Nonce(nonce []byte) (pkix.Extension, error) {
	value, err := asn1.Marshal(nonce)
	return pkix.Extension{Id: oidNonce, Value: value}, err
}

// setNonce gives the nonce of the request back, nil for none, or does what the
// fault wants instead.
func (f *Forgery) setNonce(fault Fault, nonce []byte) error {
	if nonce == nil || fault == NoNonce {
		return nil
	}
	switch fault {
	case OtherNonce:
		nonce = bytes.Clone(nonce)
		nonce[len(nonce)-1] ^= 1
	case LongNonce:
		nonce = make([]byte, 129)
	case EmptyNonce:
		nonce = []byte{}
	}
	e, err := Nonce(nonce)
	if err != nil {
		return err
	}
	e.Critical = fault == StrictNonce
	if fault == BareNonce {
		e.Value = nonce
	}
	f.Extensions = append(f.Extensions, e)
	if fault == TwoNonces {
		f.Extensions = append(f.Extensions, e)
	}
	return nil
}
