package sigv4

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

const algorithm = "AWS4-HMAC-SHA256"

// authorization is what the Authorization header says.
type authorization struct {
	keyID   string
	date    string // yyyymmdd
	region  string
	service string
	headers []string // SignedHeaders, lower case
	// signature is 64 lower-case hex digits.
	signature string
}

var (
	keyIDForm     = regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`)
	signatureForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// parseAuthorization reads the header
//
//	AWS4-HMAC-SHA256 Credential=ID/date/region/service/aws4_request, SignedHeaders=a;b, Signature=hex
//
// in which the blanks after the commas are optional.
func parseAuthorization(values []string) (authorization, error) {
	var a authorization
	if len(values) == 0 {
		return a, missing("Missing Authentication Token")
	}
	if len(values) > 1 {
		return a, incomplete("Authorization header occurs %d times", len(values))
	}
	scheme, rest, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	if !strings.HasPrefix(scheme, "AWS4-") {
		return a, missing("Missing Authentication Token: sign the request by " + algorithm)
	}
	if scheme != algorithm {
		return a, incomplete("Unsupported signature algorithm: only %s is accepted", algorithm)
	}
	members := make(map[string]string, 3)
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := members[name]; twice {
			return a, incomplete("Authorization header has '%s' twice", name)
		}
		members[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if members[name] == "" {
			return a, incomplete("Authorization header requires '%s' parameter", name)
		}
	}
	a.headers = strings.Split(members["SignedHeaders"], ";")
	a.signature = members["Signature"]
	if !signatureForm.MatchString(a.signature) {
		return a, incomplete("Authorization header: Signature must be 64 lower-case hex digits")
	}
	return a, a.parseCredential(members["Credential"])
}

func (a *authorization) parseCredential(credential string) error {
	scope := strings.Split(credential, "/")
	if len(scope) != 5 {
		return incomplete("Credential must have exactly 5 slash-delimited elements, " +
			"e.g. keyid/date/region/service/term")
	}
	if !keyIDForm.MatchString(scope[0]) {
		return incomplete("Credential: the access key ID must match %s", keyIDForm)
	}
	if scope[4] != "aws4_request" {
		return invalid("Credential should be scoped with a valid terminator: 'aws4_request'")
	}
	a.keyID, a.date, a.region, a.service = scope[0], scope[1], scope[2], scope[3]
	return nil
}

// covers refuses a signature that leaves out what gives the request its
// meaning: the host, and every header of AWS's own, present or not expected by
// this operation. X-Amzn-Trace-Id is what proxies add; signers leave it out.
func (a *authorization) covers(h http.Header) error {
	if !slices.Contains(a.headers, "host") {
		return invalid("'host' must be a 'SignedHeader' in the AWS Authorization")
	}
	for name := range h {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz") && name != "x-amzn-trace-id" && !slices.Contains(a.headers, name) {
			return invalid("'%s' must be a 'SignedHeader' in the AWS Authorization", name)
		}
	}
	return nil
}

// refuseUnsupported names the ways of SigV4 that are not accepted here, so that
// their users learn more than that a signature is wrong.
func refuseUnsupported(r *http.Request, query url.Values) error {
	if query.Has("X-Amz-Algorithm") || query.Has("X-Amz-Signature") {
		return incomplete("Authentication by query string is not supported: sign with the Authorization header")
	}
	if len(r.Header.Values("X-Amz-Security-Token")) > 0 || query.Has("X-Amz-Security-Token") {
		return unrecognized("Session tokens are not supported: sign with a long-term access key")
	}
	if strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return invalid("Chunked payload signing is not supported: send x-amz-content-sha256 with the hash of the body")
	}
	return nil
}

// signingTime reads X-Amz-Date, which must be of the day of the credential's
// scope.
func (a *authorization) signingTime(h http.Header) (time.Time, error) {
	values := h.Values("X-Amz-Date")
	if len(values) != 1 {
		return time.Time{}, incomplete("Authorization header requires existence of one 'X-Amz-Date' header")
	}
	t, err := time.Parse(timeFormat, values[0])
	if err != nil {
		return time.Time{}, incomplete("Date must be in ISO-8601 'basic format': X-Amz-Date: yyyymmddThhmmssZ")
	}
	if day := t.Format(dayFormat); a.date != day {
		return time.Time{}, invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s'", day)
	}
	return t, nil
}
