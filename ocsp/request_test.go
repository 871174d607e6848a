package ocsp

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/crypto/ocsp"

	"github.com/muster-mqtt/muster/internal/mint"
)

// Without a nonce, a request is byte for byte that of x/crypto/ocsp; with one,
// it is read as the same question.
func TestNewRequest(t *testing.T) {
	a, err := mint.NewAuthority("Authority")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := a.Issue(mint.Request{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := ocsp.CreateRequest(leaf.Cert, a.Cert, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := newRequest(leaf.Cert, a.Cert, nil)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v\nwant %x", got, err, want)
	}
	nonce := newNonce()
	if len(nonce) != 32 || bytes.Equal(nonce, newNonce()) {
		t.Errorf("nonce %x", nonce)
	}
	got, err = newRequest(leaf.Cert, a.Cert, nonce)
	if err != nil || !bytes.Contains(got, append([]byte{0x04, 0x22, 0x04, 0x20}, nonce...)) {
		t.Errorf("with a nonce: %x, %v", got, err)
	}
	read, err := ocsp.ParseRequest(got)
	if err != nil || read.SerialNumber.Cmp(leaf.Cert.SerialNumber) != 0 {
		t.Errorf("with a nonce: %+v, %v", read, err)
	}
}

func TestGetURL(t *testing.T) {
	odd := []byte{0xfb, 0xff, 0xfe, 0xff} // "+//+/w==" in base64
	cases := []struct{ base, want string }{
		{"http://h", "http://h/%2B%2F%2F%2B%2Fw%3D%3D"},
		{"http://h/", "http://h/%2B%2F%2F%2B%2Fw%3D%3D"},
		{"http://h:81/ocsp/a%20b", "http://h:81/ocsp/a%20b/%2B%2F%2F%2B%2Fw%3D%3D"},
		{"http://h/?ca=1", ""},
		{"http://h?", ""},
		{"http://h/" + strings.Repeat("x", 255-9-23), "http://h/" + strings.Repeat("x", 255-9-23) + "/%2B%2F%2F%2B%2Fw%3D%3D"},
		{"http://h/" + strings.Repeat("x", 255-9-22), ""},
	}
	for _, k := range cases {
		u, err := url.Parse(k.base)
		if err != nil {
			t.Fatal(err)
		}
		got := getURL(u, odd)
		if got != k.want {
			t.Errorf("%s: %q, want %q", k.base, got, k.want)
			continue
		}
		if got == "" {
			continue
		}
		// What arrives is what was sent.
		sent, err := url.Parse(got)
		if err != nil {
			t.Fatal(err)
		}
		escaped := sent.RequestURI()[strings.LastIndexByte(sent.RequestURI(), '/')+1:]
		text, err := url.PathUnescape(escaped)
		if err != nil {
			t.Fatal(err)
		}
		if der, err := base64.StdEncoding.DecodeString(text); err != nil || !bytes.Equal(der, odd) {
			t.Errorf("%s: %x, %v", got, der, err)
		}
	}
}
