package sigv4_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/sigv4"
)

const (
	keyID    = "AKIAMUSTERTEST000001"
	disabled = "AKIAMUSTERTEST000002"
	broken   = "AKIAMUSTERTEST000003"
	secret   = "0123456789012345678901234567890123456789"
	account  = "123456789012"
	region   = "us-east-1"
)

var (
	now       = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	errEngine = errors.New("engine stopped")
)

// keys is a key store of one working, one disabled and one unreadable key.
type keys struct{}

func (keys) AccessKey(_ context.Context, id string) (muster.AccessKey, error) {
	switch id {
	case keyID, disabled:
		return muster.AccessKey{ID: id, Account: account, Secret: secret, Disabled: id == disabled}, nil
	case broken:
		return muster.AccessKey{}, errEngine
	}
	return muster.AccessKey{}, fmt.Errorf("access key %s: %w", id, muster.ErrNotFound)
}

func newVerifier(t *testing.T, k sigv4.Keys, service string, at time.Time) *sigv4.Verifier {
	t.Helper()
	v, err := sigv4.New(sigv4.Config{Keys: k, Services: []string{service, "execute-api"}, Region: region, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// signature is how a request gets signed; its zero value is completed by sign.
type signature struct {
	id, secret, region, service string
	at                          time.Time
}

func sign(t *testing.T, r *http.Request, body string, s signature) {
	t.Helper()
	signPayload(t, r, hashed(body), s)
}

// signPayload signs with what stands for the body.
func signPayload(t *testing.T, r *http.Request, payload string, s signature) {
	t.Helper()
	or := func(value *string, fallback string) {
		if *value == "" {
			*value = fallback
		}
	}
	or(&s.id, keyID)
	or(&s.secret, secret)
	or(&s.region, region)
	or(&s.service, "iot")
	if s.at.IsZero() {
		s.at = now
	}
	err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: s.id, SecretAccessKey: s.secret},
		r, payload, s.service, s.region, s.at)
	if err != nil {
		t.Fatal(err)
	}
}

func TestVerifyAcceptsWhatTheSDKSigns(t *testing.T) {
	for _, c := range []struct {
		name, method, target, body string
		header                     map[string]string
		service                    string
	}{
		{"second service", "GET", "/registrationcode", "", nil, "execute-api"},
		{"no body", "GET", "/registrationcode", "", nil, ""},
		{"body", "POST", "/policies/p", `{"policyDocument":"{}"}`, map[string]string{"Content-Type": "application/json"}, ""},
		{"query", "GET", "/cacertificates?pageSize=5&isAscendingOrder=true&marker=a%2Bb%2Fc%3D", "", nil, ""},
		{"repeated and empty query members", "GET", "/tags?b=2&a=&b=1", "", nil, ""},
		{"escaped path", "POST", "/attached-policies/arn%3Aaws%3Aiot%3Aus-east-1%3A1%3Acert%2Fab", "", nil, ""},
		{"plain path", "POST", "/attached-policies/arn:aws:iot:us-east-1:1:cert/ab", "", nil, ""},
		{"path beyond ASCII", "GET", "/things/a%20b+c%C3%A9", "", nil, ""},
		{"hash of the body", "POST", "/tags", `{"a":1}`, map[string]string{"X-Amz-Content-Sha256": hashed(`{"a":1}`)}, ""},
		{"spaces in a header", "GET", "/things", "", map[string]string{"X-Amzn-Principal": "a   b"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), c.method, "https://localhost:8443"+c.target, strings.NewReader(c.body))
			for name, value := range c.header {
				r.Header.Set(name, value)
			}
			sign(t, r, c.body, signature{service: c.service})
			// What proxies and transports add afterwards does not matter.
			r.Header.Set("X-Amzn-Trace-Id", "Root=1")
			r.Header.Set("User-Agent", "test")
			r.Header.Set("Accept-Encoding", "gzip")

			got, err := newVerifier(t, keys{}, "iot", now).Verify(r, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			want := sigv4.Verified{Key: muster.AccessKey{ID: keyID, Account: account}, Body: []byte(c.body)}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("verified %+v, want %+v", got, want)
			}
		})
	}
}

