package responder_test

import (
	"bytes"
	"context"
	"crypto"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"

	wire "golang.org/x/crypto/ocsp"

	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/ocsp/responder"
)

// Whatever is asked, the reply is one of OCSP's own, and signed only where the
// request was about a certificate of the authority.
func FuzzServeHTTP(f *testing.F) {
	a, err := mint.NewAuthority("Fuzz authority")
	if err != nil {
		f.Fatal(err)
	}
	leaf, err := a.Issue(mint.Request{})
	if err != nil {
		f.Fatal(err)
	}
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA512} {
		der, err := wire.CreateRequest(leaf.Cert, a.Cert, &wire.RequestOptions{Hash: h})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
		f.Add(withExtensions(f, der, nonce(f, 32)))
		f.Add(withExtensions(f, der, nonce(f, 200)))
	}
	f.Add([]byte("hello"))
	handler, err := responder.New(responder.Config{
		Issuer: a.Cert, Signer: a.Key,
		Status: func(context.Context, *big.Int) (responder.State, error) {
			return responder.State{Status: responder.Good}, nil
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		reply := httptest.NewRecorder()
		handler.ServeHTTP(reply, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(der)))
		_, err := wire.ParseResponse(reply.Body.Bytes(), a.Cert)
		if _, refused := err.(wire.ResponseError); err != nil && !refused {
			t.Errorf("HTTP %d %x: %v", reply.Code, reply.Body, err)
		}
	})
}
