package admission_test

import (
	"context"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/internal/mint"
)

// unproven is a registry whose authorities of account A have shown no
// possession of their keys.
type unproven struct{ admission.Registry }

func (u unproven) AuthoritiesBySubject(ctx context.Context, raw []byte) ([]muster.Authority, error) {
	all, err := u.Registry.AuthoritiesBySubject(ctx, raw)
	for i := range all {
		all[i].Verified = all[i].Account != accountA
	}
	return all, err
}

// TestAccount tells whose device it is, step by step of the order in which the
// account is looked for.
func TestAccount(t *testing.T) {
	type setup func(f *fixture, a *mint.Authority, l *mint.Leaf)
	authority := func(account string, mode muster.Mode) setup {
		return func(f *fixture, a *mint.Authority, _ *mint.Leaf) { f.register(account, mode, a, nil) }
	}
	record := func(account string, mode muster.Mode) setup {
		return func(f *fixture, a *mint.Authority, l *mint.Leaf) {
			f.register(account, mode, a, nil)
			f.certificate(account, l, muster.Active)
		}
	}
	alone := func(account string) setup {
		return func(f *fixture, _ *mint.Authority, l *mint.Leaf) { f.withoutCA(account, l) }
	}
	tombstone := func(account string) setup {
		return func(f *fixture, a *mint.Authority, l *mint.Leaf) {
			f.register(account, muster.ModeDefault, a, nil)
			f.certificate(account, l, muster.Inactive)
			must(f.t, f.store.DeleteCertificate(f.t.Context(), account, idOf(l.Cert), false))
		}
	}
	leaves := func(account string) setup { // only the tombstone stays
		return func(f *fixture, a *mint.Authority, l *mint.Leaf) {
			tombstone(account)(f, a, l)
			f.deleteAuthority(account, a)
		}
	}
	offered := func(mode muster.Mode) setup { // by A to B; without an authority, if there is no mode
		return func(f *fixture, a *mint.Authority, l *mint.Leaf) {
			if mode == "" {
				f.withoutCA(accountA, l)
				_, err := f.store.UpdateCertificateStatus(f.t.Context(), accountA, idOf(l.Cert), muster.Inactive)
				must(f.t, err)
			} else {
				f.register(accountA, mode, a, nil)
				f.certificate(accountA, l, muster.Inactive)
			}
			_, err := f.store.TransferCertificate(f.t.Context(), accountA, idOf(l.Cert), accountB, "")
			must(f.t, err)
		}
	}
	accepted := func(f *fixture, _ *mint.Authority, l *mint.Leaf) {
		_, err := f.store.AcceptTransfer(f.t.Context(), accountB, idOf(l.Cert), true)
		must(f.t, err)
	}
	deleted := func(f *fixture, _ *mint.Authority, l *mint.Leaf) {
		_, err := f.store.UpdateCertificateStatus(f.t.Context(), accountB, idOf(l.Cert), muster.Inactive)
		must(f.t, err)
		must(f.t, f.store.DeleteCertificate(f.t.Context(), accountB, idOf(l.Cert), false))
	}
	forgotten := func(account string) setup {
		return func(f *fixture, _ *mint.Authority, l *mint.Leaf) {
			must(f.t, f.store.ForgetCertificate(f.t.Context(), account, idOf(l.Cert)))
		}
	}
	const (
		byDefault = muster.ModeDefault
		sniOnly   = muster.ModeSNIOnly
	)
	for _, tc := range []struct {
		name     string
		setup    []setup
		sni      string
		unproven bool
		account  string
		verdict  admission.Verdict
		reason   muster.Reason
	}{
		{"an endpoint", []setup{authority(accountA, byDefault)}, endpointA, false, accountA, admission.Register, ""},
		{"an endpoint in capitals", []setup{authority(accountA, byDefault)}, strings.ToUpper(endpointA), false, accountA, admission.Register, ""},
		{"an endpoint whose account does not know it", []setup{record(accountA, byDefault)}, endpointB, false, accountB, admission.Refuse, muster.ReasonUntrustedIssuer},
		{"a name that is no endpoint", []setup{authority(accountB, byDefault)}, "www.example.test", false, accountB, admission.Register, ""},
		{"a record", []setup{record(accountB, byDefault)}, "", false, accountB, admission.Admit, ""},
		{"a record before another's authority", []setup{record(accountB, byDefault), authority(accountA, sniOnly)}, "", false, accountB, admission.Admit, ""},
		{"a tombstone", []setup{tombstone(accountB)}, "", false, accountB, admission.Refuse, muster.ReasonDeleted},
		{"a record before a tombstone of where it was", []setup{leaves(accountA), record(accountB, byDefault)}, "", false, accountB, admission.Admit, ""},
		{"a tombstone before another's authority", []setup{leaves(accountA), authority(accountB, byDefault)}, "", false, accountA, admission.Refuse, muster.ReasonDeleted},
		{"the other's endpoint, past the tombstone", []setup{leaves(accountA), authority(accountB, byDefault)}, endpointB, false, accountB, admission.Register, ""},
		{"an authority", []setup{authority(accountB, byDefault)}, "", false, accountB, admission.Register, ""},
		{"one that proved possession before one that did not", []setup{authority(accountA, sniOnly), authority(accountB, byDefault)}, "", false, accountB, admission.Register, ""},
		{"the only one that shares", []setup{authority(accountB, sniOnly)}, "", false, accountB, admission.Register, ""},
		{"two that share", []setup{authority(accountA, sniOnly), authority(accountB, sniOnly)}, "", false, "", admission.Refuse, muster.ReasonAmbiguousAccount},
		{"two that share, and an endpoint", []setup{authority(accountA, sniOnly), authority(accountB, sniOnly)}, endpointB, false, accountB, admission.Register, ""},
		{"a record without an authority", []setup{alone(accountB)}, "", false, accountB, admission.Admit, ""},
		{"two records without an authority", []setup{alone(accountA), alone(accountB)}, "", false, "", admission.Refuse, muster.ReasonAmbiguousAccount},
		{"two records, and an endpoint", []setup{alone(accountA), alone(accountB)}, endpointA, false, accountA, admission.Admit, ""},
		{"a record here, an authority that shares there", []setup{alone(accountA), authority(accountB, sniOnly)}, "", false, "", admission.Refuse, muster.ReasonAmbiguousAccount},
		{"a record here, an authority there", []setup{alone(accountA), authority(accountB, byDefault)}, "", false, accountB, admission.Register, ""},
		{"one that proved nothing", []setup{authority(accountA, byDefault)}, "", true, "", admission.Refuse, muster.ReasonAuthorityUnverified},
		{"one that proved nothing, and its endpoint", []setup{authority(accountA, byDefault)}, endpointA, true, accountA, admission.Refuse, muster.ReasonAuthorityUnverified},
		{"one that proved nothing beside one that shares", []setup{authority(accountA, byDefault), authority(accountB, sniOnly)}, "", true, accountB, admission.Register, ""},
		{"offered", []setup{offered(byDefault)}, "", false, accountA, admission.Refuse, muster.ReasonPendingTransfer},
		{"offered, at the other's endpoint", []setup{offered(byDefault)}, endpointB, false, accountB, admission.Refuse, muster.ReasonPendingTransfer},
		{"offered to who registers it anyhow", []setup{offered(sniOnly), authority(accountB, sniOnly)}, endpointB, false, accountB, admission.Register, ""},
		{"accepted", []setup{offered(byDefault), accepted}, "", false, accountB, admission.Admit, ""},
		{"accepted, at its endpoint", []setup{offered(byDefault), accepted}, endpointB, false, accountB, admission.Admit, ""},
		{"accepted, at the endpoint where it was", []setup{offered(byDefault), accepted}, endpointA, false, accountA, admission.Refuse, muster.ReasonTransferred},
		{"accepted and shared", []setup{offered(sniOnly), accepted}, "", false, accountB, admission.Admit, ""},
		{"accepted and shared, at the endpoint where it was", []setup{offered(sniOnly), accepted}, endpointA, false, accountA, admission.Refuse, muster.ReasonTransferred},
		{"accepted without an authority", []setup{offered(""), accepted}, "", false, accountB, admission.Admit, ""},
		{"accepted, and signed by an authority where it was", []setup{offered(""), accepted, authority(accountA, byDefault)}, "", false, accountB, admission.Admit, ""},
		{"accepted and deleted", []setup{offered(byDefault), accepted, deleted}, "", false, accountB, admission.Refuse, muster.ReasonDeleted},
		{"accepted, deleted and forgotten", []setup{offered(byDefault), accepted, deleted, forgotten(accountB)}, "", false, accountA, admission.Refuse, muster.ReasonTransferred},
		{"shared, accepted, deleted and forgotten", []setup{offered(sniOnly), accepted, deleted, forgotten(accountB)}, "", false, accountA, admission.Refuse, muster.ReasonTransferred},
		{"shared, forgotten where it was", []setup{offered(sniOnly), accepted, forgotten(accountA)}, endpointA, false, accountA, admission.Register, ""},
		{"given away, and known to one that shares", []setup{offered(""), accepted, deleted, forgotten(accountB), alone(accountB)}, "", false, "", admission.Refuse, muster.ReasonAmbiguousAccount},
		{"nobody", nil, "", false, "", admission.Refuse, muster.ReasonUntrustedIssuer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, func(c *admission.Config) {
				if tc.unproven {
					c.Registry = unproven{c.Registry}
				}
			})
			a := mintAuthority(t, "factory")
			l := leafOf(t, a, nil)
			for _, s := range tc.setup {
				s(f, a, l)
			}
			c := f.inspect(l, tc.sni)
			if c.Account != tc.account {
				t.Errorf("account %q, want %q", c.Account, tc.account)
			}
			expect(t, "Inspect", c.Decision, tc.verdict, tc.reason)
		})
	}
}

