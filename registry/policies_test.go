package registry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func TestCreatePolicy(t *testing.T) {
	f := newFixture(t)
	for _, test := range []struct {
		name, policy, document string
		want                   error
	}{
		{"good", "p+=,.@-_1", allowAll, nil},
		{"once more", "p+=,.@-_1", allowAll, muster.ErrExists},
		{"name", "a b", allowAll, muster.ErrInvalid},
		{"no name", "", allowAll, muster.ErrInvalid},
		{"malformed", "m", `{"Version":"2012-10-17"}`, muster.ErrMalformedPolicy},
		{"empty", "m", "", muster.ErrMalformedPolicy},
	} {
		p, err := f.CreatePolicy(t.Context(), account, test.policy, test.document, []muster.Tag{{Key: "k", Value: "v"}})
		f.is(test.name, err, test.want)
		if err == nil && (p.Document() != allowAll || p.Default != "1" || p.Next != 2 || p.Generation == "" || len(p.Tags) != 1) {
			t.Errorf("%s: made %+v", test.name, p)
		}
		f.step()
	}
	_, err := f.CreatePolicy(t.Context(), "999999999999", "p", allowAll, nil)
	f.is("unknown account", err, muster.ErrNotFound)
}

func TestAttachPolicy(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Attach")
	f.authority(ca)
	c := f.register(ca, "device", muster.Active)
	must(f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "g"}))(f)
	attached := map[muster.ResourceKind]func() []string{
		muster.KindCertificate: func() []string { return must(f.Certificate(t.Context(), account, c.ID))(f).Policies },
		muster.KindThingGroup:  func() []string { return must(f.ThingGroup(t.Context(), account, "g"))(f).Policies },
	}
	for i := range 11 {
		f.policy(fmt.Sprintf("p%02d", i))
	}
	for kind, id := range map[muster.ResourceKind]string{muster.KindCertificate: c.ID, muster.KindThingGroup: "g"} {
		for i := range 10 {
			f.ok(f.AttachPolicy(t.Context(), account, fmt.Sprintf("p%02d", 9-i), kind, id))
		}
		f.is("the eleventh", f.AttachPolicy(t.Context(), account, "p10", kind, id), muster.ErrLimit)
		before := f.seq()
		f.ok(f.AttachPolicy(t.Context(), account, "p03", kind, id))
		if f.seq() != before {
			t.Errorf("%s: attached again, it writes", kind)
		}
		if got := attached[kind](); len(got) != 10 || !slices.IsSorted(got) {
			t.Errorf("%s: attached %q", kind, got)
		}
		f.step()
		f.ok(f.DetachPolicy(t.Context(), account, "p03", kind, id))
		before = f.seq()
		f.ok(f.DetachPolicy(t.Context(), account, "p03", kind, id))
		if got := attached[kind](); len(got) != 9 || slices.Contains(got, "p03") || f.seq() != before {
			t.Errorf("%s: detached, leaves %q", kind, got)
		}
		f.step()
		f.is("no such policy", f.AttachPolicy(t.Context(), account, "nowhere", kind, id), muster.ErrNotFound)
		f.is("another account's policy", f.AttachPolicy(t.Context(), account2, "p00", kind, id), muster.ErrNotFound)
		f.is("no such target", f.AttachPolicy(t.Context(), account, "p00", kind, "nowhere"), muster.ErrNotFound)
	}
	f.is("a thing", f.AttachPolicy(t.Context(), account, "p00", muster.KindThing, "t"), muster.ErrInvalid)
}

func TestListPolicies(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"b", "a", "c"} {
		f.policy(name)
	}
	must(f.CreatePolicy(t.Context(), account2, "theirs", allowAll, nil))(f)
	for _, test := range []struct {
		page registry.Page
		want string
		more bool
	}{
		{registry.Page{}, "abc", false},
		{registry.Page{Desc: true}, "cba", false},
		{registry.Page{Limit: 2}, "ab", true},
	} {
		list, next, err := f.ListPolicies(t.Context(), account, test.page)
		f.ok(err)
		got := ""
		for _, p := range list {
			got += p.Name
		}
		if got != test.want || (next != nil) != test.more {
			t.Errorf("%+v: listed %q, more %t; want %q, %t", test.page, got, next != nil, test.want, test.more)
		}
	}
}

