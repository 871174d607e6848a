package admission_test

import (
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/registry"
)

// TestTemplateVersions: the next connect meets the version that is in force by
// then, and none while the template is disabled.
func TestTemplateVersions(t *testing.T) {
	f := newFixture(t, nil)
	ctx := t.Context()
	named := func(thing string) string {
		return strings.Replace(activating, `{"Resources":{`,
			`{"Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"`+thing+`"}},`, 1)
	}
	_, err := f.store.CreateTemplate(ctx, muster.Template{Account: accountA, Name: "sensors", Enabled: true, Type: "JITP", RoleARN: roleARN}, named("one"))
	must(t, err)
	a := f.authority(func(r *registry.AuthorityRegistration) { r.Registration = muster.Registrar{TemplateName: "sensors"} })
	provisions := func(what, thing string) {
		t.Helper()
		l := leafOf(t, a, nil)
		expect(t, what, f.connect(l).Decision, admission.Admit, "")
		if r, err := f.store.Certificate(ctx, accountA, idOf(l.Cert)); err != nil || len(r.Things) != 1 || r.Things[0] != thing {
			t.Errorf("%s: record %+v, %v, want the thing %s", what, r, err, thing)
		}
	}
	update := func(u registry.TemplateUpdate) {
		t.Helper()
		_, err := f.store.UpdateTemplate(ctx, accountA, "sensors", u)
		must(t, err)
	}
	provisions("the first version", "one")
	_, err = f.store.CreateTemplateVersion(ctx, accountA, "sensors", named("two"), false)
	must(t, err)
	provisions("a version that is not in force", "one")
	two, on, off := 2, true, false
	update(registry.TemplateUpdate{Default: &two})
	provisions("the second version", "two")
	update(registry.TemplateUpdate{Enabled: &off})
	l := leafOf(t, a, nil)
	expect(t, "disabled", f.connect(l).Decision, admission.Refuse, muster.ReasonProvisioningFailed)
	update(registry.TemplateUpdate{Enabled: &on})
	expect(t, "enabled", f.connect(l).Decision, admission.Admit, "")
	_, err = f.store.CreateTemplateVersion(ctx, accountA, "sensors", named("three"), true)
	must(t, err)
	provisions("a version that is in force from the start", "three")
}
