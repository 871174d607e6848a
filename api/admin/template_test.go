package admin_test

import (
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

const role = "arn:aws:iam::123456789012:role/JITPRole"

// body is a template whose thing has an attribute of this value.
func body(value string) string {
	return `{"Resources": {
  "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"}, "AttributePayload": {"value": ` + value + `}}},
  "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}}}}`
}

const (
	fixed        = `"one"`
	organization = `{"Ref": "AWS::IoT::Certificate::Organization"}`
)

// fleet is an authority with devices, half of which have an organization.
func (f *fixture) fleet(t *testing.T, name string, bound muster.Registrar) muster.Authority {
	t.Helper()
	ca, err := mint.NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	a, err := f.store.RegisterAuthority(t.Context(), registry.AuthorityRegistration{
		Account: account, PEM: string(ca.CertPEM()), Mode: muster.ModeSNIOnly, Active: true, AutoRegistration: true, Registration: bound,
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		subject := pkix.Name{CommonName: fmt.Sprintf("%s-%d", strings.ToLower(name), i)}
		if i%2 == 1 {
			subject.Organization = []string{"Acme"}
		}
		leaf, err := ca.Issue(mint.Request{Subject: subject})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.store.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: string(leaf.CertPEM())}); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// replay returns a word for each certificate: its common name and the outcome.
func (f *fixture) replay(t *testing.T, in admin.Replay) (words []string, diffs string, err error) {
	t.Helper()
	text, _ := json.Marshal(in)
	w, err := http.Post(f.server.URL+"/template/replay", "application/json", strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	for lines := json.NewDecoder(w.Body); ; {
		var e admin.Event[admin.Replayed]
		switch err := lines.Decode(&e); {
		case errors.Is(err, io.EOF):
			t.Fatal("the answer has no end")
		case err != nil:
			t.Fatal(err)
		case e.Error != "":
			return words, diffs, errors.New(e.Error)
		case e.Done:
			return words, diffs, nil
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(e.Value.Subject, "CN="), ",")
		words = append(words, name+" "+string(e.Value.Outcome))
		diffs += e.Value.Diff
	}
}

func TestReplay(t *testing.T) {
	f := newFixture(t)
	for name, value := range map[string]string{"lamp": fixed, "needy": organization} {
		_, err := f.store.CreateTemplate(t.Context(), muster.Template{
			Account: account, Name: name, Type: muster.TemplateJITP, Enabled: name == "lamp", RoleARN: role,
		}, body(value))
		if err != nil {
			t.Fatal(err)
		}
	}
	lamps := f.fleet(t, "Lamp", muster.Registrar{TemplateName: "lamp"})
	pumps := f.fleet(t, "Pump", muster.Registrar{TemplateBody: body(organization), RoleARN: role})
	f.fleet(t, "Free", muster.Registrar{})
	f.fleet(t, "Idle", muster.Registrar{TemplateName: "needy"}) // which is disabled
	before, err := f.store.Seq(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		in     admin.Replay
		want   string // the words, joined
		differ string // a part of the differences; "" for none
	}{
		{"the same, laid out otherwise", admin.Replay{Body: strings.ReplaceAll(body(fixed), "\n", ""), Count: 99, Template: "lamp"},
			"lamp-3 same, lamp-2 same, lamp-1 same, lamp-0 same", ""},
		{"changed", admin.Replay{Body: body(`"two"`), Count: 2, Template: "lamp"},
			"lamp-3 changed, lamp-2 changed", "-  attribute  value = \"one\"\n+  attribute  value = \"two\"\n"},
		{"fails for those without", admin.Replay{Body: body(organization), Count: 3, Authority: lamps.ID[:12]},
			"lamp-3 changed, lamp-2 fails, lamp-1 changed", "+fails: invalid registration: Resources.thing."},
		{"works for those that failed", admin.Replay{Body: body(fixed), Count: 4, Authority: pumps.ID},
			"pump-3 changed, pump-2 works, pump-1 changed, pump-0 works", "-fails: invalid registration: Resources.thing."},
		{"fails as before", admin.Replay{Body: body(organization), Count: 2, Authority: pumps.ID}, "pump-3 same, pump-2 failing", ""},
		{"one that is bound to none", admin.Replay{Body: body(fixed), Count: 1, Authority: pumps.ID, Template: "lamp"}, "pump-3 same", ""},
		{"of every authority", admin.Replay{Body: body(organization), Count: 10},
			"idle-3 works, idle-2 failing, idle-1 works, idle-0 failing, free-3 works, free-2 failing, free-1 works, free-0 failing, pump-3 same, pump-2 failing",
			"-fails: the template \"needy\" is disabled\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			words, diffs, err := f.replay(t, c.in)
			if got := strings.Join(words, ", "); err != nil || got != c.want || !strings.Contains(diffs, c.differ) || c.differ == "" && diffs != "" {
				t.Errorf("got %s, %v\nwant %s\n%s", got, err, c.want, diffs)
			}
		})
	}
	if after, err := f.store.Seq(t.Context()); after != before || err != nil {
		t.Errorf("something was written: %v", err)
	}
}

func TestReplayOfNothing(t *testing.T) {
	f := newFixture(t)
	lamps := f.fleet(t, "Lamp", muster.Registrar{})
	_, err := f.store.CreateTemplate(t.Context(), muster.Template{
		Account: account, Name: "spare", Type: muster.TemplateJITP, Enabled: true, RoleARN: role,
	}, body(fixed))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in   admin.Replay
		says string
	}{
		"none asked for":   {admin.Replay{Body: body(fixed)}, "want 1 to"},
		"no template":      {admin.Replay{Body: "{}", Count: 1}, "has no Resources"},
		"unknown template": {admin.Replay{Body: body(fixed), Count: 1, Template: "nothing"}, "not found"},
		"bound to none":    {admin.Replay{Body: body(fixed), Count: 1, Template: "spare"}, "no certificate to replay"},
		"unknown account":  {admin.Replay{OfAccount: admin.OfAccount{Account: "000000000000"}, Body: body(fixed), Count: 1}, "not found"},
	} {
		if words, _, err := f.replay(t, c.in); err == nil || !strings.Contains(err.Error(), c.says) || len(words) > 0 {
			t.Errorf("%s: %v, %v, want %q", name, words, err, c.says)
		}
	}
	if words, _, err := f.replay(t, admin.Replay{Body: body(fixed), Count: 1, Authority: lamps.ID}); err != nil || !slices.Equal(words, []string{"lamp-3 works"}) {
		t.Errorf("%v, %v", words, err)
	}
}
