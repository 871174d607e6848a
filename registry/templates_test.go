package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

// titled is the JITP template with a name in it, to tell versions apart.
func titled(name string) string {
	return strings.Replace(jitp, `"certificate"`, fmt.Sprintf("%q", name), 1)
}

func (f *fixture) template(name string, kind muster.TemplateType) muster.Template {
	f.Helper()
	return must(f.CreateTemplate(f.Context(), muster.Template{
		Account: account, Name: name, Type: kind, RoleARN: role, Enabled: true,
	}, titled("1")))(f)
}

func versionIDs(t muster.Template) (ids []int) {
	for _, v := range t.Versions {
		ids = append(ids, v.ID)
	}
	return ids
}

// A template has at most five versions, whose numbers are not used again; one of
// them is in force, at once, and cannot be deleted.
func TestTemplateVersions(t *testing.T) {
	eachEngine(t, func(f *fixture) {
		ctx := f.Context()
		f.template("t", muster.TemplateJITP)
		for i := 2; i <= 5; i++ {
			f.advance(time.Minute)
			v := must(f.CreateTemplateVersion(ctx, account, "t", titled(fmt.Sprint(i)), i == 3))(f)
			if v.ID != i {
				f.Errorf("version %d, want %d", v.ID, i)
			}
		}
		_, err := f.CreateTemplateVersion(ctx, account, "t", titled("6"), true)
		f.is("a sixth version", err, muster.ErrVersions)
		if have := must(f.Template(ctx, account, "t"))(f); have.Default != 3 || have.Body() != titled("3") || len(have.Versions) != 5 || !have.Modified.After(have.Created) {
			f.Errorf("template %+v", have)
		}
		f.is("delete the default", f.DeleteTemplateVersion(ctx, account, "t", 3), muster.ErrInUse)
		f.ok(f.DeleteTemplateVersion(ctx, account, "t", 5))
		f.is("delete it again", f.DeleteTemplateVersion(ctx, account, "t", 5), muster.ErrNotFound)
		if v := must(f.CreateTemplateVersion(ctx, account, "t", titled("6"), false))(f); v.ID != 6 {
			f.Errorf("version %d after 5 was deleted, want 6", v.ID)
		}
		six := 6
		must(f.UpdateTemplate(ctx, account, "t", registry.TemplateUpdate{Default: &six}))(f)
		have := must(f.Template(ctx, account, "t"))(f)
		if have.Body() != titled("6") || !slices.Equal(versionIDs(have), []int{1, 2, 3, 4, 6}) {
			f.Errorf("versions %v, in force %s", versionIDs(have), have.Body())
		}
		v, isDefault, err := f.TemplateVersion(ctx, account, "t", 3)
		if err != nil || isDefault || v.Body != titled("3") {
			f.Errorf("version %+v, default %v, %v", v, isDefault, err)
		}
		f.step()
	})
}

// What is refused writes nothing; another account's template is not found.
func TestTemplateRefused(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.template("fleet", muster.TemplateFleet)
	f.template("jitp", muster.TemplateJITP)
	hook, seven, long, wrong := &muster.Hook{TargetARN: "arn"}, 7, strings.Repeat("x", 3000), "role"
	before := f.seq()
	for name, c := range map[string]struct {
		account, template string
		update            registry.TemplateUpdate
		want              error
	}{
		"another account":        {account2, "fleet", registry.TemplateUpdate{Default: &seven}, muster.ErrNotFound},
		"no such template":       {account, "none", registry.TemplateUpdate{}, muster.ErrNotFound},
		"no such version":        {account, "fleet", registry.TemplateUpdate{Default: &seven}, muster.ErrNotFound},
		"a hook of JITP":         {account, "jitp", registry.TemplateUpdate{Hook: hook}, muster.ErrInvalid},
		"a hook and none":        {account, "fleet", registry.TemplateUpdate{Hook: hook, RemoveHook: true}, muster.ErrInvalid},
		"a hook without target":  {account, "fleet", registry.TemplateUpdate{Hook: &muster.Hook{}}, muster.ErrInvalid},
		"a hook of no version":   {account, "fleet", registry.TemplateUpdate{Hook: &muster.Hook{TargetARN: "arn", PayloadVersion: "1"}}, muster.ErrInvalid},
		"a description too long": {account, "fleet", registry.TemplateUpdate{Description: &long}, muster.ErrInvalid},
		"a role that is none":    {account, "fleet", registry.TemplateUpdate{RoleARN: &wrong}, muster.ErrInvalid},
	} {
		_, err := f.UpdateTemplate(ctx, c.account, c.template, c.update)
		f.is(name, err, c.want)
	}
	_, err := f.CreateTemplateVersion(ctx, account, "fleet", "{}", true)
	f.is("a body that is none", err, muster.ErrInvalid)
	_, err = f.CreateTemplateVersion(ctx, account2, "fleet", jitp, true)
	f.is("a version for another account", err, muster.ErrNotFound)
	f.is("delete another account's", f.DeleteTemplate(ctx, account2, "fleet"), muster.ErrNotFound)
	_, _, err = f.TemplateVersion(ctx, account, "fleet", 2)
	f.is("a version that is not there", err, muster.ErrNotFound)
	_, err = f.CreateTemplate(ctx, muster.Template{Account: account, Name: "u", Type: muster.TemplateJITP, RoleARN: role, Hook: hook}, jitp)
	f.is("create JITP with a hook", err, muster.ErrInvalid)
	if f.seq() != before {
		t.Error("something was written")
	}
}

