package admission

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/muster-mqtt/muster"
)

// consult asks OCSP and completes the facts by what it says. A revocation that
// is final is recorded where there is a record.
func (g *Gate) consult(ctx context.Context, f *Facts, q Question) error {
	a := g.ask(ctx, q)
	f.OCSP.learn(a)
	if a.Status != AnswerRevoked || a.Hold || f.Record.Status == "" {
		return nil
	}
	if err := g.registry.Revoke(ctx, f.Account, f.Leaf.ID); err != nil && !errors.Is(err, muster.ErrNotFound) {
		return fmt.Errorf("recording the revocation: %w", err)
	}
	return nil
}

// hear goes by what the device brought where asking has not told whether its
// certificate stands. Nobody is asked.
func (g *Gate) hear(ctx context.Context, c *Candidate, f *Facts, q *Question) error {
	if c.Brought == nil || q == nil || f.OCSP.settled() {
		return nil
	}
	if _, refused := decideCheap(f); refused {
		return nil
	}
	asked := f.OCSP
	q.Brought, q.Offline = c.Brought, true
	c.Brought = nil // once is enough
	err := g.consult(ctx, f, *q)
	if f.OCSP.Answer == AnswerNotAsked { // nothing is known, and what was brought does not count
		why := f.OCSP.Detail
		f.OCSP.recall(asked)
		f.OCSP.Detail = clip(strings.TrimPrefix(asked.Detail+"; "+why, "; "))
	}
	return err
}

// Recheck asks OCSP again about a connection that is open, by the settings that
// its issuer has now, and judges it by the answer. asked is false when there was
// nothing to ask, nobody could be asked because this server has too many questions
// already, or ctx ended: the connection stays as it is.
//
// It may take as long as the network does. A revocation that is final is
// recorded, so that every connection of the certificate learns of it.
func (g *Gate) Recheck(ctx context.Context, c *Candidate) (d Decision, asked bool) {
	if g.unsupervised(ctx, c) {
		return Decision{}, false
	}
	for {
		f, q, err := g.gather(ctx, c)
		if err == nil && q != nil {
			if _, refused := decideCheap(&f); refused {
				return Decision{}, false // the change that made it so closes the connection
			}
			err = g.consult(ctx, &f, *q)
		}
		switch {
		case ctx.Err() != nil:
			return Decision{}, false
		case err == nil && q != nil && f.OCSP.Answer == AnswerBusy:
			return Decision{}, false // until the next round, for it is not the device that is to blame
		case err == nil && f.Account != c.Account:
			return Decision{}, false // it moved, which closes the connection as well
		case q != nil && g.changed(ctx, &f, q.Settings):
			continue // meanwhile; what was found out may not count any more
		case err != nil && f.OCSP.Answer != AnswerRevoked:
			return g.failed(c, err), true
		case err != nil: // it could not be recorded, and counts all the same
			g.log.Error().Err(err).Str("certificate", c.ID).Msg("a live connection is revoked")
		}
		c.last.Store(&f.OCSP)
		if q == nil {
			return Decision{}, false
		}
		return c.judge(&f), true
	}
}

// Learned returns when the answer of OCSP came that Recheck went by.
func (c *Candidate) Learned() time.Time { return c.lastOCSP().learned }

// changed reports whether the settings of the issuer that the facts name are
// others now.
func (g *Gate) changed(ctx context.Context, f *Facts, s muster.OCSPSettings) bool {
	i, err := g.registry.Issuer(ctx, f.Account, cmp.Or(f.Record.AuthorityID, f.Authority.ID))
	return err == nil && i.OCSP != s
}

// Outdated reports whether OCSP counts for a connection by other settings than
// those by which Connect judged it: they changed before anyone could be told that
// the connection is concerned. It belongs to the connection's goroutine.
func (g *Gate) Outdated(ctx context.Context, c *Candidate) bool {
	f := &c.Facts
	i, err := g.registry.Issuer(ctx, c.Account, cmp.Or(f.Record.AuthorityID, f.Authority.ID))
	if err != nil || !(OCSPFacts{Mode: i.OCSP.Mode, IssuerHeld: true}).asks() {
		return false
	}
	return c.judgedBy == nil || *c.judgedBy != i.OCSP
}

// unsupervised reports whether OCSP is off for a connection, and was: then there
// is nothing to ask or to forget. It costs one look-up in a cache.
func (g *Gate) unsupervised(ctx context.Context, c *Candidate) bool {
	issuer := c.Facts.Record.AuthorityID
	if issuer == "" {
		return true
	}
	if last := c.lastOCSP(); last != nil && last.asks() {
		return false
	}
	i, err := g.registry.Issuer(ctx, c.Account, issuer)
	return err == nil && !OCSPFacts{Mode: i.OCSP.Mode, IssuerHeld: true}.asks()
}

// lastOCSP returns what was last found out about an open connection; nil where
// that was not judged yet.
func (c *Candidate) lastOCSP() *OCSPFacts {
	if c.last == nil {
		return nil
	}
	return c.last.Load()
}
