package admission

import (
	"context"
	"crypto/x509"

	"github.com/muster-mqtt/muster"
)

// Inquire gathers the facts of a certificate as a connect of it would, for
// explain: it asks OCSP where a connect would, and writes nothing. chain is what
// the device sends, its own certificate first.
func (g *Gate) Inquire(ctx context.Context, chain []*x509.Certificate, sni string) (Facts, error) {
	leaf := chain[0]
	c := &Candidate{Leaf: leaf, Sent: chain[1:], ID: muster.Fingerprint(leaf.Raw), SNI: sni}
	f, q, err := g.gather(ctx, c)
	if err != nil {
		return f, err
	}
	if _, ok := decideCheap(&f); !ok && q != nil {
		f.OCSP.learn(g.ask(ctx, *q))
	}
	return f, nil
}
