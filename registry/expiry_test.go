package registry_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

// waiting makes a certificate as fleet provisioning does: it goes in an hour,
// unless it is used.
func (f *fixture) waiting(name string) muster.Certificate {
	f.Helper()
	request := csr(f, nil, x509.CertificateRequest{Subject: pkix.Name{CommonName: name}})
	return must(f.IssueCertificate(f.Context(), muster.Issuance{
		Account: account, CSR: request, Status: muster.PendingActivation, Expires: f.now().Add(time.Hour),
	}))(f).Certificate
}

// TestUsedStays walks every way out of PENDING_ACTIVATION: each keeps the record.
func TestUsedStays(t *testing.T) { onBothEngines(t, testUsedStays) }

func testUsedStays(f *fixture) {
	f.fleetTemplate("fleet", muster.TemplateFleet, true)
	ways := map[string]func(ctx context.Context, id string) error{
		"settled": func(ctx context.Context, id string) error {
			_, err := f.Settle(ctx, account, []string{id}, registry.Settlement{Status: muster.Active})
			return err
		},
		"provisioned": func(ctx context.Context, id string) error {
			_, err := f.Provision(ctx, muster.Provisioning{
				Account: account, CertificateID: id, Template: "fleet", Registration: muster.Registration{Status: muster.Active},
			})
			return err
		},
	}
	for _, status := range []muster.Status{muster.Active, muster.Inactive, muster.Revoked} {
		ways[string(status)] = func(ctx context.Context, id string) error {
			_, err := f.UpdateCertificateStatus(ctx, account, id, status)
			return err
		}
	}
	ids := map[string]string{}
	for way, take := range ways {
		ids[way] = f.waiting(way).ID
		if err := take(f.Context(), ids[way]); err != nil {
			f.Errorf("%s: %v", way, err)
		}
		f.step()
	}
	f.advance(2 * time.Hour)
	f.ok(f.Sweep(f.Context()))
	for way, id := range ids {
		c, err := f.Certificate(f.Context(), account, id)
		if err != nil || !c.Expires.IsZero() {
			f.Errorf("%s: expires %v, %v", way, c.Expires, err)
		}
	}
}

// What nobody used is gone when its hour is over, whether or not a sweep came.
func TestUnusedGoes(t *testing.T) {
	var told []muster.Event
	f := newFixtureOn(t, memory.New(), registry.Config{Tell: func(e muster.Event) { told = append(told, e) }})
	ctx := t.Context()
	f.ok(f.CountAll(ctx))
	f.policy("p")
	c, later := f.waiting("first"), f.issue("stays", muster.Inactive)
	f.pendingCount(account, "", 1)
	f.advance(time.Hour - time.Minute)
	must(f.Certificate(ctx, account, c.ID))(f)

	f.advance(time.Minute)
	_, err := f.Certificate(ctx, account, c.ID)
	f.is("read", err, muster.ErrNotFound)
	_, err = f.UpdateCertificateStatus(ctx, account, c.ID, muster.Active)
	f.is("activate", err, muster.ErrNotFound)
	f.is("attach", f.AttachPolicy(ctx, account, "p", muster.KindCertificate, c.ID), muster.ErrNotFound)
	f.is("delete", f.DeleteCertificate(ctx, account, c.ID, false), muster.ErrNotFound)
	settled := must(f.Settle(ctx, account, []string{c.ID}, registry.Settlement{Status: muster.Active}))(f)
	if settled[0].Outcome != registry.OutcomeSkipped {
		t.Errorf("settled: %+v", settled)
	}
	_, err = f.Principal(ctx, account, c.ID, "x")
	f.is("principal", err, muster.ErrNotFound)

	told = nil
	f.ok(f.Sweep(ctx))
	f.step()
	if found, buried, err := f.Find(ctx, c.ID); err != nil || len(found)+len(buried) > 0 {
		t.Errorf("after the sweep: %v, %v, %v", found, buried, err)
	}
	f.pendingCount(account, "", 0)
	f.figures()
	if len(told) != 1 || told[0].Type != muster.EventDeleted || told[0].CertificateID != c.ID || told[0].Detail == "" {
		t.Errorf("told %+v", told)
	}
	must(f.Certificate(ctx, account, later.ID))(f)
}

