package ocsp_test

import (
	"testing"

	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
)

func BenchmarkValidate(b *testing.B) {
	p := newParty(b)
	for name, fault := range map[string]testpki.Fault{"issuer": testpki.None, "delegate": testpki.Delegate} {
		der := p.forge(b, fault, testpki.Good())
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.validate(der); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a device that reconnects costs, with the answer in memory.
func BenchmarkCheckRemembered(b *testing.B) {
	r := testpki.NewResponder(b)
	leaf := r.Issue(b, mint.Request{})
	c, err := ocsp.New(ocsp.Config{AllowPrivate: loopback})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if a := c.Check(b.Context(), ocsp.Question{Leaf: leaf.Cert, Issuer: r.Authority.Cert}); a.Status != ocsp.Good {
				b.Error(a.Detail)
			}
		}
	})
}
