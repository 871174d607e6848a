package registry_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
)

// onBothEngines runs a test on each engine.
func onBothEngines(t *testing.T, test func(*fixture)) {
	t.Run("memory", func(t *testing.T) { test(newFixture(t)) })
	t.Run("badgerdb", func(t *testing.T) {
		dir := t.TempDir()
		if err := badgerdb.Create(badgerdb.Config{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		test(newFixtureOn(t, openBadger(t, dir), registry.Config{}))
	})
}

func idsOf(certificates []muster.Certificate) (ids []string) {
	for _, c := range certificates {
		ids = append(ids, c.ID)
	}
	return ids
}

// selected walks the pages of a filter.
func (f *fixture) selected(filter registry.CertificateFilter, desc bool) (ids []string) {
	f.Helper()
	for p := (registry.Page{Limit: 2, Desc: desc}); ; {
		page, next, err := f.SelectCertificates(f.Context(), filter, p)
		f.ok(err)
		ids = append(ids, idsOf(page)...)
		if next == nil {
			return ids
		}
		p.After = next
	}
}

// TestSelectCertificates compares every filter with a walk over all.
func TestSelectCertificates(t *testing.T) { onBothEngines(t, testSelect) }

func testSelect(f *fixture) {
	one, two := f.mint("One"), f.mint("Two")
	a, b := f.authority(one), f.authority(two)
	var all []muster.Certificate
	for i, status := range []muster.Status{muster.PendingActivation, muster.Active, muster.Revoked, muster.PendingActivation} {
		for name, ca := range map[string]*mint.Authority{"one": one, "two": two} {
			signer := map[string]muster.Authority{"one": a, "two": b}[name]
			all = append(all, f.inStatus(signer, ca, fmt.Sprint(name, i), status))
			f.advance(time.Hour)
		}
	}
	times := []time.Time{{}, all[2].Created, all[3].Created.Add(time.Microsecond), all[5].Created}
	for _, authority := range []string{"", a.ID, b.ID, strings.Repeat("0", 64)} {
		for _, status := range []muster.Status{"", muster.PendingActivation, muster.Active, muster.Inactive} {
			for _, from := range times {
				for _, to := range times {
					f.compareSelection(all, registry.CertificateFilter{
						Account: account, AuthorityID: authority, Status: status, From: from, To: to,
					})
				}
			}
		}
	}
	if other := f.selected(registry.CertificateFilter{Account: account2}, false); len(other) != 0 {
		f.Errorf("another account has %d", len(other))
	}
}

func (f *fixture) compareSelection(all []muster.Certificate, filter registry.CertificateFilter) {
	f.Helper()
	want := idsOf(slices.DeleteFunc(slices.Clone(all), func(c muster.Certificate) bool {
		return filter.AuthorityID != "" && filter.AuthorityID != c.AuthorityID || filter.Status != "" && filter.Status != c.Status ||
			c.Created.Before(filter.From) || !filter.To.IsZero() && !c.Created.Before(filter.To)
	}))
	if got := f.selected(filter, false); !slices.Equal(got, want) {
		f.Errorf("%+v selects %q, want %q", filter, got, want)
	}
	if n := must(f.CountCertificates(f.Context(), filter))(f); n != len(want) {
		f.Errorf("%+v counts %d, want %d", filter, n, len(want))
	}
	slices.Reverse(want)
	if got := f.selected(filter, true); !slices.Equal(got, want) {
		f.Errorf("%+v selects backwards %q, want %q", filter, got, want)
	}
}

// TestSettle is every status, decided on in every way.
func TestSettle(t *testing.T) { onBothEngines(t, testSettle) }

func testSettle(f *fixture) {
	ca := f.mint("Settle")
	a := f.authority(ca)
	f.policy("p")
	for _, status := range []muster.Status{
		muster.PendingActivation, muster.Active, muster.Inactive, muster.Revoked, muster.PendingTransfer,
	} {
		for _, how := range []registry.Settlement{
			{Status: muster.Active, Policies: []string{"p", "p"}}, {Status: muster.Inactive}, {Status: muster.Revoked}, {Delete: true},
			{Status: muster.Active, Policies: []string{"p"}, DryRun: true}, {Delete: true, DryRun: true},
			{Status: muster.Revoked, From: []muster.Status{muster.Active, muster.Inactive}},
			{Status: muster.Revoked, From: []muster.Status{muster.Active, muster.Inactive}, DryRun: true},
		} {
			what := fmt.Sprintf("%s, %+v", status, how)
			c := f.inStatus(a, ca, what, status)
			before := f.seq()
			settled := must(f.Settle(f.Context(), account, []string{c.ID}, how))(f)
			f.compareSettled(what, c, how, settled)
			if (f.seq() != before) != (meant(how, status) && !how.DryRun) {
				f.Errorf("%s: something or nothing was written", what)
			}
			f.step()
		}
	}
	f.pendingCount(account, a.ID, 4) // of the dry runs, and of those that revoked others
}

// meant reports whether a certificate in this status is decided on.
func meant(how registry.Settlement, status muster.Status) bool {
	if how.From == nil {
		return status == muster.PendingActivation
	}
	return slices.Contains(how.From, status)
}

// compareSettled compares what was told of one certificate with what is stored.
func (f *fixture) compareSettled(what string, was muster.Certificate, how registry.Settlement, settled []registry.Settled) {
	f.Helper()
	if len(settled) != 1 || settled[0].ID != was.ID {
		f.Fatalf("%s: settled %+v", what, settled)
	}
	stored, err := f.Certificate(f.Context(), account, was.ID)
	got := settled[0]
	if !meant(how, was.Status) {
		if got.Outcome != registry.OutcomeSkipped || !strings.Contains(got.Detail, string(was.Status)) || stored.Revision != was.Revision {
			f.Errorf("%s: %+v, stored %+v", what, got, stored)
		}
		return
	}
	if got.Outcome != registry.OutcomeDone || got.Detail != "" {
		f.Errorf("%s: %+v", what, got)
	}
	switch told := got.Certificate; {
	case how.DryRun:
		f.ok(err)
		if stored.Status != was.Status || how.Status != "" && told.Status != how.Status {
			f.Errorf("%s: told %s, stored %s", what, told.Status, stored.Status)
		}
	case how.Status == "":
		certificates, tombstones, err := f.Find(f.Context(), was.ID)
		f.ok(err)
		if len(certificates)+len(tombstones) > 0 {
			f.Errorf("%s: left behind are %d and %d", what, len(certificates), len(tombstones))
		}
	default:
		wantPolicies := map[bool][]string{true: {"p"}}[len(how.Policies) > 0]
		if stored.Status != how.Status || !slices.Equal(stored.Policies, wantPolicies) || stored.Revision != was.Revision+1 ||
			told.Status != stored.Status || !slices.Equal(told.Policies, stored.Policies) {
			f.Errorf("%s: told %+v, stored %+v", what, told, stored)
		}
	}
}

// TestSettleRefuses: what makes no sense writes nothing.
func TestSettleRefuses(t *testing.T) { onBothEngines(t, testSettleRefuses) }

func testSettleRefuses(f *fixture) {
	ca := f.mint("Settle")
	a := f.authority(ca)
	var names []string
	for i := range 11 {
		names = append(names, fmt.Sprint("p", i))
		f.policy(names[i])
	}
	full, other := f.enrol(a, ca, "full"), f.enrol(a, ca, "other")
	for _, name := range names[:10] {
		f.ok(f.AttachPolicy(f.Context(), account, name, muster.KindCertificate, full.ID))
	}
	before := f.seq()
	active := registry.Settlement{Status: muster.Active, Policies: []string{"p0", "nowhere"}}
	for name, test := range map[string]struct {
		ids  []string
		how  registry.Settlement
		want error
	}{
		"an unknown policy":          {[]string{other.ID}, active, muster.ErrNotFound},
		"it is unknown to nobody":    {nil, active, muster.ErrNotFound},
		"a policy for the refused":   {[]string{other.ID}, registry.Settlement{Status: muster.Inactive, Policies: names[:1]}, muster.ErrInvalid},
		"no status to set":           {[]string{other.ID}, registry.Settlement{Status: muster.PendingTransfer}, muster.ErrInvalid},
		"approving what is inactive": {[]string{other.ID}, registry.Settlement{Status: muster.Active, From: []muster.Status{muster.Inactive}}, muster.ErrInvalid},
		"deleting what is active":    {[]string{other.ID}, registry.Settlement{Delete: true, From: []muster.Status{muster.Active}}, muster.ErrInvalid},
		"neither status nor delete":  {[]string{other.ID}, registry.Settlement{}, muster.ErrInvalid},
		"both of them":               {[]string{other.ID}, registry.Settlement{Status: muster.Inactive, Delete: true}, muster.ErrInvalid},
		"revoking in a transfer":     {[]string{other.ID}, registry.Settlement{Status: muster.Revoked, From: []muster.Status{muster.PendingTransfer}}, muster.ErrInvalid},
		"eleven policies":            {[]string{other.ID}, registry.Settlement{Status: muster.Active, Policies: names}, muster.ErrLimit},
		"too many at once":           {make([]string, registry.MaxSettle+1), registry.Settlement{Status: muster.Active}, muster.ErrInvalid},
	} {
		for _, dry := range []bool{false, true} {
			test.how.DryRun = dry
			_, err := f.Settle(f.Context(), account, test.ids, test.how)
			f.is(name, err, test.want)
		}
	}
	if f.seq() != before {
		f.Error("what was refused wrote something")
	}
	// One that cannot be settled stands in nobody's way.
	settled := must(f.Settle(f.Context(), account, []string{full.ID, "none", other.ID},
		registry.Settlement{Status: muster.Active, Policies: names[10:]}))(f)
	for i, want := range []registry.Outcome{registry.OutcomeFailed, registry.OutcomeSkipped, registry.OutcomeDone} {
		if settled[i].Outcome != want || (settled[i].Detail == "") != (want == registry.OutcomeDone) {
			f.Errorf("%+v, want %s", settled[i], want)
		}
	}
	if c := must(f.Certificate(f.Context(), account, full.ID))(f); c.Status != muster.PendingActivation || len(c.Policies) != 10 {
		f.Errorf("what failed is %+v", c)
	}
}

// TestSettleWhileDevicesConnect: 64 devices connect and connect again, some are
// revoked, and all that wait are approved, with a policy.
func TestSettleWhileDevicesConnect(t *testing.T) { onBothEngines(t, testSettleConcurrently) }

func testSettleConcurrently(f *fixture) {
	const devices, rounds = 64, 2
	ca := f.mint("Crowd")
	a := f.authority(ca)
	f.policy("p")
	pems := f.leaves(ca, devices*rounds)
	var connecting, approving sync.WaitGroup
	connected := make(chan struct{})
	revoked := make([][]string, devices)
	for d := range devices {
		connecting.Go(func() {
			for _, pem := range pems[d*rounds : (d+1)*rounds] {
				e := muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: pem}
				for range 2 {
					if _, err := f.Enrol(f.Context(), e); err != nil {
						f.Error(err)
					}
				}
				if id := fingerprint(f.T, pem); d%4 == 0 {
					if err := f.Revoke(f.Context(), account, id); err != nil {
						f.Error(err)
					}
					revoked[d] = append(revoked[d], id)
				}
			}
		})
	}
	approving.Go(func() {
		for over := false; !over; {
			select {
			case <-connected:
				over = true // once more, for the last ones
			default:
			}
			f.approveAll()
		}
	})
	connecting.Wait()
	close(connected)
	approving.Wait()

	for _, c := range must2(f.ListCertificates(f.Context(), account, registry.Page{Limit: 1000}))(f) {
		want, policies := muster.Active, []string{"p"}
		if slices.Contains(slices.Concat(revoked...), c.ID) {
			want, policies = muster.Revoked, c.Policies // it may have been approved first
		}
		if c.Status != want || !slices.Equal(c.Policies, policies) {
			f.Errorf("%s is %s with %q, want %s", c.ID, c.Status, c.Policies, want)
		}
	}
	f.pendingCount(account, a.ID, 0)
}

// approveAll approves what waits at the moment.
func (f *fixture) approveAll() {
	filter := registry.CertificateFilter{Account: account, Status: muster.PendingActivation}
	for p := (registry.Page{Limit: registry.MaxSettle}); ; {
		waiting, next, err := f.SelectCertificates(f.Context(), filter, p)
		if err == nil {
			_, err = f.Settle(f.Context(), account, idsOf(waiting), registry.Settlement{Status: muster.Active, Policies: []string{"p"}})
		}
		if err != nil {
			f.Error(err)
		}
		if p.After = next; next == nil {
			return
		}
	}
}

func must2[T any](v T, _ registry.Cursor, err error) func(*fixture) T { return must(v, err) }

// leaves makes the certificates of many devices that share a key.
func (f *fixture) leaves(ca *mint.Authority, n int) []string {
	f.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(f)
	pems := make([]string, n)
	for i := range pems {
		leaf := must(ca.Issue(mint.Request{Key: key, Subject: pkix.Name{CommonName: fmt.Sprint("device-", i)}}))(f)
		pems[i] = string(leaf.CertPEM())
	}
	return pems
}

func TestAbbreviations(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Short")
	a := f.authority(ca)
	c := f.register(ca, "device", muster.Inactive)
	twin := c // a namesake in its first twelve digits
	twin.ID = c.ID[:12] + strings.Repeat("0", 52)
	f.ok(f.engine.Update(t.Context(), func(tx registry.Tx) error {
		return tx.Put(registry.KindTombstone, registry.Doc{ID: twin.ID + "/" + account, JSON: []byte("{}")})
	}))
	defer func() {
		f.ok(f.engine.Update(t.Context(), func(tx registry.Tx) error {
			return tx.Delete(registry.KindTombstone, twin.ID+"/"+account)
		}))
	}()
	for _, test := range []struct {
		owner, text, want string
		err               error
	}{
		{account, c.ID, c.ID, nil},
		{account, strings.ToUpper(c.ID), c.ID, nil},
		{account, twin.ID[:20], twin.ID, nil},
		{account, c.ID[:8], "", muster.ErrAmbiguous},
		{account, c.ID[:7], "", muster.ErrInvalid},
		{account, "", "", muster.ErrInvalid},
		{account, c.ID + "0", "", muster.ErrInvalid},
		{account, "device.pem", "", muster.ErrInvalid},
		{account, strings.Repeat("0", 64), "", muster.ErrNotFound},
		{account2, c.ID, "", muster.ErrNotFound},
	} {
		got, err := f.CertificateID(t.Context(), test.owner, test.text)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("certificate %q of %s is %q, %v; want %q, %v", test.text, test.owner, got, err, test.want, test.err)
		}
		if test.err == muster.ErrAmbiguous && (!strings.Contains(err.Error(), c.ID) || !strings.Contains(err.Error(), twin.ID)) {
			t.Errorf("%v does not name the candidates", err)
		}
	}
	inactive := muster.Inactive
	must(f.UpdateAuthority(t.Context(), account, a.ID, registry.AuthorityUpdate{Status: &inactive}))(f)
	named := func() {
		t.Helper()
		if got, err := f.AuthorityID(t.Context(), account, a.ID[:8]); got != a.ID || err != nil {
			t.Errorf("authority %s is %s, %v", a.ID[:8], got, err)
		}
	}
	named()
	f.ok(f.DeleteAuthority(t.Context(), account, a.ID))
	named() // while a certificate names it
	f.ok(f.DeleteCertificate(t.Context(), account, c.ID, false))
	_, err := f.AuthorityID(t.Context(), account, a.ID)
	f.is("an authority that is gone for good", err, muster.ErrNotFound)
	_, err = f.AuthorityID(t.Context(), account, "5fb0")
	f.is("a short authority", err, muster.ErrInvalid)
}

