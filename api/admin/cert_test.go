package admin_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

const allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`

// post asks a question and reads the answer into out, if it is 200 OK.
func (f *fixture) post(t *testing.T, path string, in, out any) (status int, text string) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	w, err := http.Post(f.server.URL+path, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	answer, err := io.ReadAll(w.Body)
	if err == nil && w.StatusCode == http.StatusOK && out != nil {
		err = json.Unmarshal(answer, out)
	}
	if err != nil {
		t.Fatalf("%s: %v in %s", path, err, answer)
	}
	return w.StatusCode, string(answer)
}

// list returns the subjects that a listing tells, and its error.
func (f *fixture) list(t *testing.T, l admin.Listing) (subjects []string, failure string) {
	t.Helper()
	_, text := f.post(t, "/cert/list", l, nil)
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var e admin.Event[admin.Record]
		if err := d.Decode(&e); err != nil {
			t.Fatalf("%v: no end of %s", err, text)
		}
		if e.Value == nil {
			return subjects, e.Error
		}
		subjects = append(subjects, e.Value.Subject)
	}
}

// devices registers an authority and n certificates of it, which wait.
func (f *fixture) devices(t *testing.T, name string, n int) (muster.Authority, []muster.Certificate) {
	t.Helper()
	ca, err := mint.NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	a, err := f.store.RegisterAuthority(t.Context(), registry.AuthorityRegistration{
		Account: account, PEM: string(ca.CertPEM()), Mode: muster.ModeSNIOnly, Active: true, AutoRegistration: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made := make([]muster.Certificate, n)
	for i := range made {
		leaf, err := ca.Issue(mint.Request{Key: key, Subject: pkix.Name{CommonName: fmt.Sprintf("%s-%03d", name, i)}})
		if err != nil {
			t.Fatal(err)
		}
		e, err := f.store.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: string(leaf.CertPEM())})
		if err != nil {
			t.Fatal(err)
		}
		made[i] = e.Certificate
	}
	return a, made
}

func TestListCertificates(t *testing.T) {
	f := newFixture(t)
	const n = 401 // two pages, and one
	a, _ := f.devices(t, "Plant", n)
	b, _ := f.devices(t, "Other", 1)
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("CN=Plant-%03d", i))
	}
	of := admin.Selection{Authority: strings.ToUpper(a.ID[:8])}
	for _, limit := range []int{0, 1, 199, 200, 201, 400, 401, 500} {
		want := all[:min(limit, n)]
		if limit == 0 {
			want = all
		}
		if got, failure := f.list(t, admin.Listing{Selection: of, Limit: limit}); !slices.Equal(got, want) || failure != "" {
			t.Errorf("limit %d: %d certificates, %s", limit, len(got), failure)
		}
	}
	if got, _ := f.list(t, admin.Listing{Selection: of, Limit: 2, NewestFirst: true}); !slices.Equal(got, []string{all[n-1], all[n-2]}) {
		t.Errorf("the newest are %q", got)
	}
	if got, _ := f.list(t, admin.Listing{Selection: admin.Selection{Authority: b.ID}}); !slices.Equal(got, []string{"CN=Other-000"}) {
		t.Errorf("of the other authority: %q", got)
	}
	var counted admin.Counted
	f.post(t, "/cert/count", of, &counted)
	if counted.Count != n || counted.Account != account || counted.Authority != a.ID || counted.AuthoritySubject != "CN=Plant" {
		t.Errorf("counted: %+v", counted)
	}
	now := time.Now()
	for _, l := range []admin.Listing{
		{Limit: -1}, {Selection: admin.Selection{Status: "active"}}, {Selection: admin.Selection{Authority: "0123"}},
		{Selection: admin.Selection{From: now, To: now}}, {Selection: admin.Selection{OfAccount: admin.OfAccount{Account: "12"}}},
	} {
		if got, failure := f.list(t, l); len(got) > 0 || failure == "" {
			t.Errorf("%+v lists %d, %q", l, len(got), failure)
		}
	}
}

// TestSettleCertificates: a selection is settled by steps, and what is named has
// failed unless it is as it was meant to be.
func TestSettleCertificates(t *testing.T) {
	f := newFixture(t)
	if _, err := f.store.CreatePolicy(t.Context(), account, "p", allowAll, nil); err != nil {
		t.Fatal(err)
	}
	const n = 2*registry.MaxSettle + 20
	a, made := f.devices(t, "Plant", n)
	q := admin.Settling{Selection: admin.Selection{Authority: a.ID}, Become: muster.Active, Policies: []string{"p"}}
	var steps []int
	for {
		var got admin.Settlement
		f.post(t, "/cert/settle", q, &got)
		for i, s := range got.Settled {
			want := made[len(steps)*registry.MaxSettle+i] // the oldest first
			if s.ID != want.ID || s.Outcome != registry.OutcomeDone || s.Status != muster.Active || !slices.Equal(s.Policies, []string{"p"}) ||
				s.Authority != "CN=Plant" {
				t.Errorf("settled %+v", s)
			}
		}
		steps = append(steps, len(got.Settled))
		if q.After = got.Next; q.After == nil {
			break
		}
	}
	if !slices.Equal(steps, []int{registry.MaxSettle, registry.MaxSettle, 20}) {
		t.Errorf("steps of %v", steps)
	}
	if err := f.store.Revoke(t.Context(), account, made[1].ID); err != nil {
		t.Fatal(err)
	}
	named := admin.Settling{IDs: []string{made[0].ID, made[1].ID, strings.Repeat("0", 64)}, Become: muster.Active}
	var got admin.Settlement
	f.post(t, "/cert/settle", named, &got)
	for i, want := range []registry.Outcome{registry.OutcomeSkipped, registry.OutcomeFailed, registry.OutcomeFailed} {
		if s := got.Settled[i]; s.ID != named.IDs[i] || s.Outcome != want || s.Detail == "" {
			t.Errorf("named %+v, want %s", s, want)
		}
	}
	for _, q := range []admin.Settling{
		{}, {IDs: []string{made[2].ID}}, {Become: muster.Active, Delete: true},
		{Become: muster.PendingActivation}, {Become: muster.Active, Policies: []string{"nowhere"}}, {Become: muster.Active, Limit: -1},
		{Selection: admin.Selection{Status: muster.Active}, Become: muster.Inactive}, {Become: muster.Active, After: registry.Cursor("nonsense")},
		{IDs: make([]string, registry.MaxSettle+1), Become: muster.Active},
		{From: []muster.Status{muster.Active, muster.Inactive}, Become: muster.Revoked}, {From: []muster.Status{muster.Active}, Become: muster.Inactive},
	} {
		if status, text := f.post(t, "/cert/settle", q, nil); status != http.StatusBadRequest && status != http.StatusNotFound {
			t.Errorf("%+v: %d %s", q, status, text)
		}
	}
	got = admin.Settlement{}
	_, pending := f.devices(t, "Waiting", 1)
	f.post(t, "/cert/settle", map[string]any{"ids": []string{}, "become": "REVOKED"}, &got)
	if c, err := f.store.Certificate(t.Context(), account, pending[0].ID); len(got.Settled) > 0 || err != nil || c.Status != muster.PendingActivation {
		t.Errorf("an empty list of names settles %+v, %v", got.Settled, err)
	}
	if status, text := f.post(t, "/cert/resolve", admin.Names{IDs: make([]string, admin.MaxNames+1)}, nil); status != http.StatusBadRequest {
		t.Errorf("too many names: %d %s", status, text)
	}
}

// TestRevokeSelection: all that an authority signed, one state after another,
// and nothing of another authority.
func TestRevokeSelection(t *testing.T) {
	f := newFixture(t)
	a, made := f.devices(t, "Plant", registry.MaxSettle+3)
	_, others := f.devices(t, "Other", 1)
	set := func(c muster.Certificate, s muster.Status) {
		t.Helper()
		if _, err := f.store.UpdateCertificateStatus(t.Context(), account, c.ID, s); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range append(made[:registry.MaxSettle+1:registry.MaxSettle+1], others...) {
		set(c, muster.Active)
	}
	set(made[registry.MaxSettle+1], muster.Inactive)
	q := admin.Settling{Selection: admin.Selection{Authority: a.ID}, Become: muster.Revoked}
	done := map[muster.Status]int{}
	for _, state := range []muster.Status{muster.Active, muster.Inactive, muster.PendingActivation} {
		q.From, q.After = []muster.Status{state}, nil
		for more := true; more; more = q.After != nil {
			var got admin.Settlement
			f.post(t, "/cert/settle", q, &got)
			for _, s := range got.Settled {
				if s.Outcome != registry.OutcomeDone || s.Status != muster.Revoked {
					t.Errorf("settled %+v", s)
				}
				done[state]++
			}
			q.After = got.Next
		}
	}
	if done[muster.Active] != registry.MaxSettle+1 || done[muster.Inactive] != 1 || done[muster.PendingActivation] != 1 {
		t.Errorf("revoked %v", done)
	}
	if c, err := f.store.Certificate(t.Context(), account, others[0].ID); err != nil || c.Status != muster.Active {
		t.Errorf("a device of another authority is %s, %v", c.Status, err)
	}
}

// TestShowCertificate: what is shown stays right when the authority goes, and
// when the certificate does.
func TestShowCertificate(t *testing.T) {
	f := newFixture(t)
	a, made := f.devices(t, "Plant", 1)
	name := admin.CertificateName{ID: made[0].ID[:12]}
	show := func() (s admin.Showing) {
		t.Helper()
		f.post(t, "/cert/show", name, &s)
		return s
	}
	if s := show(); s.Record == nil || s.Record.Subject != "CN=Plant-000" || s.PEM != made[0].PEM || s.Mode != muster.ModeSNIOnly ||
		s.Authority == nil || s.Authority.Status != muster.Active || !s.Authority.AutoRegistration || s.Tombstone != nil {
		t.Errorf("shown: %+v", s)
	}
	inactive := muster.Inactive
	_, err := f.store.UpdateAuthority(t.Context(), account, a.ID, registry.AuthorityUpdate{Status: &inactive})
	if err := errors.Join(err, f.store.DeleteAuthority(t.Context(), account, a.ID)); err != nil {
		t.Fatal(err)
	}
	if s := show(); s.Authority == nil || s.Authority.Status != "" || s.Authority.Subject != "CN=Plant" || s.Authority.OCSP.Mode != muster.OCSPOff {
		t.Errorf("without its authority: %+v", s.Authority)
	}
	var set admin.Record
	f.post(t, "/cert/set", admin.StatusChange{CertificateName: name, Status: muster.Revoked}, &set)
	if set.Status != muster.Revoked || set.ID != made[0].ID {
		t.Errorf("set: %+v", set)
	}
	if err := f.store.DeleteCertificate(t.Context(), account, made[0].ID, false); err != nil {
		t.Fatal(err)
	}
	if s := show(); s.Record != nil || s.Tombstone == nil || s.Tombstone.Kind != muster.TombstoneDeleted {
		t.Errorf("deleted: %+v", s)
	}
	var forgotten admin.CertificateName
	f.post(t, "/cert/forget", name, &forgotten)
	if forgotten.ID != made[0].ID || forgotten.Account != account {
		t.Errorf("forgotten: %+v", forgotten)
	}
	for _, path := range []string{"/cert/show", "/cert/forget"} {
		if status, text := f.post(t, path, name, nil); status != http.StatusNotFound || !strings.Contains(text, account) {
			t.Errorf("%s of nothing: %d %s", path, status, text)
		}
	}
}

// TestAccounts: the only account need not be named, and one of several must be.
func TestAccounts(t *testing.T) {
	f := newFixture(t)
	const second = "210987654321"
	f.devices(t, "Plant", 1)
	if got, failure := f.list(t, admin.Listing{}); len(got) != 1 || failure != "" {
		t.Errorf("of the only account: %q, %s", got, failure)
	}
	var made admin.Account
	f.post(t, "/account/create", admin.Account{ID: second, Endpoint: "second.example.test"}, &made)
	if made.ID != second || made.Endpoint != "second.example.test" || made.Created.IsZero() {
		t.Errorf("made %+v", made)
	}
	if _, failure := f.list(t, admin.Listing{}); !strings.Contains(failure, account) || !strings.Contains(failure, second) {
		t.Errorf("of one of two: %s", failure)
	}
	for id, want := range map[string]int{account: 1, second: 0} {
		if got, failure := f.list(t, admin.Listing{Selection: admin.Selection{OfAccount: admin.OfAccount{Account: id}}}); len(got) != want || failure != "" {
			t.Errorf("of %s: %q, %s", id, got, failure)
		}
	}
	var accounts []admin.Account
	f.post(t, "/account/list", admin.Nothing{}, &accounts)
	if len(accounts) != 2 || accounts[1].ID != second {
		t.Errorf("accounts %+v", accounts)
	}
	for _, a := range []admin.Account{{ID: second}, {ID: "12"}, {ID: "111111111111", Endpoint: "a b"}, {ID: "111111111111", Endpoint: "SECOND.example.test"}} {
		if status, text := f.post(t, "/account/create", a, nil); status == http.StatusOK {
			t.Errorf("made %+v: %s", a, text)
		}
	}
}