// TestVerifyOtherSigners takes what the SDK for Go leaves out of a signature and
// others sign: .NET the User-Agent, Java and C++ a Content-Length of 0.
func TestVerifyOtherSigners(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), "PUT", "https://localhost:8443/certificates/a?newStatus=ACTIVE", http.NoBody)
	r.Header.Set("User-Agent", "aws-sdk-dotnet")
	r.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+keyID+"/20261122/us-east-1/iot/aws4_request, "+
		"SignedHeaders=content-length;host;user-agent;x-amz-date, Signature="+
		hex.EncodeToString(mac(newChunker("").key, "AWS4-HMAC-SHA256\n20261122T120000Z\n20261122/us-east-1/iot/aws4_request\n"+
			hashed("PUT\n/certificates/a\nnewStatus=ACTIVE\ncontent-length:0\nhost:localhost:8443\nuser-agent:aws-sdk-dotnet\n"+
				"x-amz-date:20261122T120000Z\n\ncontent-length;host;user-agent;x-amz-date\n"+hashed("")))))
	if _, err := newVerifier(t, keys{}, "iot", now).Verify(r, nil); err != nil {
		t.Error(err)
	}
}

// exampleKeys holds the key of AWS's published SigV4 test suite, and that of its
// examples for Amazon S3, which are almost the same.
type exampleKeys struct{}

