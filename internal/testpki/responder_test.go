package testpki_test

import (
	"bytes"
	"crypto/x509"
	"io"
	"net/http"
	"testing"

	"golang.org/x/crypto/ocsp"

	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
)

func ask(t *testing.T, r *testpki.Responder, leaf *x509.Certificate) *ocsp.Response {
	t.Helper()
	request, err := ocsp.CreateRequest(leaf, r.Authority.Cert, nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.Post(r.URL, "application/ocsp-request", bytes.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	der, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := ocsp.ParseResponseForCert(der, leaf, r.Authority.Cert)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// The answers are such that another implementation reads them as meant.
func TestResponder(t *testing.T) {
	r := testpki.NewResponder(t)
	leaf := r.Issue(t, mint.Request{})
	if got := ask(t, r, leaf.Cert).Status; got != ocsp.Good {
		t.Errorf("issued: status %d, want good", got)
	}
	r.Revoke(t, leaf.Cert, ocsp.KeyCompromise)
	if got := ask(t, r, leaf.Cert); got.Status != ocsp.Revoked || got.RevocationReason != ocsp.KeyCompromise {
		t.Errorf("revoked: status %d for reason %d", got.Status, got.RevocationReason)
	}
	r.Restore(leaf.Cert)
	if got := ask(t, r, leaf.Cert).Status; got != ocsp.Good {
		t.Errorf("restored: status %d, want good", got)
	}
	stranger, err := r.Authority.Issue(mint.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, r, stranger.Cert).Status; got != ocsp.Unknown {
		t.Errorf("never seen: status %d, want unknown", got)
	}
	if got := r.Requests(); got != 4 {
		t.Errorf("%d requests counted, want 4", got)
	}
}

// These faults are invisible to x/crypto/ocsp, which believes them: that is
// why the forgeries are worth having.
func TestForgeriesAreBelieved(t *testing.T) {
	r := testpki.NewResponder(t)
	leaf := r.Issue(t, mint.Request{})
	for _, fault := range []testpki.Fault{
		testpki.SelfVouched, testpki.DelegateExpired, testpki.DelegateNoEKU, testpki.WrongNameHash,
		testpki.WrongKeyHash, testpki.Stale, testpki.Future, testpki.SHA1Signature, testpki.WrongResponder,
	} {
		r.Fail(fault)
		if got := ask(t, r, leaf.Cert).Status; got != ocsp.Good {
			t.Errorf("%s: status %d, want good", fault, got)
		}
	}
}
