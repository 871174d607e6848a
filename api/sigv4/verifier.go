package sigv4

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/muster-mqtt/muster"
)

const (
	timeFormat = "20060102T150405Z"
	dayFormat  = "20060102"
	maxSkew    = 5 * time.Minute // AWS's tolerance of a request's clock
)

// Keys looks access keys up.
type Keys interface {
	// AccessKey returns the key with its secret in clear, or an error that
	// wraps muster.ErrNotFound.
	AccessKey(ctx context.Context, id string) (muster.AccessKey, error)
}

// Config says whose requests to accept. Every field without a default is needed.
type Config struct {
	Keys     Keys
	Services []string         // signing names to accept, such as "iot"; the first is told to who uses another
	Region   string           // such as "us-east-1"
	Now      func() time.Time // default time.Now
}

// Identity is who signed a request.
type Identity struct {
	Account string
	KeyID   string
}

// Verifier checks the signatures of requests to one API in one region. It
// is safe for concurrent use.
type Verifier struct {
	config Config
	// decoy signs for keys that do not exist. It is random: whoever knew it
	// could sign as a key that is unknown.
	decoy string
}

// New returns a Verifier.
func New(c Config) (*Verifier, error) {
	if c.Keys == nil || len(c.Services) == 0 || c.Region == "" {
		return nil, errors.New("sigv4: Keys, Services and Region are needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Verifier{config: c, decoy: rand.Text()}, nil
}

// Verify tells who signed r, whose body was read into body. A refusal is an
// *Error. With an error, Identity holds at most the key ID that the request
// claims: fit for a log, not for a decision.
func (v *Verifier) Verify(r *http.Request, body []byte) (Identity, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		// The signer would drop what it cannot parse, and sign the rest.
		return Identity{}, incomplete("Query string: %v", err)
	}
	if err := refuseUnsupported(r, query); err != nil {
		return Identity{}, err
	}
	auth, err := parseAuthorization(r.Header.Values("Authorization"))
	if err != nil {
		return Identity{}, err
	}
	claimed := Identity{KeyID: auth.keyID}
	signed, err := v.check(r, &auth)
	if err != nil {
		return claimed, err
	}
	hash, err := payloadHash(r.Header, body)
	if err != nil {
		return claimed, err
	}

	key, err := v.config.Keys.AccessKey(r.Context(), auth.keyID)
	unknown := errors.Is(err, muster.ErrNotFound) || err == nil && key.Disabled
	if err != nil && !unknown {
		return claimed, fmt.Errorf("access key %s: %w", auth.keyID, err)
	}
	secret := key.Secret
	if unknown {
		secret = v.decoy // the same work, so that time does not tell which keys exist
	}
	err = v.compare(r, &auth, secret, hash, signed)
	switch {
	case unknown:
		return claimed, unrecognized("The security token included in the request is invalid.")
	case err != nil:
		return claimed, err
	}
	return Identity{Account: key.Account, KeyID: key.ID}, nil
}

// check refuses by what the request says of itself, and returns when it was
// signed.
func (v *Verifier) check(r *http.Request, auth *authorization) (time.Time, error) {
	if auth.region != v.config.Region {
		return time.Time{}, invalid("Credential should be scoped to a valid region, not '%s': use '%s'", auth.region, v.config.Region)
	}
	if !slices.Contains(v.config.Services, auth.service) {
		return time.Time{}, invalid("Credential should be scoped to correct service: '%s'", v.config.Services[0])
	}
	if err := auth.covers(r.Header); err != nil {
		return time.Time{}, err
	}
	signed, err := auth.signingTime(r.Header)
	if err != nil {
		return time.Time{}, err
	}
	return signed, checkTime(signed, v.config.Now())
}

// payloadHash hashes the body. The IoT SDKs send no X-Amz-Content-Sha256; where
// it is sent it must tell the truth.
func payloadHash(h http.Header, body []byte) (string, error) {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	for _, claim := range h.Values("X-Amz-Content-Sha256") {
		if claim != hash {
			return "", invalid("The provided 'x-amz-content-sha256' header does not match what was computed.")
		}
	}
	return hash, nil
}

// compare signs what r's signature covers and compares the signatures.
func (v *Verifier) compare(r *http.Request, auth *authorization, secret, hash string, signed time.Time) error {
	// The signer changes what it signs. A URL without a scheme keeps it from
	// taking a default port off the host that the client signed.
	again := &http.Request{
		Method: r.Method,
		URL:    &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
		Host:   r.Host,
		Header: make(http.Header, len(auth.headers)),
	}
	for name, values := range r.Header {
		if slices.Contains(auth.headers, strings.ToLower(name)) {
			again.Header[name] = slices.Clone(values)
		}
	}
	if slices.Contains(auth.headers, "content-length") {
		again.ContentLength = r.ContentLength
	}

	// A signer of its own for each request: it caches the derived key by the
	// key's ID alone, so that a decoy, or a secret since replaced, would go on
	// being accepted until the end of the day.
	credentials := aws.Credentials{AccessKeyID: auth.keyID, SecretAccessKey: secret}
	err := v4.NewSigner().SignHTTP(r.Context(), credentials, again, hash, auth.service, auth.region, signed)
	if err != nil {
		return fmt.Errorf("sign again: %w", err)
	}
	own, err := parseAuthorization(again.Header.Values("Authorization"))
	if err != nil {
		return fmt.Errorf("sign again: %w", err)
	}
	if !slices.Equal(own.headers, auth.headers) {
		return invalid("SignedHeaders: '%s' cannot be verified: these headers are missing, "+
			"out of order, or among those that change on the way", strings.Join(auth.headers, ";"))
	}
	if subtle.ConstantTimeCompare([]byte(own.signature), []byte(auth.signature)) != 1 {
		return invalid("The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return nil
}
