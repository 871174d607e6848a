package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

var outcomes = map[string]error{
	"ok": nil, "same": nil, "tombstone": nil, "gone": nil,
	"state": muster.ErrState, "invalid": muster.ErrInvalid, "in-use": muster.ErrInUse,
}

func TestStatusMachine(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Status")
	a := f.authority(ca)
	for _, line := range lines(t, "testdata/status.txt") {
		from, to, outcome := muster.Status(line[0]), muster.Status(line[1]), line[2]
		what := string(from) + " to " + string(to)
		c := f.inStatus(a, ca, what, from)
		before := f.seq()
		got, err := f.UpdateCertificateStatus(t.Context(), account, c.ID, to)
		f.is(what, err, outcomes[outcome])
		stored := must(f.Certificate(t.Context(), account, c.ID))(f)
		changed := stored.Status == to && stored.Revision == c.Revision+1 && f.seq() != before
		if changed != (outcome == "ok") || outcome != "ok" && (stored.Status != from || f.seq() != before) {
			t.Errorf("%s: %s leaves %+v", what, outcome, stored)
		}
		if err == nil && (got.Status != stored.Status || got.Revision != stored.Revision) {
			t.Errorf("%s: returned %+v, stored %+v", what, got, stored)
		}
		f.step()
	}
	_, err := f.UpdateCertificateStatus(t.Context(), account2, a.ID, muster.Active)
	f.is("unknown certificate", err, muster.ErrNotFound)
}

// inStatus makes a certificate of that status.
func (f *fixture) inStatus(a muster.Authority, ca *mint.Authority, name string, status muster.Status) muster.Certificate {
	f.Helper()
	switch status {
	case muster.PendingActivation:
		return f.enrol(a, ca, name)
	case muster.PendingTransfer:
		c := f.register(ca, name, muster.Inactive)
		return must(f.TransferCertificate(f.Context(), account, c.ID, account2, ""))(f)
	}
	return f.register(ca, name, status)
}

func TestRevoke(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Revoke")
	a := f.authority(ca)
	for _, from := range []muster.Status{
		muster.Active, muster.Inactive, muster.Revoked, muster.PendingActivation, muster.PendingTransfer,
	} {
		c := f.inStatus(a, ca, string(from), from)
		f.ok(f.Revoke(t.Context(), account, c.ID))
		before := f.seq()
		f.ok(f.Revoke(t.Context(), account, c.ID))
		if f.seq() != before {
			t.Errorf("%s: a second Revoke writes", from)
		}
		if got := must(f.Certificate(t.Context(), account, c.ID))(f).Status; got != muster.Revoked {
			t.Errorf("%s: revoked leaves %s", from, got)
		}
		f.step()
	}
	f.is("unknown certificate", f.Revoke(t.Context(), account2, a.ID), muster.ErrNotFound)
}

func TestDeleteCertificate(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Delete")
	a := f.authority(ca)
	f.policy("p")
	must(f.CreateThing(t.Context(), muster.Thing{Account: account, Name: "t"}))(f)
	for _, line := range lines(t, "testdata/delete.txt") {
		status, attached, force, outcome := muster.Status(line[0]), line[1], line[2] == "force", line[3]
		what := strings.Join(line, " ")
		c := f.inStatus(a, ca, what, status)
		if strings.Contains(attached, "thing") {
			c.Things = []string{"t"}
		}
		if strings.Contains(attached, "policy") {
			c.Policies = []string{"p"}
		}
		f.force(registry.KindCert, c)
		f.is(what, f.DeleteCertificate(t.Context(), account, c.ID, force), outcomes[outcome])
		certificates, tombstones, err := f.Find(t.Context(), c.ID)
		f.ok(err)
		deleted := outcomes[outcome] == nil
		if (len(certificates) == 0) != deleted || (len(tombstones) == 1) != (outcome == "tombstone") {
			t.Errorf("%s: leaves %d records, %d tombstones", what, len(certificates), len(tombstones))
		}
		if len(tombstones) == 1 {
			if x := tombstones[0]; x.Kind != muster.TombstoneDeleted || x.Mode != c.Mode || !x.NotAfter.Equal(c.NotAfter) {
				t.Errorf("%s: tombstone %+v", what, x)
			}
		}
		f.step()
	}
	f.is("unknown certificate", f.DeleteCertificate(t.Context(), account2, a.ID, true), muster.ErrNotFound)
}

