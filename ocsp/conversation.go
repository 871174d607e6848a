package ocsp

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/muster-mqtt/muster"
)

// conversation is what goes to and fro between us and one responder.
type conversation struct {
	*Client
	in     *inquiry
	url    *url.URL
	name   string
	client *http.Client
	method string // tried last
}

// hold asks by GET where that can be, for proxies keep the answers
// (RFC 5019 §5), and by POST where GET gives nothing that counts. That POST was
// needed is remembered.
func (x *conversation) hold(ctx context.Context) (Answer, error) {
	var nonce []byte
	switch x.in.Settings.Nonce {
	case muster.OCSPNonceOptional, muster.OCSPNonceRequired:
		nonce = newNonce()
	}
	request, err := newRequest(x.in.Leaf, x.in.Issuer, nonce)
	if err != nil {
		return Answer{}, noResponse(FaultSettings, "the request could not be made: %w", err)
	}
	byGet := error(nil)
	target := ""
	if nonce == nil {
		target = getURL(x.url, request)
	}
	if target != "" && !x.responders.postOnly(x.name) {
		x.method = http.MethodGet
		var a Answer
		if a, byGet = x.judge(nonce)(x.exchange.get(ctx, x.client, target)); byGet == nil || !worthPost(byGet) {
			return a, byGet
		}
	}
	x.method = http.MethodPost
	a, err := x.judge(nonce)(x.exchange.post(ctx, x.client, x.url.String(), request))
	switch {
	case byGet != nil && err == nil:
		x.responders.setPostOnly(x.name, true)
	case byGet != nil && byGet.Error() != err.Error():
		err = &failure{faultOf(err), fmt.Errorf("by GET: %w; by POST: %w", byGet, err)}
	case err != nil && endingOf(faultOf(err)) == answered:
		x.responders.setPostOnly(x.name, false) // times have changed
	}
	return a, err
}

// worthPost reports whether what went wrong by GET may go better by POST.
func worthPost(err error) bool {
	switch faultOf(err) {
	case FaultConnect, FaultTLS, FaultTimeout, FaultTryLater, FaultForbidden, FaultEnded, FaultSettings:
		return false
	}
	return true
}

// judge returns what takes a response and says what it is worth, against what
// is known too.
func (x *conversation) judge(nonce []byte) func([]byte, error) (Answer, error) {
	return func(der []byte, err error) (Answer, error) {
		if err != nil {
			return Answer{}, err
		}
		in := x.in
		v, err := judge(der, in.Leaf, in.Issuer, x.cfg.Now(), x.cfg.Limits)
		if err != nil {
			return Answer{}, err
		}
		e := entry{answer: v.answer}
		if e.nonced, err = checkNonce(in.Settings.Nonce, nonce, v); err != nil {
			return Answer{}, err
		}
		e.answer.Source, e.answer.Responder = SourceResponder, x.url.Redacted() // memory tells it too
		if !e.answer.proves() {
			return e.answer, nil
		}
		known, ok := x.known.settle(in, e, der)
		if !ok || !known.counts(in.Settings.Nonce) {
			return Answer{}, outdated(e.answer, known.answer)
		}
		return known.answer, nil
	}
}