func TestDeletePolicy(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Delete")
	f.authority(ca)
	c := f.register(ca, "device", muster.Active)
	must(f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "g"}))(f)
	for _, name := range []string{"free", "certified", "grouped", "versioned", "free2"} {
		f.policy(name)
	}
	f.ok(f.AttachPolicy(t.Context(), account, "certified", muster.KindCertificate, c.ID))
	f.ok(f.AttachPolicy(t.Context(), account, "free2", muster.KindCertificate, c.ID)) // its name begins as the other's
	f.ok(f.AttachPolicy(t.Context(), account, "grouped", muster.KindThingGroup, "g"))
	must(f.CreatePolicyVersion(t.Context(), account, "versioned", allowAll, true))(f)
	for _, test := range []struct {
		account, name string
		want          error
		text          string
	}{
		{account, "nowhere", muster.ErrNotFound, "nowhere"},
		{account2, "free", muster.ErrNotFound, "free"},
		{account, "certified", muster.ErrInUse, "certificate " + c.ID},
		{account, "grouped", muster.ErrInUse, "thing group g"},
		{account, "versioned", muster.ErrInUse, "2 versions"},
		{account, "free", nil, ""},
		{account, "free", muster.ErrNotFound, "free"},
	} {
		err := f.DeletePolicy(t.Context(), test.account, test.name)
		f.is(test.name, err, test.want)
		if err != nil && !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v, want %q in it", test.name, err, test.text)
		}
		f.step()
	}
	f.policy("free") // the name can be had again
	f.ok(f.DetachPolicy(t.Context(), account, "grouped", muster.KindThingGroup, "g"))
	f.ok(f.DeletePolicy(t.Context(), account, "grouped"))
}

func TestAttachedPolicies(t *testing.T) {
	f := newFixture(t)
	c := f.lamp()
	for _, test := range []struct {
		kind      muster.ResourceKind
		id        string
		inherited bool
		want      string
		err       error
	}{
		{muster.KindCertificate, c.ID, false, "house own", nil},
		{muster.KindCertificate, c.ID, true, "floor house own", nil},
		{muster.KindThingGroup, "floor", false, "floor", nil},
		{muster.KindThingGroup, "floor", true, "floor house", nil},
		{muster.KindThingGroup, "house", true, "house", nil},
		{muster.KindCertificate, "nowhere", true, "", muster.ErrNotFound},
		{muster.KindThingGroup, "nowhere", true, "", muster.ErrNotFound},
		{muster.KindThing, "lamp", true, "", muster.ErrInvalid},
	} {
		got, err := f.AttachedPolicies(t.Context(), account, test.kind, test.id, test.inherited)
		what := fmt.Sprintf("%s %s, inherited %t", test.kind, test.id, test.inherited)
		f.is(what, err, test.err)
		if list := strings.Join(got, " "); list != test.want {
			t.Errorf("%s: %q, want %q", what, list, test.want)
		}
	}
}

// lamp makes a certificate with a policy of its own, attached to a thing in a
// group in a group, both with policies; and a thing it is not attached to.
func (f *fixture) lamp() muster.Certificate {
	f.Helper()
	ca := f.mint("Principal")
	a := f.authority(ca)
	for _, name := range []string{"own", "floor", "house", "unrelated"} {
		f.policy(name)
	}
	group := func(name, parent, policy string) {
		f.Helper()
		must(f.CreateThingGroup(f.Context(), muster.ThingGroup{Account: account, Name: name, Parent: parent}))(f)
		f.ok(f.AttachPolicy(f.Context(), account, policy, muster.KindThingGroup, name))
	}
	group("house", "", "house")
	group("floor", "house", "floor")
	group("elsewhere", "", "unrelated")
	must(f.CreateThing(f.Context(), muster.Thing{Account: account, Name: "elsewhere", Groups: []string{"elsewhere"}}))(f)
	r := thingNamed("lamp")
	r.Thing.Groups = []string{"floor"}
	r.Policies = []muster.RegistrationGrant{{Name: "own"}, {Name: "house"}}
	return must(f.Enrol(f.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, "lamp"), Registration: r}))(f).Certificate
}

