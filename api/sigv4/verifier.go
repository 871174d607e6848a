package sigv4

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/muster-mqtt/muster"
)

// maxSkew is AWS's tolerance of a request's clock.
const maxSkew = 5 * time.Minute

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

// Verified is what a request turned out to be.
type Verified struct {
	Key  muster.AccessKey // that signed it, without its secret
	Body []byte           // what was sent, taken out of AWS's chunks where it came in those
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
// *Error. With an error, Verified holds at most the ID of the key that the request
// claims: fit for a log, not for a decision.
func (v *Verifier) Verify(r *http.Request, body []byte) (Verified, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		// What cannot be parsed would be dropped, and the rest verified.
		return Verified{}, incomplete("Query string: %v", err)
	}
	auth, err := parse(r, query)
	claimed := Verified{Key: muster.AccessKey{ID: auth.keyID}}
	if err != nil {
		return claimed, err
	}
	if err := v.check(r, &auth); err != nil {
		return claimed, err
	}
	p, err := payloadOf(r, query, &auth, body)
	if err != nil {
		return claimed, err
	}
	covered, err := canonical(r, query, &auth)
	if err != nil {
		return claimed, err
	}
	key, err := v.config.Keys.AccessKey(r.Context(), auth.keyID)
	unknown := errors.Is(err, muster.ErrNotFound) || err == nil && key.Disabled
	if err != nil && !unknown {
		return claimed, fmt.Errorf("access key %s: %w", auth.keyID, err)
	}
	if unknown {
		key.Secret = v.decoy // the same work, so that time does not tell which keys exist
	}
	s := newSigner(key.Secret, &auth)
	err = auth.compare(s, covered, p.may)
	switch {
	case unknown:
		return claimed, unrecognized("The security token included in the request is invalid.")
	case err != nil:
		return claimed, err
	}
	if p.chunks != nil {
		if body, err = p.chunks.decode(s, auth.signature); err != nil {
			return claimed, err
		}
	}
	key.Secret = ""
	return Verified{Key: key, Body: body}, nil
}

// check refuses by what the request says of itself.
func (v *Verifier) check(r *http.Request, auth *authorization) error {
	if auth.region != v.config.Region {
		return invalid("Credential should be scoped to a valid region, not '%s': use '%s'", shorten(auth.region), v.config.Region)
	}
	if !slices.Contains(v.config.Services, auth.service) {
		return invalid("Credential should be scoped to correct service: '%s'", v.config.Services[0])
	}
	if err := auth.covers(r.Header); err != nil {
		return err
	}
	return auth.checkTime(v.config.Now())
}

// compare signs again what the signature covers, with each of what may stand for
// the payload.
func (a *authorization) compare(s signer, covered string, payloads []string) error {
	equal := 0
	for _, payload := range payloads {
		own := s.sign(algorithm, hashOf(covered+"\n"+payload))
		equal |= subtle.ConstantTimeCompare([]byte(own), []byte(a.signature))
	}
	if equal != 1 {
		return invalid("The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return nil
}
