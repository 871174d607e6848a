package admin_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/admin"
)

// TestTemplatesOfTheRegistry lists, shows and sets templates by their names.
func TestTemplatesOfTheRegistry(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	for _, name := range []string{"pump", "lamp"} {
		_, err := f.store.CreateTemplate(ctx, muster.Template{Account: account, Name: name, Type: muster.TemplateJITP, Enabled: true, RoleARN: role}, body(fixed))
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.store.CreateTemplateVersion(ctx, account, "lamp", body(organization), false); err != nil {
		t.Fatal(err)
	}
	bound := f.fleet(t, "Lamp", muster.Registrar{TemplateName: "lamp"})

	var names []string
	err := f.admin.ListTemplates(ctx, admin.OfAccount{}, func(x admin.Template) error { names = append(names, x.Name); return nil })
	if err != nil || !slices.Equal(names, []string{"lamp", "pump"}) {
		t.Errorf("templates %q, %v", names, err)
	}

	var shown admin.Template
	if status, text := f.post(t, "/template/show", admin.TemplateName{Name: "lamp", Version: 2}, &shown); status != 200 {
		t.Fatal(status, text)
	}
	if shown.Body != body(organization) || shown.Default != 1 || len(shown.Versions) != 2 || !slices.Equal(shown.Authorities, []string{bound.ID}) {
		t.Errorf("shown as %+v", shown)
	}

	two, off := 2, false
	var set admin.Template
	if status, text := f.post(t, "/template/set", admin.TemplateChange{Name: "lamp", Default: &two, Enabled: &off}, &set); status != 200 {
		t.Fatal(status, text)
	}
	if set.Default != 2 || set.Enabled || set.Body != body(organization) {
		t.Errorf("set to %+v", set)
	}
	if now, err := f.store.Template(ctx, account, "lamp"); err != nil || now.Default != 2 || now.Enabled {
		t.Errorf("stored as %+v, %v", now, err)
	}
}

// TestTemplatesThatAreNone: what is not there says so, and nothing is half set.
func TestTemplatesThatAreNone(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	if _, err := f.store.CreateTemplate(ctx, muster.Template{Account: account, Name: "lamp", RoleARN: role}, body(fixed)); err != nil {
		t.Fatal(err)
	}
	seven, on := 7, true
	for name, c := range map[string]struct {
		ask  func() error
		want error
	}{
		"show another": {func() error { _, err := f.admin.ShowTemplate(ctx, admin.TemplateName{Name: "pump"}); return err }, muster.ErrNotFound},
		"show another version": {func() error {
			_, err := f.admin.ShowTemplate(ctx, admin.TemplateName{Name: "lamp", Version: 2})
			return err
		}, muster.ErrNotFound},
		"set another": {func() error {
			_, err := f.admin.SetTemplate(ctx, admin.TemplateChange{Name: "pump", Enabled: &on})
			return err
		}, muster.ErrNotFound},
		"set another version": {func() error {
			_, err := f.admin.SetTemplate(ctx, admin.TemplateChange{Name: "lamp", Default: &seven, Enabled: &on})
			return err
		}, muster.ErrNotFound},
		"set nothing": {func() error { _, err := f.admin.SetTemplate(ctx, admin.TemplateChange{Name: "lamp"}); return err }, muster.ErrInvalid},
		"list another account's": {func() error {
			return f.admin.ListTemplates(ctx, admin.OfAccount{Account: "210987654321"}, func(admin.Template) error { return nil })
		}, muster.ErrNotFound},
	} {
		if err := c.ask(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if now, err := f.store.Template(ctx, account, "lamp"); err != nil || now.Enabled {
		t.Errorf("stored as %+v, %v", now, err)
	}
}