func TestPrincipal(t *testing.T) {
	f := newFixture(t)
	c := f.lamp()
	for range 2 {
		p := must(f.Principal(t.Context(), account, c.ID, "lamp"))(f)
		var names []string
		for _, policy := range p.Policies {
			names = append(names, policy.Name)
			if policy.Document != allowAll || policy.Version != "1" {
				t.Errorf("policy %+v", policy)
			}
		}
		if want := []string{"floor", "house", "own"}; !slices.Equal(names, want) {
			t.Errorf("policies %q, want %q", names, want)
		}
		if p.Thing == nil || p.Thing.Name != "lamp" || p.Certificate.ID != c.ID {
			t.Errorf("principal %+v", p)
		}
		for _, want := range []muster.ResourceKey{
			{Kind: muster.KindCertificate, ID: c.ID}, {Kind: muster.KindThing, ID: "lamp"},
			{Kind: muster.KindThingGroup, ID: "floor"}, {Kind: muster.KindThingGroup, ID: "house"}, {Kind: muster.KindPolicy, ID: "own"},
			{Kind: muster.KindIssuer, ID: c.AuthorityID},
		} {
			if !slices.Contains(p.Watch, want) {
				t.Errorf("%+v is not watched: %+v", want, p.Watch)
			}
		}
		if len(p.Watch) != 8 {
			t.Errorf("watched: %+v", p.Watch)
		}
	}
	if p := must(f.Principal(t.Context(), account, c.ID, "elsewhere"))(f); p.Thing != nil || len(p.Policies) != 3 {
		t.Errorf("with the client ID of a thing it is not attached to: %+v", p)
	}
	f.ok(f.DetachPolicy(t.Context(), account, "house", muster.KindThingGroup, "house"))
	f.ok(f.DetachPolicy(t.Context(), account, "house", muster.KindCertificate, c.ID))
	if p := must(f.Principal(t.Context(), account, c.ID, "lamp"))(f); len(p.Policies) != 2 {
		t.Errorf("a detached policy stays: %+v", p.Policies)
	}
	_, err := f.Principal(t.Context(), account2, c.ID, "lamp")
	f.is("another account's", err, muster.ErrNotFound)
}

func TestCreateTemplate(t *testing.T) {
	f := newFixture(t)
	good := muster.Template{Account: account, Name: "good", RoleARN: role, Enabled: true}
	made := must(f.CreateTemplate(t.Context(), good, jitp))(f)
	stored := must(f.Template(t.Context(), account, "good"))(f)
	if made.Type != muster.TemplateFleet || stored.Body() != jitp || stored.Default != 1 || stored.Next != 2 || !stored.Enabled {
		t.Errorf("made %+v, stored %+v", made, stored)
	}
	for _, test := range []struct {
		name string
		edit func(*muster.Template, *string)
		want error
	}{
		{"once more", func(*muster.Template, *string) {}, muster.ErrExists},
		{"name", func(m *muster.Template, _ *string) { m.Name = "a b" }, muster.ErrInvalid},
		{"long name", func(m *muster.Template, _ *string) { m.Name = strings.Repeat("n", 37) }, muster.ErrInvalid},
		{"type", func(m *muster.Template, _ *string) { m.Type = "jitp" }, muster.ErrInvalid},
		{"role", func(m *muster.Template, _ *string) { m.RoleARN = "arn:aws:iam::1:role/x" }, muster.ErrInvalid},
		{"user", func(m *muster.Template, _ *string) { m.RoleARN = "arn:aws:iam::123456789012:user/x" }, muster.ErrInvalid},
		{"body", func(_ *muster.Template, b *string) { *b = "{}" }, muster.ErrInvalid},
		{"long body", func(_ *muster.Template, b *string) { *b += strings.Repeat(" ", 10240) }, muster.ErrInvalid},
		{"China", func(m *muster.Template, _ *string) {
			m.Name, m.RoleARN = "china", "arn:aws-cn:iam::123456789012:role/path/x"
		}, nil},
	} {
		template, body := good, jitp
		test.edit(&template, &body)
		_, err := f.CreateTemplate(t.Context(), template, body)
		f.is(test.name, err, test.want)
		f.step()
	}
	_, err := f.Template(t.Context(), account2, "good")
	f.is("another account's", err, muster.ErrNotFound)
}

