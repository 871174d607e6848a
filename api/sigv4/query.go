package sigv4

import (
	"net/url"
	"strconv"
	"time"
)

// The members of the query that sign a URL. Their names are sensitive to case.
const (
	queryAlgorithm  = "X-Amz-Algorithm"
	queryCredential = "X-Amz-Credential"
	queryDate       = "X-Amz-Date"
	queryExpires    = "X-Amz-Expires"
	queryHeaders    = "X-Amz-SignedHeaders"
	querySignature  = "X-Amz-Signature"
)

// maxExpires is how long AWS lets a presigned URL live: seven days.
const maxExpires = 604_800

// parseQuery reads the authorization of a presigned URL. Without X-Amz-Expires,
// which not all signers set, it is valid for as long as a signature in a header.
func parseQuery(query url.Values) (authorization, error) {
	a := authorization{presigned: true, expires: maxSkew}
	for _, name := range []string{queryAlgorithm, queryCredential, queryDate, queryHeaders, querySignature} {
		if query.Get(name) == "" {
			return a, incomplete("AWS query-string parameters must include '%s'. Re-examine the query-string parameters.", name)
		}
	}
	for _, name := range []string{queryAlgorithm, queryCredential, queryDate, queryExpires, queryHeaders, querySignature, hashHeader} {
		if n := len(query[name]); n > 1 {
			return a, incomplete("AWS query-string parameters have '%s' %d times", name, n)
		}
	}
	if err := checkAlgorithm(query.Get(queryAlgorithm)); err != nil {
		return a, err
	}
	if query.Has(queryExpires) {
		seconds, err := strconv.Atoi(query.Get(queryExpires))
		if err != nil || seconds < 1 || seconds > maxExpires {
			return a, incomplete("%s must be a number of seconds from 1 to %d", queryExpires, maxExpires)
		}
		a.expires = time.Duration(seconds) * time.Second
	}
	if err := a.fill(query.Get(queryCredential), query.Get(queryHeaders), query.Get(querySignature)); err != nil {
		return a, err
	}
	return a, a.parseDate(query[queryDate], "")
}
