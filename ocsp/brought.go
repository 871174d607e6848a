package ocsp

import (
	"context"

	"github.com/muster-mqtt/muster"
)

// maxBrought is how many bytes of what a device brought are looked at. One
// answer has some 200 to 2,000.
const maxBrought = 64 << 10

// bring answers by what the device brought, or says why that does not count. A
// revocation that is known for good stays, and nothing is looked at then.
func (c *Client) bring(ctx context.Context, in *inquiry) (Answer, error) {
	e, ok := c.known.current(in.cert)
	if !ok {
		// Memory may have forgotten what the Cache knows.
		e, _ = c.known.recall(ctx, in)
	}
	if e.answer.Final() {
		c.tell(Event{Kind: EventKnown, Status: Revoked, Source: e.answer.Source})
		return e.answer, nil
	}
	a, err := c.weigh(in)
	if err != nil {
		c.tell(Event{Kind: EventBrought, Status: Unavailable, Fault: faultOf(err), Detail: err.Error()})
		return Answer{}, err
	}
	c.tell(Event{Kind: EventBrought, Status: a.Status})
	if e, ok := c.known.current(in.cert); ok {
		c.refresh(in, e)
	}
	return a, nil
}

// weigh holds what was brought to the same rules as what a responder says, and
// to some more, for the device chose it: it must be as new as what is known.
func (c *Client) weigh(in *inquiry) (Answer, error) {
	if n := len(in.Brought); n > maxBrought {
		return Answer{}, fault(FaultOversized, "it has %d bytes, and no more than %d are read", n, maxBrought)
	}
	now := c.cfg.Now()
	v, err := judge(in.Brought, in.Leaf, in.Issuer, now, c.cfg.Limits)
	if err != nil {
		return Answer{}, err
	}
	a := v.answer
	a.Source = SourceBrought
	switch {
	case a.Final():
	case a.Status == Unknown:
		return Answer{}, fault(FaultUndecided, "it says that its responder does not know the certificate")
	case in.Settings.Nonce == muster.OCSPNonceRequired:
		return Answer{}, fault(FaultNonce, "the settings require a nonce of ours, which it cannot have")
	case !now.Before(a.Expires):
		return Answer{}, fault(FaultStale, "its nextUpdate %s is past", stamp(a.NextUpdate))
	}
	known, ok := c.known.settle(in, entry{answer: a}, in.Brought)
	if !ok || known.answer.Status != a.Status || known.answer.ThisUpdate.After(a.ThisUpdate) {
		return Answer{}, outdated(a, known.answer)
	}
	return known.answer, nil
}

func outdated(a, known Answer) *ResponseError {
	return fault(FaultOutdated, "its thisUpdate %s does not come after that of a known answer (%s, %s)",
		stamp(a.ThisUpdate), known.Status, stamp(known.ThisUpdate))
}