// Every kind of resource tells of its changes; keys, answers and refusals do not.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		after := f.seq()
		ca := f.mint("Kinds")
		a := f.authority(ca)
		must(f.CreateAccessKey(t.Context(), muster.AccessKey{Account: account}))(f)
		c := f.register(ca, "device", muster.Inactive)
		f.ok(f.SaveRefusals(t.Context(), []muster.Refusal{{Account: account, AuthorityID: a.ID, CertificateID: c.ID}}, nil))
		f.policy("p")
		must(f.CreateThing(t.Context(), muster.Thing{Account: account, Name: "t"}))(f)
		must(f.CreateThingType(t.Context(), muster.ThingType{Account: account, Name: "k"}))(f)
		must(f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "g"}))(f)
		must(f.CreateTemplate(t.Context(), muster.Template{Account: account, Name: "m", RoleARN: role}, jitp))(f)
		f.ok(f.AttachThing(t.Context(), account, "t", c.ID))
		f.ok(f.DetachThing(t.Context(), account, "t", c.ID))
		f.ok(f.DeleteThing(t.Context(), account, "t", nil))
		f.ok(f.DeletePolicy(t.Context(), account, "p"))
		f.ok(f.DeleteCertificate(t.Context(), account, c.ID, false))

		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		ended := make(chan error, 1)
		go func() {
			ended <- f.Changes(ctx, after, func(change muster.Change) error {
				if change.Account != account {
					t.Errorf("change %+v", change)
				}
				got = append(got, string(change.Kind)+" "+change.ID)
				return nil
			})
		}()
		synctest.Wait()
		cancel()
		f.is("cancelled", <-ended, context.Canceled)
		want := []string{
			"account " + account, "cacert " + a.ID, "issuer " + a.ID, "cert " + c.ID, "policy p", "thing t", "thingtype k", "thinggroup g",
			"provisioningtemplate m", "cert " + c.ID, "cert " + c.ID, "thing t", "policy p", "cert " + c.ID, "cert " + c.ID,
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("changes\n%q, want\n%q", got, want)
		}
	})
}

func TestRefusals(t *testing.T) {
	f := newFixture(t)
	refusal := func(id, detail string) muster.Refusal {
		return muster.Refusal{Account: account, AuthorityID: "a", CertificateID: id, Reason: muster.ReasonInactive, Detail: detail, Facts: []byte(`{"x":1}`)}
	}
	f.ok(f.SaveRefusals(t.Context(), []muster.Refusal{refusal("1", "one"), refusal("2", "two")}, nil))
	f.ok(f.SaveRefusals(t.Context(), []muster.Refusal{refusal("1", "newer")}, []muster.Refusal{refusal("2", ""), refusal("3", "")}))
	got := must(f.Refusals(t.Context()))(f)
	if len(got) != 1 || got[0].Detail != "newer" || string(got[0].Facts) != `{"x":1}` {
		t.Errorf("refusals %+v", got)
	}
	f.is("a stranger's", f.SaveRefusals(t.Context(), []muster.Refusal{{CertificateID: "4"}}, nil), muster.ErrInvalid)

	// A device that was registered without an authority is no stranger.
	f.ok(f.SaveRefusals(t.Context(), []muster.Refusal{{Account: account, CertificateID: "5"}}, nil))
	if got := must(f.Refusals(t.Context()))(f); len(got) != 2 {
		t.Errorf("refusals %+v, want that of certificate 5 too", got)
	}
	f.step()
}
