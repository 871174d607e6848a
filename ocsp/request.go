package ocsp

import (
	"crypto"
	_ "crypto/sha1" // names the certificate, see newRequest
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"net/url"
	"strings"
)

// The ASN.1 of RFC 6960 §4.1.1. That of x/crypto/ocsp has no place for a nonce
// (golang/go #43522).

type ocspRequest struct {
	TBS tbsRequest
}

type tbsRequest struct {
	Version    int `asn1:"explicit,tag:0,default:0,optional"`
	List       []singleRequest
	Extensions []pkix.Extension `asn1:"explicit,tag:2,optional,omitempty"`
}

type singleRequest struct {
	CertID certID
}

// newRequest returns a request about leaf, with the nonce if that is not nil.
// SHA-1 names the certificate: every responder knows it, and it is no
// signature (RFC 5019 §2.1.1).
func newRequest(leaf, issuer *x509.Certificate, nonce []byte) ([]byte, error) {
	tbs := tbsRequest{List: []singleRequest{{certID{
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: hashes[0].oid, Parameters: asn1.NullRawValue},
		NameHash:  sum(crypto.SHA1, issuer.RawSubject),
		KeyHash:   sum(crypto.SHA1, publicKeyBits(issuer)),
		Serial:    leaf.SerialNumber,
	}}}}
	if nonce != nil {
		extension, err := nonceExtension(nonce)
		if err != nil {
			return nil, err
		}
		tbs.Extensions = []pkix.Extension{extension}
	}
	return asn1.Marshal(ocspRequest{tbs})
}

// maxGet is how many bytes the URL of a GET has at most, all counted
// (RFC 5019 §5). Longer ones are not cached on the way, or not even let pass.
const maxGet = 255

// getURL returns the URL by which u is asked by GET, or "" if it cannot be:
// the request would be too long, or u has a query that the path would not
// stand before (RFC 6960 appendix A.1).
func getURL(u *url.URL, request []byte) string {
	if u.RawQuery != "" || u.ForceQuery {
		return ""
	}
	// Base64 has "+", "/" and "=", which mean something else in a URL, and
	// responders that take them for that.
	escaped := escapes.Replace(base64.StdEncoding.EncodeToString(request))
	get := strings.TrimSuffix(u.String(), "/") + "/" + escaped
	if len(get) > maxGet {
		return ""
	}
	return get
}

var escapes = strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D")
