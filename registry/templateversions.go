package registry

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/muster-mqtt/muster"
)

// maxTemplateVersions is how many texts a template may have at once, as in AWS.
const maxTemplateVersions = 5

// Template returns a provisioning template of the account.
func (s *Store) Template(ctx context.Context, account, name string) (muster.Template, error) {
	id := docID(KindTemplate, account, name)
	t, err := s.templates.load(id, func() (muster.Template, error) { return get[muster.Template](ctx, s, KindTemplate, id) })
	t.Versions, t.Tags = slices.Clone(t.Versions), slices.Clone(t.Tags)
	if t.Hook != nil {
		hook := *t.Hook
		t.Hook = &hook
	}
	return t, err
}

// ListTemplates lists the account's provisioning templates by name.
func (s *Store) ListTemplates(ctx context.Context, account string, p Page) ([]muster.Template, Cursor, error) {
	return list[muster.Template](ctx, s, KindTemplate, "", []byte(account+"/"), p)
}

// TemplateUpdate is what UpdateTemplate changes; a nil field stays as it is.
type TemplateUpdate struct {
	Description *string
	Enabled     *bool
	Default     *int // the version in force
	RoleARN     *string
	Hook        *muster.Hook
	RemoveHook  bool // excludes Hook; where there is none it changes nothing
}

// UpdateTemplate changes a template. What connects or provisions itself from then
// on meets the version that is in force.
func (s *Store) UpdateTemplate(ctx context.Context, account, name string, u TemplateUpdate) (muster.Template, error) {
	if err := checkTemplateUpdate(u); err != nil {
		return muster.Template{}, fmt.Errorf("template %s: %w", name, err)
	}
	return s.editTemplate(ctx, account, name, s.now(), func(t *muster.Template) (bool, error) {
		if u.Default != nil {
			if _, err := templateVersion(t, *u.Default); err != nil {
				return false, err
			}
		}
		hook, err := checkHook(t.Type, u.Hook)
		if err != nil {
			return false, fmt.Errorf("template %s: %w", name, err)
		}
		was := *t
		set(&t.Description, u.Description)
		set(&t.Enabled, u.Enabled)
		set(&t.Default, u.Default)
		set(&t.RoleARN, u.RoleARN)
		if hook != nil || u.RemoveHook {
			t.Hook = hook
		}
		return was.Description != t.Description || was.Enabled != t.Enabled || was.Default != t.Default ||
			was.RoleARN != t.RoleARN || !sameHook(was.Hook, t.Hook), nil
	})
}

func checkTemplateUpdate(u TemplateUpdate) error {
	if u.Hook != nil && u.RemoveHook {
		return fmt.Errorf("a pre-provisioning hook is set or removed, not both: %w", muster.ErrInvalid)
	}
	if u.Description != nil {
		if err := checkDescription("it", *u.Description); err != nil {
			return err
		}
	}
	if u.RoleARN != nil {
		return checkRoleARN(*u.RoleARN)
	}
	return nil
}

func sameHook(a, b *muster.Hook) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// CreateTemplateVersion adds a text to a template, and puts it in force if it is
// to be the default. A template has five versions at most (ErrVersions). IDs count
// upwards and are not used again while the template exists.
func (s *Store) CreateTemplateVersion(ctx context.Context, account, name, body string, setDefault bool) (muster.TemplateVersion, error) {
	if err := checkBody(body); err != nil {
		return muster.TemplateVersion{}, fmt.Errorf("template %s: %w", name, err)
	}
	now := s.now()
	var made muster.TemplateVersion
	_, err := s.editTemplate(ctx, account, name, now, func(t *muster.Template) (bool, error) {
		if n := len(t.Versions); n >= maxTemplateVersions {
			return false, fmt.Errorf("template %s: it has %d versions already, delete one first: %w", name, n, muster.ErrVersions)
		}
		made = muster.TemplateVersion{ID: t.Next, Body: body, Created: now}
		t.Versions = append(t.Versions, made)
		t.Next++
		if setDefault {
			t.Default = made.ID
		}
		return true, nil
	})
	if err != nil {
		return muster.TemplateVersion{}, err
	}
	return made, nil
}