// A sweep takes more than one batch, and leaves what is not due.
func TestSweepRecordsInBatches(t *testing.T) {
	f := newFixture(t)
	request := csr(t, nil, x509.CertificateRequest{})
	now := time.Now()
	for i := range 250 {
		expires := now.Add(time.Hour)
		if i >= 240 {
			expires = now.Add(3 * time.Hour)
		}
		must(f.IssueCertificate(t.Context(), muster.Issuance{Account: account, CSR: request, Status: muster.PendingActivation, Expires: expires}))(f)
	}
	f.advance(2 * time.Hour)
	f.ok(f.Sweep(t.Context()))
	if n := f.count(registry.KindCert); n != 10 {
		t.Errorf("%d certificates are left, want 10", n)
	}
}

// Records with a date are either claims and bare, or wait.
func TestInvariantsOfDates(t *testing.T) {
	expires := time.Now().Add(time.Hour)
	for what, edit := range map[string]func(*muster.Certificate){
		"a claim without a date":    func(c *muster.Certificate) { c.Claim = "t" },
		"a claim that is INACTIVE":  func(c *muster.Certificate) { c.Claim, c.Expires, c.Status = "t", expires, muster.Inactive },
		"a claim with a policy":     func(c *muster.Certificate) { c.Claim, c.Expires, c.Policies = "t", expires, []string{"p"} },
		"a claim with an authority": func(c *muster.Certificate) { c.Claim, c.Expires, c.AuthorityID = "t", expires, "a" },
		"ACTIVE with a date":        func(c *muster.Certificate) { c.Expires = expires },
	} {
		e := memory.New()
		c := soundCertificate
		c.Mode = muster.ModeDefault
		edit(&c)
		write(t, e, map[registry.Kind][]any{registry.KindAccount: {muster.Account{ID: account}}, registry.KindCert: {c}}, nil)
		broken, err := registry.CheckInvariants(t.Context(), e)
		if err != nil || !slices.ContainsFunc(broken, func(err error) bool { return strings.Contains(err.Error(), "expires") }) {
			t.Errorf("%s: %v, %v", what, broken, err)
		}
	}
}

// TestDatesOfManyAtOnce: whatever several do to records with dates while a clock
// goes on and sweeps come, the rules hold and the figures are right.
func TestDatesOfManyAtOnce(t *testing.T) { onBothEngines(t, testDatesOfManyAtOnce) }

func testDatesOfManyAtOnce(f *fixture) {
	ctx := f.Context()
	f.ok(f.CountAll(ctx))
	f.pendingCount(account, "", 0)
	f.fleetTemplate("fleet", muster.TemplateFleet, true)
	f.claim("fleet")
	request := csr(f, nil, x509.CertificateRequest{})
	var ids sync.Map
	var all sync.WaitGroup
	for n := range 6 {
		random := rand.New(rand.NewPCG(5, uint64(n)))
		all.Go(func() {
			for range 40 {
				issued, err := f.IssueCertificate(ctx, muster.Issuance{
					Account: account, CSR: request, Status: muster.PendingActivation, Expires: f.now().Add(time.Minute),
				})
				if err != nil {
					f.Error(err)
				}
				ids.Store(issued.ID, nil)
				ids.Range(func(id, _ any) bool { f.anythingDated(random, id.(string)); return random.IntN(4) > 0 })
			}
		})
	}
	all.Wait()
	f.figures()
	waiting, _, err := f.ListCertificatesByStatus(ctx, account, muster.PendingActivation, registry.Page{Limit: 1000})
	f.ok(err)
	f.pendingCount(account, "", len(waiting))
	f.step()
}

func (f *fixture) now() time.Time { return time.Now().Add(time.Duration(f.moved.Load())) }

// anythingDated does one thing to a certificate; that it is gone or in no state
// for it is as good.
func (f *fixture) anythingDated(random *rand.Rand, id string) {
	ctx := f.Context()
	switch random.IntN(6) {
	case 0:
		_, _ = f.UpdateCertificateStatus(ctx, account, id, muster.Active)
	case 1:
		_, _ = f.Provision(ctx, muster.Provisioning{
			Account: account, CertificateID: id, Template: "fleet", Registration: muster.Registration{Status: muster.Active},
		})
	case 2:
		_ = f.DeleteCertificate(ctx, account, id, true)
	case 3:
		_, _ = f.Settle(ctx, account, []string{id}, registry.Settlement{Status: muster.Inactive})
	case 4:
		f.advance(10 * time.Second)
	case 5:
		if err := f.Sweep(ctx); err != nil {
			f.Error(err)
		}
	}
}