func (exampleKeys) AccessKey(_ context.Context, id string) (muster.AccessKey, error) {
	secrets := map[string]string{
		"AKIDEXAMPLE":          "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		"AKIAIOSFODNN7EXAMPLE": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	}
	return muster.AccessKey{ID: id, Account: account, Secret: secrets[id]}, nil
}

// TestVerifyVectors takes signatures that AWS publishes, so that signer and
// verifier are not only in agreement with each other.
func TestVerifyVectors(t *testing.T) {
	for _, c := range []struct{ name, method, target, body, contentType, headers, signature string }{
		{"get-vanilla", "GET", "/", "", "", "host;x-amz-date",
			"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla-query-order-key-case", "GET", "/?Param2=value2&Param1=value1", "", "", "host;x-amz-date",
			"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"post-x-www-form-urlencoded", "POST", "/", "Param1=value1", "application/x-www-form-urlencoded",
			"content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), c.method, "https://example.amazonaws.com"+c.target, strings.NewReader(c.body))
			r.Header.Set("X-Amz-Date", "20150830T123600Z")
			if c.contentType != "" {
				r.Header.Set("Content-Type", c.contentType)
			}
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "+
				"SignedHeaders="+c.headers+", Signature="+c.signature)
			at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
			if _, err := newVerifier(t, exampleKeys{}, "service", at).Verify(r, []byte(c.body)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestVerifyPublishedURL takes the presigned URL of AWS's pages about Amazon S3.
func TestVerifyPublishedURL(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), "GET", "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"+
		"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"+
		"&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"+
		"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404", nil)
	at := time.Date(2013, 5, 24, 23, 59, 59, 0, time.UTC)
	if _, err := newVerifier(t, exampleKeys{}, "s3", at).Verify(r, nil); err != nil {
		t.Error(err)
	}
}

const signedBody = `{"policyDocument":"{}"}`

func set(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func replace(old, new string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
	}
}

// refusals are requests that were tampered with before or after they were signed.
var refusals = []struct {
	name   string
	sign   signature
	before func(*http.Request) // the signature
	after  func(*http.Request)
	body   string // received; "" is what was signed
	code   string
	text   string // within the message
}{
	{name: "no authorization", after: func(r *http.Request) { r.Header.Del("Authorization") },
		code: "MissingAuthenticationTokenException", text: "Missing Authentication Token"},
	{name: "other scheme", after: set("Authorization", "Basic dTpw"),
		code: "MissingAuthenticationTokenException", text: "AWS4-HMAC-SHA256"},
	{name: "asymmetric signature", after: replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
		code: "IncompleteSignatureException", text: "SigV4A (AWS4-ECDSA-P256-SHA256) is not supported"},
	{name: "signature of a later version", after: replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
		code: "IncompleteSignatureException", text: "only AWS4-HMAC-SHA256"},
	{name: "two authorizations", after: func(r *http.Request) { r.Header.Add("Authorization", "x") },
		code: "IncompleteSignatureException", text: "occurs 2 times"},
	{name: "no signature", after: replace("Signature=", "Sig="),
		code: "IncompleteSignatureException", text: "'Signature'"},
	{name: "signature of no form", after: replace("Signature=", "Signature=X"),
		code: "IncompleteSignatureException", text: "64 lower-case hex digits"},
	{name: "member twice", after: replace("Signature=", "Credential=x,Signature="),
		code: "IncompleteSignatureException", text: "'Credential' twice"},
	{name: "short credential", after: replace("/aws4_request", ""),
		code: "IncompleteSignatureException", text: "5 slash-delimited"},
	{name: "other terminator", after: replace("/aws4_request", "/aws5_request"),
		code: "InvalidSignatureException", text: "aws4_request"},
	{name: "key of no form", after: replace("Credential=", "Credential=a:b"),
		code: "IncompleteSignatureException", text: "access key ID"},

	{name: "unknown key", sign: signature{id: "AKIAMUSTERTEST999999"},
		code: "UnrecognizedClientException", text: "security token included in the request is invalid"},
	{name: "disabled key", sign: signature{id: disabled},
		code: "UnrecognizedClientException", text: "security token included in the request is invalid"},
	{name: "wrong secret", sign: signature{secret: "x"},
		code: "InvalidSignatureException", text: "does not match the signature you provided"},
	{name: "session token", before: set("X-Amz-Security-Token", "t"),
		code: "UnrecognizedClientException", text: "Session tokens are not supported"},
	{name: "both ways", before: func(r *http.Request) { r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256" },
		code: "IncompleteSignatureException", text: "Only one way of authentication"},
	{name: "malformed query", after: func(r *http.Request) { r.URL.RawQuery = "a=%zz" },
		code: "IncompleteSignatureException", text: "Query string"},

	{name: "five minutes late and one second", sign: signature{at: now.Add(-5*time.Minute - time.Second)},
		code: "InvalidSignatureException",
		text: "Signature expired: 20261122T115459Z is now earlier than 20261122T115500Z (20261122T120000Z - 5 min.)"},
	{name: "five minutes early and one second", sign: signature{at: now.Add(5*time.Minute + time.Second)},
		code: "InvalidSignatureException",
		text: "Signature not yet current: 20261122T120501Z is still later than 20261122T120500Z (20261122T120000Z + 5 min.)"},
	{name: "no date", after: func(r *http.Request) { r.Header.Del("X-Amz-Date") },
		code: "IncompleteSignatureException", text: "X-Amz-Date"},
	{name: "date of no form", after: set("X-Amz-Date", "yesterday"),
		code: "IncompleteSignatureException", text: "ISO-8601"},
	{name: "scope of another day", after: replace("/20261122/", "/20261121/"),
		code: "InvalidSignatureException", text: "'20261122'"},
	{name: "date moved within the day", after: set("X-Amz-Date", "20261122T120001Z"),
		code: "InvalidSignatureException", text: "does not match the signature you provided"},
	{name: "region", sign: signature{region: "eu-west-1"},
		code: "InvalidSignatureException", text: "Credential should be scoped to a valid region, not 'eu-west-1'"},
	{name: "service", sign: signature{service: "s3"},
		code: "InvalidSignatureException", text: "Credential should be scoped to correct service: 'iot'"},

	{name: "altered body", body: `{"policyDocument":"[]"}`,
		code: "InvalidSignatureException", text: "does not match the signature you provided"},
	{name: "hash of another body", before: set("X-Amz-Content-Sha256", strings.Repeat("0", 64)),
		code: "InvalidSignatureException", text: "x-amz-content-sha256"},
	{name: "chunks signed by SigV4A", before: set("X-Amz-Content-Sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"),
		code: "InvalidSignatureException", text: "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD is not supported"},
	{name: "unsigned without TLS", before: set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"),
		after: func(r *http.Request) { r.TLS = nil }, code: "InvalidSignatureException", text: "over TLS only"},
	{name: "two hashes", before: func(r *http.Request) {
		r.Header["X-Amz-Content-Sha256"] = []string{"UNSIGNED-PAYLOAD", "UNSIGNED-PAYLOAD"}
	},
		code: "InvalidSignatureException", text: "x-amz-content-sha256"},
	{name: "headers out of order", after: replace("host;x-amz-date", "x-amz-date;host"),
		code: "InvalidSignatureException", text: "missing or out of order"},
	{name: "headers out of order, which are not searched", after: replace("host;x-amz-date", "x-amz-date;a"),
		code: "InvalidSignatureException", text: "missing or out of order"},
	{name: "long member twice", after: set("Authorization", "AWS4-HMAC-SHA256 "+strings.Repeat("x", 1000)+","+strings.Repeat("x", 1000)),
		code: "IncompleteSignatureException", text: strings.Repeat("x", 400) + "…' twice"},
	{name: "long header added", after: set("X-Amz-"+strings.Repeat("x", 1000), "y"),
		code: "InvalidSignatureException", text: "x…' must be"},
	{name: "header twice", after: replace("host;", "host;host;"),
		code: "InvalidSignatureException", text: "missing or out of order"},
	{name: "altered path", after: func(r *http.Request) { r.URL.Path = "/policies/q" },
		code: "InvalidSignatureException", text: "does not match the signature you provided"},
	{name: "altered query", after: func(r *http.Request) { r.URL.RawQuery = "a=b" },
		code: "InvalidSignatureException", text: "does not match the signature you provided"},
	{name: "altered method", after: func(r *http.Request) { r.Method = "PUT" },
		code: "InvalidSignatureException", text: "does not match the signature you provided"},
	{name: "altered host", after: func(r *http.Request) { r.Host = "elsewhere" },
		code: "InvalidSignatureException", text: "does not match the signature you provided"},
	{name: "altered header", after: set("Content-Type", "text/plain"),
		code: "InvalidSignatureException", text: "does not match the signature you provided"},
	{name: "host not signed", after: replace("host;", ""),
		code: "InvalidSignatureException", text: "'host' must be a 'SignedHeader'"},
	{name: "principal added", after: set("X-Amzn-Principal", "arn"),
		code: "InvalidSignatureException", text: "'x-amzn-principal' must be a 'SignedHeader'"},
	{name: "signed header gone", after: func(r *http.Request) { r.Header.Del("Content-Type") },
		code: "InvalidSignatureException", text: "cannot be verified"},
}

func TestVerifyRefuses(t *testing.T) {
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), "POST", "https://localhost:8443/policies/p", strings.NewReader(signedBody))
			r.Header.Set("Content-Type", "application/json")
			if c.before != nil {
				c.before(r)
			}
			sign(t, r, signedBody, c.sign)
			if c.after != nil {
				c.after(r)
			}
			received := signedBody
			if c.body != "" {
				received = c.body
			}
			got, err := newVerifier(t, keys{}, "iot", now).Verify(r, []byte(received))
			refused(t, got, err, c.code, c.text)
		})
	}
}

