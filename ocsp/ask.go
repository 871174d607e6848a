package ocsp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/muster-mqtt/muster"
)

// recall returns what the Cache holds, if it still counts.
func (c *Client) recall(ctx context.Context, key string, leaf, issuer *x509.Certificate) (Answer, bool) {
	if c.cfg.Cache == nil {
		return Answer{}, false
	}
	der, err := c.cfg.Cache.Answer(ctx, key)
	if err != nil {
		if !errors.Is(err, muster.ErrNotFound) {
			c.log.Warn().Err(err).Msg("the kept OCSP answer could not be read")
		}
		return Answer{}, false
	}
	now := c.cfg.Now()
	a, err := Validate(der, leaf, issuer, now, c.cfg.Limits)
	if err != nil || !a.Final() && !now.Before(a.Expires) {
		return Answer{}, false // it lapsed; a new one will take its place
	}
	a.Source = SourceCache
	return a, true
}

// ask asks the responders that leaf names, in order, until one gives an answer
// that counts, and keeps that.
func (c *Client) ask(ctx context.Context, key string, leaf, issuer *x509.Certificate) Answer {
	urls := usable(leaf)
	if len(urls) == 0 {
		return unavailable(fmt.Sprintf("none of its responders' URLs is http or https: %q", leaf.OCSPServer))
	}
	// SHA-1 names the certificate: every responder knows it, and it is no
	// signature (RFC 5019 §2.1.1).
	request, err := ocsp.CreateRequest(leaf, issuer, nil)
	if err != nil {
		return unavailable("the request could not be made: " + err.Error())
	}
	var failures []string
	last := ""
	for _, u := range urls {
		last = u.Redacted()
		a, der, err := c.askOne(ctx, u, request, leaf, issuer)
		if err == nil {
			a.Responder, a.Source = last, SourceResponder
			c.keep(key, der, a, leaf)
			return a
		}
		c.log.Warn().Err(err).Str("responder", last).Msg("OCSP responder gave no answer that counts")
		failures = append(failures, last+": "+err.Error())
	}
	a := unavailable(strings.Join(failures, "; "))
	a.Responder = last
	return a
}

func (c *Client) askOne(ctx context.Context, u *url.URL, request []byte, leaf, issuer *x509.Certificate) (Answer, []byte, error) {
	der, err := c.exchange.do(ctx, u, request)
	if err != nil {
		return Answer{}, nil, err
	}
	a, err := Validate(der, leaf, issuer, c.cfg.Now(), c.cfg.Limits)
	return a, der, err
}

// keep hands a response to the Cache. That the answer is used does not depend
// on it, nor does the time it may take on what the responder left over.
func (c *Client) keep(key string, der []byte, a Answer, leaf *x509.Certificate) {
	if c.cfg.Cache == nil || a.Status == Unknown {
		return
	}
	expires := a.Expires
	if a.Final() {
		expires = leaf.NotAfter.Add(24 * time.Hour) // with room for clocks
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.Timeout)
	defer cancel()
	if err := c.cfg.Cache.PutAnswer(ctx, key, der, expires); err != nil {
		c.log.Error().Err(err).Stringer("status", a.Status).Msg("the OCSP answer could not be kept")
	}
}
