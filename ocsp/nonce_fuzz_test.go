package ocsp

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
)

// Whatever stands in the extension, at most one reading of it is the nonce.
func FuzzNonce(f *testing.F) {
	for _, nonce := range [][]byte{{1}, newNonce(), make([]byte, maxNonce), make([]byte, maxNonce+1), {}} {
		e, err := nonceExtension(nonce)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(e.Value)
		f.Add(append(e.Value, 0))
	}
	f.Add([]byte(nil))
	f.Add([]byte{0x24, 0x03, 0x04, 0x01, 0x07}) // in parts, which is BER
	f.Fuzz(func(t *testing.T, value []byte) {
		nonce, err := nonceOf([]pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}}, {Id: oidNonce, Value: value}})
		if err != nil {
			if faultOf(err) != FaultNonce {
				t.Errorf("%x: %v", value, err)
			}
			return
		}
		if len(nonce) < 1 || len(nonce) > maxNonce {
			t.Fatalf("%x: a nonce of %d octets", value, len(nonce))
		}
		if e, err := nonceExtension(nonce); err != nil || !bytes.Equal(e.Value, value) {
			t.Errorf("%x was read as %x, which is written %x (%v)", value, nonce, e.Value, err)
		}
	})
}
