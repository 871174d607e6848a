package sigv4_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/muster-mqtt/muster/api/sigv4"
)

// presign returns the request that a URL, presigned by the SDK with this payload
// hash, leads to.
func presign(t *testing.T, method, target, payload string, header http.Header) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "https://localhost:8443"+target, nil)
	r.Header = header.Clone()
	signed, headers, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret},
		r, payload, "iot", region, now)
	if err != nil {
		t.Fatal(err)
	}
	r = httptest.NewRequestWithContext(t.Context(), method, signed, nil)
	r.Header = headers.Clone()
	r.Header.Del("Host")
	r.Header.Del("Content-Length")
	return r
}

func hashed(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

func TestVerifyPresigned(t *testing.T) {
	const body = `{"a":1}`
	for _, c := range []struct {
		name, method, target, payload, body string
		header                              http.Header
		at                                  time.Duration // after it was signed
	}{
		{name: "no body", method: "GET", target: "/things?X-Amz-Expires=60", payload: hashed("")},
		{name: "no expiry", method: "GET", target: "/things", payload: hashed(""), at: 5 * time.Minute},
		{name: "signed by a clock that is ahead", method: "GET", target: "/things", payload: hashed(""), at: -5 * time.Minute},
		{name: "until the last second", method: "GET", target: "/things?X-Amz-Expires=60", payload: hashed(""), at: time.Minute},
		{name: "seven days", method: "GET", target: "/things?X-Amz-Expires=604800", payload: hashed(""), at: 7 * 24 * time.Hour},
		{name: "members", method: "GET", target: "/things?thingTypeName=a%20b&a=%2B&a=&X-Amz-Expires=60", payload: hashed("")},
		{name: "path", method: "GET", target: "/things/a%3Ab?X-Amz-Expires=60", payload: hashed("")},
		{name: "hashed", method: "POST", target: "/things/t", payload: hashed(body), body: body},
		{name: "unsigned", method: "POST", target: "/things/t", payload: "UNSIGNED-PAYLOAD", body: body},
		{name: "unsigned, as a header says", method: "POST", target: "/things/t", payload: "UNSIGNED-PAYLOAD", body: body,
			header: http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}}},
		{name: "unsigned, as the query says", method: "POST", target: "/things/t?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD",
			payload: "UNSIGNED-PAYLOAD", body: body},
		{name: "headers", method: "PUT", target: "/things/t/principals", payload: hashed(""), header: http.Header{"X-Amzn-Principal": {"arn"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := presign(t, c.method, c.target, c.payload, c.header)
			got, err := newVerifier(t, keys{}, "iot", now.Add(c.at)).Verify(r, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if got.Key.ID != keyID || got.Key.Account != account || got.Key.Secret != "" || string(got.Body) != c.body {
				t.Errorf("verified %+v", got)
			}
		})
	}
}

func TestVerifyPresignedRefuses(t *testing.T) {
	const target = "/things/t?X-Amz-Expires=60"
	query := func(change func(url.Values)) func(*http.Request) {
		return func(r *http.Request) {
			q := r.URL.Query()
			change(q)
			r.URL.RawQuery = q.Encode()
		}
	}
	without := func(name string) func(*http.Request) { return query(func(q url.Values) { q.Del(name) }) }
	with := func(name, value string) func(*http.Request) { return query(func(q url.Values) { q.Set(name, value) }) }
	for _, c := range []struct {
		name    string
		payload string // "" is the hash of the body
		target  string
		after   func(*http.Request)
		at      time.Duration
		body    string
		code    string
		text    string
	}{
		{name: "expired", at: 61 * time.Second, code: "InvalidSignatureException",
			text: "Signature expired: 20261122T120000Z is now earlier than 20261122T120001Z (20261122T120101Z - 60 sec.)"},
		{name: "not yet", at: -301 * time.Second, code: "InvalidSignatureException", text: "Signature not yet current: "},
		{name: "both ways", after: set("Authorization", "AWS4-HMAC-SHA256 x"), code: "IncompleteSignatureException", text: "Only one way"},
		{name: "SigV4A", after: with("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"), code: "IncompleteSignatureException", text: "SigV4A"},
		{name: "session token", after: with("X-Amz-Security-Token", "t"), code: "UnrecognizedClientException", text: "long-term"},
		{name: "no algorithm", after: without("X-Amz-Algorithm"), code: "IncompleteSignatureException", text: "'X-Amz-Algorithm'"},
		{name: "no credential", after: without("X-Amz-Credential"), code: "IncompleteSignatureException", text: "'X-Amz-Credential'"},
		{name: "no date", after: without("X-Amz-Date"), code: "IncompleteSignatureException", text: "'X-Amz-Date'"},
		{name: "no headers", after: without("X-Amz-SignedHeaders"), code: "IncompleteSignatureException", text: "'X-Amz-SignedHeaders'"},
		{name: "no signature", after: without("X-Amz-Signature"), code: "IncompleteSignatureException", text: "'X-Amz-Signature'"},
		{name: "two dates", after: func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Date=20261122T120000Z" },
			code: "IncompleteSignatureException", text: "'X-Amz-Date' 2 times"},
		{name: "two expiries", after: func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Expires=60" },
			code: "IncompleteSignatureException", text: "'X-Amz-Expires' 2 times"},
		{name: "expires at once", target: "/things?X-Amz-Expires=0", code: "IncompleteSignatureException", text: "from 1 to 604800"},
		{name: "expires late", target: "/things?X-Amz-Expires=604801", code: "IncompleteSignatureException", text: "from 1 to 604800"},
		{name: "expires never", target: "/things?X-Amz-Expires=x", code: "IncompleteSignatureException", text: "from 1 to 604800"},
		{name: "expiry altered", after: with("X-Amz-Expires", "600"), code: "InvalidSignatureException", text: "does not match the signature"},
		{name: "expiry removed", after: without("X-Amz-Expires"), code: "InvalidSignatureException", text: "does not match the signature"},
		{name: "member added", after: with("thingTypeName", "t"), code: "InvalidSignatureException", text: "does not match the signature"},
		{name: "member altered", target: "/things?a=b", after: with("a", "c"), code: "InvalidSignatureException", text: "does not match the signature"},
		{name: "scope of another day", after: query(func(q url.Values) {
			q.Set("X-Amz-Credential", strings.Replace(q.Get("X-Amz-Credential"), "20261122", "20261121", 1))
		}), code: "InvalidSignatureException", text: "'20261122'"},
		{name: "principal added", after: set("X-Amzn-Principal", "arn"), code: "InvalidSignatureException", text: "'x-amzn-principal'"},
		{name: "body altered", body: "{}", code: "InvalidSignatureException", text: "does not match the signature"},
		{name: "unsigned without TLS", payload: "UNSIGNED-PAYLOAD", body: "{}", after: func(r *http.Request) { r.TLS = nil },
			code: "InvalidSignatureException", text: "does not match the signature"},
		{name: "body declared to be unsigned afterwards", after: with("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), body: "{}",
			code: "InvalidSignatureException", text: "does not match the signature"},
	} {
		t.Run(c.name, func(t *testing.T) {
			payload, to := c.payload, c.target
			if payload == "" {
				payload = hashed("")
			}
			if to == "" {
				to = target
			}
			r := presign(t, "GET", to, payload, nil)
			if c.after != nil {
				c.after(r)
			}
			got, err := newVerifier(t, keys{}, "iot", now.Add(c.at)).Verify(r, []byte(c.body))
			refused(t, got, err, c.code, c.text)
		})
	}
}

// refused demands an *Error with this code and text, and no decision.
func refused(t *testing.T, got sigv4.Verified, err error, code, text string) {
	t.Helper()
	var refusal *sigv4.Error
	if !errors.As(err, &refusal) {
		t.Fatalf("error %v, want %s", err, code)
	}
	if refusal.Code != code || !strings.Contains(refusal.Message, text) {
		t.Errorf("refused by %s %q, want %s with %q", refusal.Code, refusal.Message, code, text)
	}
	want := map[string]int{"IncompleteSignatureException": http.StatusBadRequest, "InvalidRequestException": http.StatusBadRequest}[code]
	if want == 0 {
		want = http.StatusForbidden
	}
	if refusal.Status != want {
		t.Errorf("status %d, want %d", refusal.Status, want)
	}
	if got.Key.Account != "" || got.Key.Secret != "" || got.Body != nil {
		t.Errorf("refused, and yet %+v", got)
	}
}

// FuzzSDK: what the SDK signs is verified, in both forms, whatever the path, the
// query and a header are.
func FuzzSDK(f *testing.F) {
	f.Add("/things/a%2Fb%20c", "a=b&c=%2B+d&a=", "text/plain", "{}")
	f.Add("//x/../y/", "=&%7e=~&a/b=c-d&a-b=c/d", "  a   b  ", "")
	f.Add("/\u00e9*'()", "a;b", "\u00a0a\u00a0 ", "x")
	f.Fuzz(func(t *testing.T, path, query, header, body string) {
		target, err := url.ParseRequestURI(path)
		parsed, malformed := url.ParseQuery(query)
		switch {
		case err != nil || malformed != nil || target.Host != "" || target.Scheme != "" || target.RawQuery != "":
			return
		case strings.ContainsFunc(header, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return // net/http lets no such header in
		}
		for name := range parsed {
			if strings.HasPrefix(name, "X-Amz-") {
				return
			}
		}
		for _, form := range []string{"header", "query"} {
			r := httptest.NewRequestWithContext(t.Context(), "POST", "https://localhost:8443/", nil)
			r.URL.Path, r.URL.RawPath, r.URL.RawQuery = target.Path, target.RawPath, query
			r.Header.Set("Content-Type", header)
			if form == "header" {
				sign(t, r, body, signature{})
			} else {
				signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret},
					r, hashed(body), "iot", region, now)
				if err != nil {
					t.Fatal(err)
				}
				_, r.URL.RawQuery, _ = strings.Cut(signed, "?")
			}
			if _, err := newVerifier(t, keys{}, "iot", now).Verify(r, []byte(body)); err != nil {
				t.Errorf("%s: %q ? %q, %q: %v", form, path, query, header, err)
			}
		}
	})
}
