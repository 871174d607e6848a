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

// authorization is what the Authorization header or the query of a presigned URL
// says.
type authorization struct {
	keyID   string
	date    string // yyyymmdd
	region  string
	service string
	headers []string // SignedHeaders, lower case
	// signature is 64 lower-case hex digits.
	signature string

	signed    time.Time
	presigned bool          // by the query
	expires   time.Duration // after signed, if presigned
}

var (
	keyIDForm     = regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`)
	signatureForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// parse reads the authorization of a request, which has one of the two forms.
func parse(r *http.Request, query url.Values) (authorization, error) {
	inQuery := query.Has(queryAlgorithm) || query.Has(queryCredential) || query.Has(querySignature)
	switch {
	case inQuery && len(r.Header.Values("Authorization")) > 0:
		return authorization{}, incomplete("Only one way of authentication is allowed: " +
			"the Authorization header or the X-Amz-… members of the query")
	case len(r.Header.Values("X-Amz-Security-Token")) > 0 || query.Has("X-Amz-Security-Token"):
		return authorization{}, unrecognized("Session tokens are not supported: sign with a long-term access key")
	case inQuery:
		return parseQuery(query)
	}
	a, err := parseHeader(r.Header.Values("Authorization"))
	if err == nil {
		err = a.parseDate(r.Header.Values("X-Amz-Date"), "Authorization header requires existence of one 'X-Amz-Date' header")
	}
	return a, err
}

// parseHeader reads the header
//
//	AWS4-HMAC-SHA256 Credential=ID/date/region/service/aws4_request, SignedHeaders=a;b, Signature=hex
//
// in which the blanks after the commas are optional.
func parseHeader(values []string) (authorization, error) {
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
	if err := checkAlgorithm(scheme); err != nil {
		return a, err
	}
	members := make(map[string]string, 3)
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := members[name]; twice {
			return a, incomplete("Authorization header has '%s' twice", shorten(name))
		}
		members[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if members[name] == "" {
			return a, incomplete("Authorization header requires '%s' parameter", name)
		}
	}
	return a, a.fill(members["Credential"], members["SignedHeaders"], members["Signature"])
}

// checkAlgorithm tells users of SigV4A, which signs with elliptic curves for
// several regions at once, what to change.
func checkAlgorithm(given string) error {
	switch {
	case given == algorithm:
		return nil
	case strings.HasPrefix(given, "AWS4-ECDSA-"):
		return incomplete("SigV4A (%.40s) is not supported: only SigV4 (%s) is accepted", given, algorithm)
	}
	return incomplete("Unsupported signature algorithm: only %s is accepted", algorithm)
}

// fill takes the members that both forms have.
func (a *authorization) fill(credential, signedHeaders, signature string) error {
	a.headers = strings.Split(signedHeaders, ";")
	a.signature = signature
	if !signatureForm.MatchString(signature) {
		return incomplete("Signature must be 64 lower-case hex digits")
	}
	return a.parseCredential(credential)
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
	if scope[4] != terminator {
		return invalid("Credential should be scoped with a valid terminator: '%s'", terminator)
	}
	a.keyID, a.date, a.region, a.service = scope[0], scope[1], scope[2], scope[3]
	return nil
}

// parseDate reads X-Amz-Date, which must be of the day of the credential's scope.
func (a *authorization) parseDate(values []string, absent string) (err error) {
	if len(values) != 1 {
		return incomplete("%s", absent)
	}
	if a.signed, err = time.Parse(timeFormat, values[0]); err != nil {
		return incomplete("Date must be in ISO-8601 'basic format': X-Amz-Date: yyyymmddThhmmssZ")
	}
	if day := a.signed.Format(dayFormat); a.date != day {
		return invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s'", day)
	}
	return nil
}

// covers refuses a signature that leaves out what gives the request its
// meaning: the host, and every header of AWS's own, present or not expected by
// this operation. X-Amzn-Trace-Id is what proxies add; signers leave it out.
func (a *authorization) covers(h http.Header) error {
	// In order they are found fast: a stranger's request may have thousands.
	if !slices.IsSorted(a.headers) {
		return a.unverifiable()
	}
	if !a.signs("host") {
		return invalid("'host' must be a 'SignedHeader' in the AWS Authorization")
	}
	for name := range h {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz") && name != "x-amzn-trace-id" && !a.signs(name) {
			return invalid("'%s' must be a 'SignedHeader' in the AWS Authorization", shorten(name))
		}
	}
	return nil
}

func (a *authorization) signs(header string) bool {
	_, found := slices.BinarySearch(a.headers, header)
	return found
}

func (a *authorization) unverifiable() error {
	return invalid("SignedHeaders: '%s' cannot be verified: these headers are missing or out of order",
		shorten(strings.Join(a.headers, ";")))
}