// TestSettleLarge settles certificates of which a transaction takes fewer than
// MaxSettle: a device's own extensions must not keep a whole selection waiting.
func TestSettleLarge(t *testing.T) { onBothEngines(t, testSettleLarge) }

func testSettleLarge(f *fixture) {
	ca := f.mint("Large")
	a := f.authority(ca)
	large := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Value: make([]byte, 40_000)}
	var ids []string
	for i := range registry.MaxSettle {
		leaf := must(ca.Issue(mint.Request{
			Subject: pkix.Name{CommonName: fmt.Sprint("large-", i)},
			Edit:    func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, large) },
		}))(f)
		e := muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: string(leaf.CertPEM())}
		ids = append(ids, must(f.Enrol(f.Context(), e))(f).Certificate.ID)
	}
	settled := must(f.Settle(f.Context(), account, ids, registry.Settlement{Status: muster.Active}))(f)
	if len(settled) != len(ids) {
		f.Fatalf("%d settled, want %d", len(settled), len(ids))
	}
	for i, s := range settled {
		if s.ID != ids[i] || s.Outcome != registry.OutcomeDone || s.Certificate.Status != muster.Active {
			f.Fatalf("certificate %d: %s %s %s", i, s.ID, s.Outcome, s.Certificate.Status)
		}
	}
}
