package ocsp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/muster-mqtt/muster"
)

// ask asks the responders in order until one gives an answer that counts, and
// keeps that. For others it says until when they are not worth repeating.
func (c *Client) ask(ctx context.Context, in *inquiry, ahead bool) (a Answer, until time.Time) {
	now := c.cfg.Now()
	until = now.Add(c.cfg.Retry)
	client, release, err := c.transports.take(in.Settings.ResponderCA)
	if err != nil {
		return unavailable(FaultSettings, "the responder's roots: "+err.Error()), until
	}
	defer release()
	a.Status = Unavailable
	var failures []string
	for _, u := range in.urls {
		a.Responder = u.Redacted()
		got, err := c.askOne(ctx, in, u, client, ahead)
		if err == nil {
			got.Responder = a.Responder
			return got, until
		}
		a.Fault = faultOf(err)
		if held, ok := errors.AsType[*heldOff](err); ok {
			until = earlier(until, later(held.until, now.Add(time.Second)))
		}
		failures = append(failures, a.Responder+": "+err.Error())
	}
	a.Detail = strings.Join(failures, "; ")
	return a, until
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// askOne asks one responder, if its breaker lets it, and tells what became of
// that.
func (c *Client) askOne(ctx context.Context, in *inquiry, u *url.URL, client *http.Client, ahead bool) (Answer, error) {
	name, began := responderName(u), time.Now()
	if err := c.responders.closed(name); err != nil {
		return Answer{}, c.holdOff(name, err)
	}
	release, err := c.limiter.acquire(ctx, name)
	if err != nil {
		f := ended(ctx)
		if f.fault == FaultTimeout {
			f = noResponse(FaultCrowded, "waiting for other requests to end: %w", f)
		}
		return Answer{}, f
	}
	defer release()
	if err := c.responders.enter(name); err != nil { // opened while we waited
		return Answer{}, c.holdOff(name, err)
	}
	sent := time.Now()
	x := conversation{Client: c, in: in, url: u, name: name, client: client}
	a, err := x.hold(ctx)
	e := Event{Kind: EventAsked, Status: a.Status, Refresh: ahead, Method: x.method, Responder: name, Took: time.Since(began)}
	how := answered
	if err != nil {
		e.Status, e.Fault, e.Detail = Unavailable, faultOf(err), err.Error()
		how = endingOf(e.Fault)
		if ctx.Err() != nil && time.Since(sent) < c.cfg.FirstReply/2 {
			how = inconclusive // the time was used up before its turn
		}
		c.log.Warn().Err(err).Str("responder", name).Str("fault", string(e.Fault)).
			Bool("misconfigured", e.Fault.Misconfigured()).Msg("OCSP responder gave no answer that counts")
	}
	turned, ok := c.responders.leave(name, how, e.Fault, e.Detail)
	c.tell(e)
	if ok {
		c.tell(turned)
	}
	return a, err
}

func (c *Client) holdOff(name string, err *heldOff) error {
	c.tell(Event{Kind: EventHeldOff, Responder: name, Until: err.until})
	return err
}

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
		e.answer.Source = SourceResponder
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