// An update changes what it names; the same once more changes nothing.
func TestTemplateUpdate(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	made := f.template("fleet", muster.TemplateFleet)
	off, text, another := false, "of the hall", role+"2"
	u := registry.TemplateUpdate{Enabled: &off, Description: &text, RoleARN: &another, Hook: &muster.Hook{TargetARN: "arn"}}
	f.advance(time.Minute)
	got := must(f.UpdateTemplate(ctx, account, "fleet", u))(f)
	if got.Enabled || got.Description != text || got.RoleARN != another || got.Hook == nil ||
		*got.Hook != (muster.Hook{TargetARN: "arn", PayloadVersion: "2020-04-01"}) || !got.Modified.After(made.Modified) {
		t.Errorf("updated to %+v, hook %+v", got, got.Hook)
	}
	for name, again := range map[string]registry.TemplateUpdate{"the same": u, "nothing": {}} {
		before := f.seq()
		must(f.UpdateTemplate(ctx, account, "fleet", again))(f)
		if f.seq() != before {
			t.Errorf("%s: something was written", name)
		}
	}
	if got := must(f.UpdateTemplate(ctx, account, "fleet", registry.TemplateUpdate{RemoveHook: true}))(f); got.Hook != nil || got.Description != text {
		t.Errorf("without its hook: %+v", got)
	}
}

// A template goes with its versions, but not while an authority has it bound: of
// one that is deleted and one that is bound at the same time, one fails.
func TestTemplateDelete(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.template("jitp", muster.TemplateJITP)
	must(f.CreateTemplateVersion(ctx, account, "jitp", titled("2"), false))(f)
	a := f.authority(f.mint("Bound"))
	must(f.UpdateAuthority(ctx, account, a.ID, registry.AuthorityUpdate{Registration: &muster.Registrar{TemplateName: "jitp"}}))(f)
	f.is("delete what is bound", f.DeleteTemplate(ctx, account, "jitp"), muster.ErrInUse)
	must(f.UpdateAuthority(ctx, account, a.ID, registry.AuthorityUpdate{RemoveRegistration: true}))(f)
	f.ok(f.DeleteTemplate(ctx, account, "jitp"))
	_, err := f.Template(ctx, account, "jitp")
	f.is("the template", err, muster.ErrNotFound)
	f.is("delete it again", f.DeleteTemplate(ctx, account, "jitp"), muster.ErrNotFound)

	f.template("jitp", muster.TemplateJITP)
	deleted := make(chan error)
	go func() { deleted <- f.DeleteTemplate(ctx, account, "jitp") }()
	_, bound := f.UpdateAuthority(ctx, account, a.ID, registry.AuthorityUpdate{Registration: &muster.Registrar{TemplateName: "jitp"}})
	if gone := <-deleted; (gone == nil) == (bound == nil) {
		t.Errorf("deleted: %v, bound: %v", gone, bound)
	}
}

// The list is by name, page by page, and of the account alone.
func TestListTemplates(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"c", "a", "b"} {
		f.template(name, muster.TemplateFleet)
	}
	must(f.CreateTemplate(t.Context(), muster.Template{Account: account2, Name: "d", RoleARN: role}, jitp))(f)
	var names []string
	for p := (registry.Page{Limit: 2}); ; {
		page, next, err := f.ListTemplates(t.Context(), account, p)
		f.ok(err)
		for _, v := range page {
			names = append(names, v.Name)
		}
		if p.After = next; next == nil {
			break
		}
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("templates %q", names)
	}
}

// The invariants see what no change leads to.
func TestTemplateInvariants(t *testing.T) {
	for name, edit := range map[string]func(*muster.Template){
		"no version in force": func(t *muster.Template) { t.Default = 9 },
		"six versions": func(t *muster.Template) {
			for range 5 {
				t.Versions = append(t.Versions, muster.TemplateVersion{ID: t.Next})
				t.Next++
			}
		},
		"a version of the future": func(t *muster.Template) { t.Next = 1 },
		"a version twice":         func(t *muster.Template) { t.Versions = append(t.Versions, t.Versions[0]) },
		"a hook of JITP":          func(t *muster.Template) { t.Hook = &muster.Hook{TargetARN: "arn", PayloadVersion: "2020-04-01"} },
	} {
		f := newFixture(t)
		made := f.template("t", muster.TemplateJITP)
		broken := made
		broken.Versions = slices.Clone(made.Versions)
		edit(&broken)
		f.force(registry.KindTemplate, broken)
		found, err := registry.CheckInvariants(t.Context(), f.engine)
		if err != nil || len(found) == 0 || !strings.Contains(found[0].Error(), "template t of "+account) {
			t.Errorf("%s: found %v, %v", name, found, err)
		}
		f.force(registry.KindTemplate, made)
	}
}