// TestVerifyAtTheEdgeOfTheSkew: five minutes off, to the second, is accepted.
func TestVerifyAtTheEdgeOfTheSkew(t *testing.T) {
	for _, at := range []time.Time{now.Add(-5 * time.Minute), now.Add(5 * time.Minute)} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "https://localhost/things", nil)
		sign(t, r, "", signature{at: at})
		if _, err := newVerifier(t, keys{}, "iot", now).Verify(r, nil); err != nil {
			t.Errorf("%v: %v", at, err)
		}
	}
}

// TestVerifyForgetsSecrets: what one request signed by an unknown key left
// behind must not serve the next, when the key exists.
func TestVerifyForgetsSecrets(t *testing.T) {
	var known swappedKeys
	v := newVerifier(t, &known, "iot", now)
	for _, next := range []string{"first secret", "second secret"} {
		known.secret = next
		r := httptest.NewRequestWithContext(t.Context(), "GET", "https://localhost/things", nil)
		sign(t, r, "", signature{secret: next})
		if _, err := v.Verify(r, nil); err != nil {
			t.Errorf("%s: %v", next, err)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "https://localhost/things", nil)
	sign(t, r, "", signature{secret: "first secret"})
	if _, err := v.Verify(r, nil); err == nil {
		t.Error("a secret that was replaced is still accepted")
	}
}

type swappedKeys struct{ secret string }

func (k *swappedKeys) AccessKey(_ context.Context, id string) (muster.AccessKey, error) {
	return muster.AccessKey{ID: id, Account: account, Secret: k.secret}, nil
}

// TestVerifyStoreFails: what is no refusal is no *Error, so that it becomes a 500.
func TestVerifyStoreFails(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), "GET", "https://localhost/things", nil)
	sign(t, r, "", signature{id: broken})
	_, err := newVerifier(t, keys{}, "iot", now).Verify(r, nil)
	var refusal *sigv4.Error
	if !errors.Is(err, errEngine) || errors.As(err, &refusal) {
		t.Errorf("error %v, want %v", err, errEngine)
	}
}

func TestNewNeedsItsFields(t *testing.T) {
	for _, c := range []sigv4.Config{
		{Services: []string{"iot"}, Region: region},
		{Keys: keys{}, Region: region},
		{Keys: keys{}, Services: []string{"iot"}},
	} {
		if _, err := sigv4.New(c); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}

// FuzzVerify: no header, path or query gets in, and none panics.
func FuzzVerify(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKIAMUSTERTEST000001/20261122/us-east-1/iot/aws4_request, SignedHeaders=host;x-amz-date, "+
		"Signature="+strings.Repeat("0", 64), "20261122T120000Z", "a=b", "/things")
	f.Add("AWS4-HMAC-SHA256 Credential=////,SignedHeaders=;,Signature=", "", "%", "//")
	f.Fuzz(func(t *testing.T, authorization, date, query, path string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "https://localhost/", nil)
		r.URL.Path, r.URL.RawPath, r.URL.RawQuery = path, path, query
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		got, err := newVerifier(t, keys{}, "iot", now).Verify(r, nil)
		if err == nil || got.Key.Account != "" {
			t.Errorf("verified as %+v", got)
		}
	})
}
