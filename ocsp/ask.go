package ocsp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ask asks the responders in order until one gives an answer that counts, and
// keeps that. For others it says until when they are not worth repeating.
func (c *Client) ask(ctx context.Context, in *inquiry, f *flight) (a Answer, until time.Time) {
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
		got, err := c.askNext(ctx, in, f, u, client)
		if err == nil {
			got.Responder = a.Responder
			return got, until
		}
		if a.Fault != FaultCrowded { // somebody might have answered
			a.Fault = faultOf(err)
		}
		if held, ok := errors.AsType[*heldOff](err); ok {
			until = earlier(until, later(held.until, now.Add(time.Second)))
		}
		failures = append(failures, clip(a.Responder+": "+err.Error())) // either may have kilobytes
		if ctx.Err() != nil {
			break // no time for the next one
		}
	}
	if a.Fault == FaultCrowded {
		c.tell(Event{Kind: EventCrowded})
	}
	a.Detail = strings.Join(failures, "; ")
	return a, until
}

// askNext asks one responder, if it has room for the flight.
func (c *Client) askNext(ctx context.Context, in *inquiry, f *flight, u *url.URL, client *http.Client) (Answer, error) {
	if err := c.turnTo(in, f, responderName(u)); err != nil {
		return Answer{}, err
	}
	return c.askOne(ctx, in, u, client, f.ahead)
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
		e.Status, e.Fault, e.Detail = Unavailable, faultOf(err), clip(err.Error())
		how = endingOf(e.Fault)
		if ctx.Err() != nil && time.Since(sent) < min(c.cfg.FirstReply, c.cfg.Timeout)/2 {
			how = inconclusive // the time was used up before its turn
		}
		c.log.Warn().Err(err).Str("responder", name).Str("fault", string(e.Fault)).
			Bool("misconfigured", e.Fault.Misconfigured()).Msg("OCSP responder gave no answer that counts")
	}
	turned, ok := c.responders.leave(name, how, e.Fault, e.Detail)
	c.tell(e)
	if ok {
		c.tell(turned)
		c.log.Warn().Str("responder", name).Str("event", string(turned.Kind)).Time("until", turned.Until).
			Msg("the breaker of an OCSP responder turned")
	}
	return a, err
}

func (c *Client) holdOff(name string, err *heldOff) error {
	c.tell(Event{Kind: EventHeldOff, Responder: name, Until: err.until})
	return err
}
