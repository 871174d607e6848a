package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

const denyAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iot:*","Resource":"*"}]}`

// TestPolicyVersions: five at most, numbers that are not used again, and one that
// is in force and stays.
func TestPolicyVersions(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.policy("p")
	held := func(inForce string, want ...string) {
		t.Helper()
		p := must(f.Policy(ctx, account, "p"))(f)
		var ids []string
		for _, v := range p.Versions {
			ids = append(ids, v.ID)
		}
		if !slices.Equal(ids, want) || p.Default != inForce {
			t.Errorf("versions %q, %s in force; want %q, %s", ids, p.Default, want, inForce)
		}
		f.step()
	}
	add := func(inForce bool) error {
		_, err := f.CreatePolicyVersion(ctx, account, "p", denyAll, inForce)
		return err
	}
	drop := func(id string) error { return f.DeletePolicyVersion(ctx, account, "p", id) }
	for range 3 {
		f.ok(add(false))
	}
	held("1", "1", "2", "3", "4")
	f.ok(add(true))
	held("5", "1", "2", "3", "4", "5")
	f.is("the sixth", add(false), muster.ErrVersions)
	f.is("the one in force", drop("5"), muster.ErrInUse)
	f.is("none", drop("9"), muster.ErrNotFound)
	f.is("no number", drop("05"), muster.ErrNotFound)
	f.ok(drop("4"))
	f.ok(drop("1"))
	f.is("again", drop("1"), muster.ErrNotFound)
	f.ok(add(false))
	held("5", "2", "3", "5", "6")

	f.ok(f.SetDefaultPolicyVersion(ctx, account, "p", "2"))
	held("2", "2", "3", "5", "6")
	before := f.seq()
	f.ok(f.SetDefaultPolicyVersion(ctx, account, "p", "2"))
	if f.seq() != before {
		t.Error("the version that is in force is set again, and written")
	}
	f.is("a version that is gone", f.SetDefaultPolicyVersion(ctx, account, "p", "4"), muster.ErrNotFound)
	f.is("another account's", f.SetDefaultPolicyVersion(ctx, account2, "p", "3"), muster.ErrNotFound)
	v, p, err := f.PolicyVersion(ctx, account, "p", "6")
	f.ok(err)
	if v.Document != denyAll || p.Document() != denyAll || p.Modified.Before(p.Created) {
		t.Errorf("version %+v of %+v", v, p)
	}
	_, _, err = f.PolicyVersion(ctx, account, "p", "4")
	f.is("a version that is gone", err, muster.ErrNotFound)
	_, _, err = f.PolicyVersion(ctx, account2, "p", "6")
	f.is("another account's", err, muster.ErrNotFound)
}

// TestPolicyVersionIsChecked, and leaves the policy as it is where it is wrong.
func TestPolicyVersionIsChecked(t *testing.T) {
	f := newFixture(t)
	f.policy("p")
	before := f.seq()
	wide := strings.Replace(allowAll, "{", "{"+strings.Repeat("\n", 300_000), 1)
	for _, test := range []struct {
		name, account, policy, document string
		want                            error
	}{
		{"malformed", account, "p", "{}", muster.ErrMalformedPolicy},
		{"no policy", account, "q", allowAll, muster.ErrNotFound},
		{"another account's", account2, "p", allowAll, muster.ErrNotFound},
		{"a name", account, "a b", allowAll, muster.ErrInvalid},
	} {
		_, err := f.CreatePolicyVersion(t.Context(), test.account, test.policy, test.document, true)
		f.is(test.name, err, test.want)
	}
	if f.seq() != before {
		t.Error("something was written")
	}
	must(f.CreatePolicyVersion(t.Context(), account, "p", wide, false))(f)
	_, err := f.CreatePolicyVersion(t.Context(), account, "p", wide, false)
	f.is("two large ones", err, muster.ErrInvalid)
}

// TestPolicyTargets lists both kinds page by page, also while they change.
func TestPolicyTargets(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.policy("p")
	f.policy("p2")
	ca := f.mint("Targets")
	f.authority(ca)
	var certificates []string
	attach := func(kind muster.ResourceKind, id string) { f.ok(f.AttachPolicy(ctx, account, "p", kind, id)) }
	for i := range 5 {
		c := f.register(ca, fmt.Sprint("device ", i), muster.Inactive)
		attach(muster.KindCertificate, c.ID)
		certificates = append(certificates, c.ID)
	}
	slices.Sort(certificates)
	want := slices.Clone(certificates)
	for _, name := range []string{"a", "b", "c"} {
		must(f.CreateThingGroup(ctx, muster.ThingGroup{Account: account, Name: name}))(f)
		attach(muster.KindThingGroup, name)
		want = append(want, name)
	}
	other := f.register(ca, "other", muster.Inactive)
	f.ok(f.AttachPolicy(ctx, account, "p2", muster.KindCertificate, other.ID))
	for limit := range len(want) + 2 {
		if got := f.targets("p", limit, nil); !slices.Equal(got, want) {
			t.Errorf("by pages of %d: %q, want %q", limit, got, want)
		}
	}
	gone := f.targets("p", 2, func() { f.ok(f.DetachPolicy(ctx, account, "p", muster.KindCertificate, certificates[0])) })
	if !slices.Equal(gone, want) {
		t.Errorf("while the first one is detached: %q, want %q", gone, want)
	}
	attach(muster.KindCertificate, certificates[0])

	ids, next, err := f.PolicyCertificates(ctx, account, "p", registry.Page{Limit: 4, Desc: true})
	f.ok(err)
	rest, _, err := f.PolicyCertificates(ctx, account, "p", registry.Page{Limit: 4, Desc: true, After: next})
	f.ok(err)
	ids = append(ids, rest...)
	slices.Reverse(ids)
	if !slices.Equal(ids, certificates) {
		t.Errorf("certificates %q, want %q", ids, certificates)
	}
	_, _, err = f.PolicyTargets(ctx, account2, "p", registry.Page{})
	f.is("another account's", err, muster.ErrNotFound)
	_, _, err = f.PolicyCertificates(ctx, account, "q", registry.Page{})
	f.is("no policy", err, muster.ErrNotFound)
	for _, cursor := range []registry.Cursor{{}, {2}, {0, 1}} {
		_, _, err = f.PolicyTargets(ctx, account, "p", registry.Page{After: cursor})
		f.is(fmt.Sprintf("cursor %x", cursor), err, muster.ErrInvalid)
	}
}

// targets reads all pages of the targets of a policy, and does something after
// the first.
func (f *fixture) targets(policy string, limit int, between func()) (ids []string) {
	f.Helper()
	for p := (registry.Page{Limit: limit}); ; {
		found, next, err := f.PolicyTargets(f.Context(), account, policy, p)
		f.ok(err)
		if limit > 0 && len(found) > limit {
			f.Errorf("%d on a page of %d", len(found), limit)
		}
		for _, key := range found {
			ids = append(ids, key.ID)
		}
		if next == nil {
			return ids
		}
		if p.After == nil && between != nil {
			between()
		}
		p.After = next
	}
}
