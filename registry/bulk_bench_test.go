package registry_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
)

// crowd is devices of one authority, and a registry on disk.
type crowd struct {
	*testing.B
	store     *registry.Store
	ca        *mint.Authority
	authority string
	key       *ecdsa.PrivateKey
}

func (c *crowd) ok(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func newCrowd(b *testing.B) *crowd {
	c := &crowd{B: b}
	dir := b.TempDir()
	c.ok(badgerdb.Create(badgerdb.Config{Dir: dir}))
	engine := openBadger(b, dir)
	b.Cleanup(func() { c.ok(engine.Close()) })
	var err error
	c.store, err = registry.New(registry.Config{Engine: engine})
	c.ok(err)
	c.ok(c.store.CreateAccount(b.Context(), muster.Account{ID: account}))
	_, err = c.store.CreatePolicy(b.Context(), account, "p", allowAll, nil)
	c.ok(err)
	c.ca, err = mint.NewAuthority("Crowd")
	c.ok(err)
	a, err := c.store.RegisterAuthority(b.Context(), registry.AuthorityRegistration{
		Account: account, PEM: string(c.ca.CertPEM()), Mode: muster.ModeSNIOnly, Active: true, AutoRegistration: true,
	})
	c.ok(err)
	c.authority = a.ID
	c.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c.ok(err)
	return c
}

// enrol registers a new device and says how long the registry took.
func (c *crowd) enrol(name string) time.Duration {
	leaf, err := c.ca.Issue(mint.Request{Key: c.key, Subject: pkix.Name{CommonName: name}})
	c.ok(err)
	e := muster.Enrolment{Account: account, AuthorityID: c.authority, PEM: string(leaf.CertPEM())}
	begun := time.Now()
	if _, err := c.store.Enrol(c.Context(), e); err != nil {
		c.Error(err)
	}
	return time.Since(begun)
}

func (c *crowd) report(name string, latencies []time.Duration) {
	slices.Sort(latencies)
	for _, p := range []int{50, 99} {
		c.ReportMetric(float64(latencies[len(latencies)*p/100].Microseconds()), fmt.Sprintf("µs-%s-p%d", name, p))
	}
}

// BenchmarkSettle approves ten thousand certificates that wait, with a policy,
// by steps as the command line does it. It reports how long the registration of
// a device takes meanwhile, and how long with nothing else to do.
func BenchmarkSettle(b *testing.B) {
	const waiting = 10_000
	c := newCrowd(b)
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			for j := range waiting / 100 {
				c.enrol(fmt.Sprintf("device-%d-%d", i, j))
			}
		})
	}
	all.Wait()
	var idle, busy []time.Duration
	for i := range 500 {
		idle = append(idle, c.enrol(fmt.Sprint("idle-", i)))
	}
	over, device := make(chan struct{}), sync.WaitGroup{}
	device.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			default:
				busy = append(busy, c.enrol(fmt.Sprint("busy-", i)))
			}
		}
	})
	b.ResetTimer()
	done, filter := 0, registry.CertificateFilter{Account: account, Status: muster.PendingActivation, To: time.Now()}
	for p := (registry.Page{Limit: registry.MaxSettle}); ; {
		page, next, err := c.store.SelectCertificates(b.Context(), filter, p)
		c.ok(err)
		settled, err := c.store.Settle(b.Context(), account, idsOf(page), registry.Settlement{Status: muster.Active, Policies: []string{"p"}})
		c.ok(err)
		done += len(settled)
		if p.After = next; next == nil {
			break
		}
	}
	b.StopTimer()
	close(over)
	device.Wait()
	b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "approvals/s")
	c.report("idle", idle)
	c.report("meanwhile", busy)
}
