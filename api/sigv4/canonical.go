package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	timeFormat = "20060102T150405Z"
	dayFormat  = "20060102"
	terminator = "aws4_request"
)

// canonical is what a signature covers in the form in which it is signed, up to
// the hash of the payload. AWS's documentation calls it the canonical request:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func canonical(r *http.Request, query url.Values, a *authorization) (string, error) {
	var headers strings.Builder
	for i, name := range a.headers {
		value, ok := headerValue(r, name)
		if !ok || i > 0 && a.headers[i-1] >= name {
			return "", a.unverifiable()
		}
		headers.WriteString(name + ":" + value + "\n")
	}
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	return strings.Join([]string{
		r.Method,
		// What was sent is escaped once more; only Amazon S3 leaves it at that.
		strings.ReplaceAll(escape(path), "%2F", "/"),
		canonicalQuery(query),
		headers.String(),
		strings.Join(a.headers, ";"),
	}, "\n"), nil
}

// headerValue returns the values of a header as they are signed. net/http keeps
// some headers elsewhere.
func headerValue(r *http.Request, name string) (string, bool) {
	switch name {
	case "host":
		return r.Host, true
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10), r.ContentLength >= 0
	case "transfer-encoding":
		return strings.Join(r.TransferEncoding, ","), len(r.TransferEncoding) > 0
	}
	key := http.CanonicalHeaderKey(name)
	values, ok := r.Header[key]
	if !ok || strings.ToLower(name) != name {
		return "", false
	}
	cleaned := make([]string, len(values))
	for i, v := range values {
		cleaned[i] = oneSpace(v)
	}
	return strings.Join(cleaned, ","), true
}

// oneSpace trims s and leaves one of several spaces.
func oneSpace(s string) string {
	s = strings.TrimSpace(s)
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

// canonicalQuery is the query without its signature, escaped and then sorted.
func canonicalQuery(query url.Values) string {
	var pairs []string
	for name, values := range query {
		if name == querySignature {
			continue
		}
		for _, v := range values {
			// Joined by what sorts below all that a name holds: it goes by names first.
			pairs = append(pairs, escape(name)+"\x00"+escape(v))
		}
	}
	slices.Sort(pairs)
	return strings.ReplaceAll(strings.Join(pairs, "&"), "\x00", "=")
}

// escape leaves the unreserved characters of RFC 3986 as they are, and no other.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// signer signs with the key that is derived from a secret for one scope.
type signer struct {
	key         []byte
	time, scope string
}

func newSigner(secret string, a *authorization) signer {
	key := []byte("AWS4" + secret)
	for _, part := range []string{a.date, a.region, a.service, terminator} {
		key = sum(key, part)
	}
	return signer{key, a.signed.Format(timeFormat), strings.Join([]string{a.date, a.region, a.service, terminator}, "/")}
}

// sign returns the signature of lines that follow the algorithm, the time and the
// scope.
func (s signer) sign(kind string, lines ...string) string {
	text := strings.Join(append([]string{kind, s.time, s.scope}, lines...), "\n")
	return hex.EncodeToString(sum(s.key, text))
}

func sum(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text)) // never fails (hash.Hash)
	return h.Sum(nil)
}

func hashOf[T string | []byte](content T) string {
	h := sha256.Sum256([]byte(content))
	return hex.EncodeToString(h[:])
}

// shorten bounds what an answer repeats of a request.
func shorten(s string) string {
	const most = 400
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