// TemplateVersion returns a version of a template, and whether it is in force.
func (s *Store) TemplateVersion(ctx context.Context, account, name string, id int) (v muster.TemplateVersion, isDefault bool, err error) {
	t, err := s.Template(ctx, account, name)
	if err != nil {
		return v, false, err
	}
	i, err := templateVersion(&t, id)
	if err != nil {
		return v, false, err
	}
	return t.Versions[i], id == t.Default, nil
}

// DeleteTemplateVersion deletes a version that is not in force (ErrInUse).
func (s *Store) DeleteTemplateVersion(ctx context.Context, account, name string, id int) error {
	_, err := s.editTemplate(ctx, account, name, s.now(), func(t *muster.Template) (bool, error) {
		i, err := templateVersion(t, id)
		if err != nil {
			return false, err
		}
		if id == t.Default {
			return false, fmt.Errorf("template %s: version %d is the default, set another one or delete the template: %w", name, id, muster.ErrInUse)
		}
		t.Versions = slices.Delete(t.Versions, i, i+1)
		return true, nil
	})
	return err
}

func templateVersion(t *muster.Template, id int) (int, error) {
	i := slices.IndexFunc(t.Versions, func(v muster.TemplateVersion) bool { return v.ID == id })
	if i < 0 {
		return 0, fmt.Errorf("template %s: version %d: %w", t.Name, id, muster.ErrNotFound)
	}
	return i, nil
}

// editTemplate writes the template if edit changes it, and returns it.
func (s *Store) editTemplate(ctx context.Context, account, name string, now time.Time, edit func(*muster.Template) (changed bool, err error)) (muster.Template, error) {
	var out muster.Template
	err := s.update(ctx, func(t *tx) error {
		have, version, err := read[muster.Template](t, KindTemplate, docID(KindTemplate, account, name))
		if err != nil {
			return err
		}
		changed, err := edit(&have)
		if err != nil {
			return err
		}
		if changed {
			have.Modified = now
			if err := t.put(version, &have); err != nil {
				return err
			}
		}
		out = have
		return nil
	})
	if err != nil {
		return muster.Template{}, err
	}
	return out, nil
}

// DeleteTemplate deletes a template with all its versions, unless an authority has
// it bound (ErrInUse): its devices would all fail from then on.
func (s *Store) DeleteTemplate(ctx context.Context, account, name string) error {
	id := docID(KindTemplate, account, name)
	return s.update(ctx, func(t *tx) error {
		if err := require(t, KindTemplate, id); err != nil {
			return err
		}
		authority, err := holder(t, KindAuthority, IndexTemplate, Key(account, name))
		if err != nil {
			return err
		}
		if authority != "" {
			return fmt.Errorf("template %s: bound to authority %s, bind another one there first: %w", name, authority, muster.ErrInUse)
		}
		return t.remove(KindTemplate, id)
	})
}

// template holds a template to what its versions and its hook may be.
func (c *checker) template(d *muster.Template) {
	what := c.owned("template "+d.Name, d.Account)
	if n := count(d.Versions, func(v muster.TemplateVersion) bool { return v.ID == d.Default }); n != 1 {
		c.breaks("%s: %d versions are the default %d", what, n, d.Default)
	}
	if n := len(d.Versions); n > maxTemplateVersions {
		c.breaks("%s: it has %d versions, want at most %d", what, n, maxTemplateVersions)
	}
	last := 0
	for _, v := range d.Versions {
		if v.ID <= last || v.ID >= d.Next {
			c.breaks("%s: version %d after %d, want one that is above it and below %d", what, v.ID, last, d.Next)
		}
		last = v.ID
	}
	if _, err := checkHook(d.Type, d.Hook); err != nil {
		c.breaks("%s: %w", what, err)
	}
}