// A tombstone keeps the device away until it is forgotten or the certificate is
// registered by hand.
func TestTombstone(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Tombstone")
	a := f.authority(ca)
	pem := f.leaf(ca, "device")
	registration := registry.CertificateRegistration{Account: account, PEM: pem}
	c := must(f.RegisterCertificate(t.Context(), registration))(f)
	enrolment := muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: pem}
	bury := func() {
		t.Helper()
		f.ok(f.DeleteCertificate(t.Context(), account, c.ID, false))
		_, err := f.Enrol(t.Context(), enrolment)
		f.is("enrol a deleted certificate", err, muster.ErrState)
		f.step()
	}
	bury()
	again := must(f.RegisterCertificate(t.Context(), registration))(f)
	if again.ID != c.ID || again.Generation == c.Generation {
		t.Errorf("registered again as %s, generation %s; was %s, %s", again.ID, again.Generation, c.ID, c.Generation)
	}
	bury()
	f.ok(f.ForgetCertificate(t.Context(), account, c.ID))
	f.is("forget again", f.ForgetCertificate(t.Context(), account, c.ID), muster.ErrNotFound)
	if got := must(f.Enrol(t.Context(), enrolment))(f).Status; got != muster.PendingActivation {
		t.Errorf("enrolled as %s", got)
	}
}

func TestListCertificates(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("List")
	a := f.authority(ca)
	var want []string
	for i := range 7 {
		f.advance(time.Second)
		if i%2 == 0 {
			want = append(want, f.enrol(a, ca, "pending").ID)
		} else {
			want = append(want, f.register(ca, "registered", muster.Active).ID)
		}
	}
	must(f.RegisterCertificate(t.Context(), registry.CertificateRegistration{
		Account: account2, PEM: f.leaf(ca, "another account's"), WithoutCA: true,
	}))(f)
	lists := map[string]func(registry.Page) ([]muster.Certificate, registry.Cursor, error){
		"all": func(p registry.Page) ([]muster.Certificate, registry.Cursor, error) {
			return f.ListCertificates(t.Context(), account, p)
		},
		"authority": func(p registry.Page) ([]muster.Certificate, registry.Cursor, error) {
			return f.ListCertificatesByAuthority(t.Context(), account, a.ID, p)
		},
	}
	for name, list := range lists {
		if got := pages(f, list, registry.Page{Limit: 3}); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		backwards := slices.Clone(want)
		slices.Reverse(backwards)
		if got := pages(f, list, registry.Page{Limit: 2, Desc: true}); !slices.Equal(got, backwards) {
			t.Errorf("%s backwards: %v, want %v", name, got, backwards)
		}
	}
	pending := func(p registry.Page) ([]muster.Certificate, registry.Cursor, error) {
		return f.ListCertificatesByStatus(t.Context(), account, muster.PendingActivation, p)
	}
	if got := pages(f, pending, registry.Page{Limit: 1}); !slices.Equal(got, []string{want[0], want[2], want[4], want[6]}) {
		t.Errorf("pending: %v of %v", got, want)
	}
	if got, _, err := f.ListCertificatesByAuthority(t.Context(), account, a.ID[:10], registry.Page{}); err != nil || len(got) != 0 {
		t.Errorf("by a part of an authority's ID: %d certificates, %v", len(got), err)
	}
}

// pages walks a list to its end.
func pages(f *fixture, list func(registry.Page) ([]muster.Certificate, registry.Cursor, error), p registry.Page) []string {
	f.Helper()
	var ids []string
	for {
		page, next, err := list(p)
		f.ok(err)
		if len(page) > p.Limit {
			f.Errorf("a page of %d, want at most %d", len(page), p.Limit)
		}
		for _, c := range page {
			ids = append(ids, c.ID)
		}
		if next == nil {
			return ids
		}
		p.After = next
	}
}

// With few accounts each is asked, with many they are listed.
func TestFindSpansAccounts(t *testing.T) {
	for _, more := range []int{0, 20} {
		f := newFixture(t)
		for i := range more {
			f.ok(f.CreateAccount(t.Context(), muster.Account{ID: fmt.Sprintf("%012d", i)}))
		}
		f.findSpansAccounts()
	}
}

func (f *fixture) findSpansAccounts() {
	t := f.T
	t.Helper()
	pem := f.leaf(f.mint("Loose"), "device")
	var id string
	for _, owner := range []string{account, account2} {
		c := must(f.RegisterCertificate(t.Context(), registry.CertificateRegistration{Account: owner, PEM: pem, WithoutCA: true}))(f)
		if id = c.ID; c.Mode != muster.ModeSNIOnly || c.AuthorityID != "" || c.Status != muster.Inactive {
			t.Errorf("registered without an authority as %+v", c)
		}
	}
	f.ok(f.DeleteCertificate(t.Context(), account, id, false))
	certificates, tombstones, err := f.Find(t.Context(), id)
	if err != nil || len(certificates) != 1 || certificates[0].Account != account2 || len(tombstones) != 1 || tombstones[0].Account != account {
		t.Errorf("found %+v, %+v, %v", certificates, tombstones, err)
	}
	_, err = f.Certificate(t.Context(), account, id)
	if !errors.Is(err, muster.ErrNotFound) || !strings.Contains(err.Error(), id) {
		t.Errorf("deleted certificate: %v", err)
	}
}