// TestStandingInAnotherAccount: a session does not follow its certificate.
func TestStandingInAnotherAccount(t *testing.T) {
	f := newFixture(t, nil)
	a := mintAuthority(t, "factory")
	l := leafOf(t, a, nil)
	f.register(accountA, muster.ModeDefault, a, nil)
	f.certificate(accountA, l, muster.Active)
	c := f.inspect(l, "")
	expect(t, "at home", f.gate.Standing(t.Context(), c), admission.Admit, "")

	_, err := f.store.UpdateCertificateStatus(t.Context(), accountA, idOf(l.Cert), muster.Inactive)
	must(t, err)
	expect(t, "inactive", f.gate.Standing(t.Context(), c), admission.Refuse, muster.ReasonInactive)
	must(t, f.store.DeleteCertificate(t.Context(), accountA, idOf(l.Cert), false))
	expect(t, "deleted", f.gate.Standing(t.Context(), c), admission.Refuse, muster.ReasonDeleted)
	must(t, f.store.ForgetCertificate(t.Context(), accountA, c.ID))
	expect(t, "forgotten", f.gate.Standing(t.Context(), c), admission.Refuse, muster.ReasonDeleted)
	f.deleteAuthority(accountA, a)
	f.register(accountB, muster.ModeDefault, a, nil)
	f.certificate(accountB, l, muster.Active)
	expect(t, "moved", f.gate.Standing(t.Context(), c), admission.Refuse, muster.ReasonTransferred)
	if c.Account != accountA {
		t.Errorf("Standing changed the candidate: account %s", c.Account)
	}
}

// TestStandingBesideAnother: a connection that could belong to another account as
// well by now is told that, and not that its certificate has moved.
func TestStandingBesideAnother(t *testing.T) {
	f := newFixture(t, nil)
	l := leafOf(t, mintAuthority(t, "factory"), nil)
	f.withoutCA(accountA, l)
	silent, named := f.inspect(l, ""), f.inspect(l, endpointA)
	f.withoutCA(accountB, l)
	expect(t, "without a server name", f.gate.Standing(t.Context(), silent), admission.Refuse, muster.ReasonAmbiguousAccount)
	expect(t, "with one", f.gate.Standing(t.Context(), named), admission.Admit, "")
}
