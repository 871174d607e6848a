package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
)

func TestTags(t *testing.T) {
	f := newFixture(t)
	a := f.authority(f.mint("Tags"))
	f.policy("p")
	must(f.CreateThingType(t.Context(), muster.ThingType{Account: account, Name: "k"}))(f)
	must(f.CreateThingGroup(t.Context(), muster.ThingGroup{Account: account, Name: "g"}))(f)
	must(f.CreateTemplate(t.Context(), muster.Template{Account: account, Name: "m", RoleARN: role}, jitp))(f)
	for kind, id := range map[muster.ResourceKind]string{
		muster.KindAuthority: a.ID, muster.KindPolicy: "p", muster.KindThingType: "k", muster.KindThingGroup: "g", muster.KindTemplate: "m",
	} {
		check := func(want ...muster.Tag) {
			t.Helper()
			if got := must(f.Tags(t.Context(), account, kind, id))(f); !slices.Equal(got, want) {
				t.Errorf("%s: tags %v, want %v", kind, got, want)
			}
			f.step()
		}
		tag := func(tags ...muster.Tag) error { return f.TagResource(t.Context(), account, kind, id, tags) }
		check()
		f.ok(tag(muster.Tag{Key: "b", Value: "1"}, muster.Tag{Key: "a", Value: "1"}))
		f.ok(tag(muster.Tag{Key: "b", Value: "2"}, muster.Tag{Key: "c"}))
		check(muster.Tag{Key: "a", Value: "1"}, muster.Tag{Key: "b", Value: "2"}, muster.Tag{Key: "c"})
		before := f.seq()
		f.ok(tag(muster.Tag{Key: "c"}))
		f.ok(f.UntagResource(t.Context(), account, kind, id, []string{"z"}))
		if f.seq() != before {
			t.Errorf("%s: nothing changed, and it was written", kind)
		}
		f.ok(f.UntagResource(t.Context(), account, kind, id, []string{"a", "c"}))
		check(muster.Tag{Key: "b", Value: "2"})
		many := make([]muster.Tag, 50)
		for i := range many {
			many[i].Key = fmt.Sprint("many-", i)
		}
		f.is("fifty more", tag(many...), muster.ErrLimit)
		f.is("fifty-one", tag(append(many, muster.Tag{Key: "k"})...), muster.ErrInvalid)
		for name, bad := range map[string][]muster.Tag{
			"empty key":  {{Key: ""}},
			"long key":   {{Key: strings.Repeat("k", 129)}},
			"long value": {{Key: "k", Value: strings.Repeat("é", 257)}},
			"reserved":   {{Key: "AWS:x"}},
			"twice":      {{Key: "k"}, {Key: "k"}},
		} {
			f.is(name, tag(bad...), muster.ErrInvalid)
		}
		check(muster.Tag{Key: "b", Value: "2"})
		_, err := f.Tags(t.Context(), account2, kind, id)
		f.is("another account's", err, muster.ErrNotFound)
	}
	_, err := f.Tags(t.Context(), account, muster.KindThing, "t")
	f.is("things have no tags", err, muster.ErrInvalid)
}

// TestTagsOfLargePolicy: where the texts of a policy leave no room for tags, that is
// no failure of the registry.
func TestTagsOfLargePolicy(t *testing.T) {
	f := newFixture(t)
	f.policy("p")
	wide := strings.Replace(allowAll, "{", "{"+strings.Repeat("\n", 257_000), 1)
	for range 2 {
		must(f.CreatePolicyVersion(t.Context(), account, "p", wide, false))(f)
	}
	tags := make([]muster.Tag, 50)
	for i := range tags {
		tags[i] = muster.Tag{Key: fmt.Sprint("k", i), Value: strings.Repeat("é", 256)}
	}
	f.is("many tags", f.TagResource(t.Context(), account, muster.KindPolicy, "p", tags), muster.ErrInvalid)
	f.ok(f.TagResource(t.Context(), account, muster.KindPolicy, "p", tags[:1]))
	f.step()
}

// The tag sets the mode of authority and issuer alike, and removing it sets it
// back, but only where it was a tag.
func TestOCSPTag(t *testing.T) {
	f := newFixture(t)
	a := f.authority(f.mint("OCSP"))
	mode := func(want muster.OCSPMode) {
		t.Helper()
		authority, issuer := must(f.Authority(t.Context(), account, a.ID))(f), must(f.Issuer(t.Context(), account, a.ID))(f)
		if authority.OCSP.Mode != want || issuer.OCSP.Mode != want {
			t.Errorf("mode %q of the authority, %q of the issuer, want %q", authority.OCSP.Mode, issuer.OCSP.Mode, want)
		}
		f.step()
	}
	tag := func(value string) error {
		return f.TagResource(t.Context(), account, muster.KindAuthority, a.ID, []muster.Tag{{Key: muster.TagOCSP, Value: value}})
	}
	mode(muster.OCSPOff)
	for _, m := range []muster.OCSPMode{muster.OCSPSoft, muster.OCSPHard, muster.OCSPOff, muster.OCSPHard} {
		f.ok(tag(string(m)))
		mode(m)
	}
	f.is("unknown mode", tag("Hard"), muster.ErrInvalid)
	mode(muster.OCSPHard)
	f.ok(f.TagResource(t.Context(), account, muster.KindAuthority, a.ID, []muster.Tag{{Key: "other"}}))
	mode(muster.OCSPHard)
	f.ok(f.UntagResource(t.Context(), account, muster.KindAuthority, a.ID, []string{muster.TagOCSP}))
	mode(muster.OCSPOff)
	f.policy("p")
	f.ok(f.TagResource(t.Context(), account, muster.KindPolicy, "p", []muster.Tag{{Key: muster.TagOCSP, Value: "anything"}}))
}
