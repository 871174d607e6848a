package registry_test

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/policy"
	"github.com/muster-mqtt/muster/registry"
)

const fleetBody = `{"Parameters":{"AWS::IoT::Certificate::Id":{"Type":"String"}},"Resources":{"certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}}}}`

func (f *fixture) fleetTemplate(name string, kind muster.TemplateType, enabled bool) {
	f.Helper()
	must(f.CreateTemplate(f.Context(), muster.Template{
		Account: account, Name: name, Type: kind, Enabled: enabled, RoleARN: role,
	}, fleetBody))(f)
}

func (f *fixture) claim(template string) muster.Issued {
	f.Helper()
	return must(f.CreateClaim(f.Context(), account, template))(f)
}

func TestClaim(t *testing.T) {
	f := newFixture(t)
	f.fleetTemplate("fleet", muster.TemplateFleet, true)
	before := time.Now()
	c := f.claim("fleet")
	f.step()
	if life := c.Expires.Sub(before); life < 5*time.Minute-time.Second || life > 5*time.Minute+30*time.Second || !c.Expires.Equal(c.NotAfter) {
		t.Errorf("it expires after %v, and its certificate at %v, not %v", life, c.NotAfter, c.Expires)
	}
	if !c.NotBefore.Before(before.Add(-4 * time.Minute)) {
		t.Errorf("it is valid from %v, which a clock that lags has not reached", c.NotBefore)
	}
	if c.Claim != "fleet" || c.Status != muster.Active || c.Mode != muster.ModeDefault || c.AuthorityID != "" {
		t.Errorf("%+v", c.Certificate)
	}
	if _, err := tls.X509KeyPair([]byte(c.PEM), []byte(c.PrivateKey)); err != nil {
		t.Error(err)
	}
}

// A claim is on no list, in no figure, and not to be had or changed by its ID.
func TestClaimIsHidden(t *testing.T) { onBothEngines(t, testClaimIsHidden) }

func testClaimIsHidden(f *fixture) {
	ctx := f.Context()
	f.ok(f.CountAll(ctx))
	f.fleetTemplate("fleet", muster.TemplateFleet, true)
	f.policy("p")
	must(f.CreateThing(ctx, muster.Thing{Account: account, Name: "t"}))(f)
	c := f.claim("fleet")
	seq := f.seq()

	for what, list := range map[string]func() ([]muster.Certificate, registry.Cursor, error){
		"all": func() ([]muster.Certificate, registry.Cursor, error) {
			return f.ListCertificates(ctx, account, registry.Page{})
		},
		"active": func() ([]muster.Certificate, registry.Cursor, error) {
			return f.ListCertificatesByStatus(ctx, account, muster.Active, registry.Page{})
		},
		"by ca": func() ([]muster.Certificate, registry.Cursor, error) {
			return f.ListCertificatesByAuthority(ctx, account, "", registry.Page{})
		},
		"selected": func() ([]muster.Certificate, registry.Cursor, error) {
			return f.SelectCertificates(ctx, registry.CertificateFilter{Account: account}, registry.Page{})
		},
	} {
		if found, _, err := list(); err != nil || len(found) > 0 {
			f.Errorf("%s: %v, %v", what, found, err)
		}
	}
	figures, _ := f.CertificateFigures()
	if figures[muster.Active] != 0 {
		f.Errorf("figures %v", figures)
	}

	_, err := f.Certificate(ctx, account, c.ID)
	f.is("read", err, muster.ErrNotFound)
	_, err = f.UpdateCertificateStatus(ctx, account, c.ID, muster.Inactive)
	f.is("deactivate", err, muster.ErrNotFound)
	f.is("revoke", f.Revoke(ctx, account, c.ID), muster.ErrNotFound)
	f.is("delete", f.DeleteCertificate(ctx, account, c.ID, true), muster.ErrNotFound)
	f.is("attach a policy", f.AttachPolicy(ctx, account, "p", muster.KindCertificate, c.ID), muster.ErrNotFound)
	_, err = f.RegisterCertificate(ctx, registry.CertificateRegistration{Account: account, PEM: c.PEM, WithoutCA: true})
	f.is("register", err, muster.ErrExists)
	_, err = f.RegisterCertificate(ctx, registry.CertificateRegistration{Account: account2, PEM: c.PEM, WithoutCA: true, Status: muster.Active})
	f.ok(err) // SNI_ONLY, as any certificate that is public
	settled := must(f.Settle(ctx, account, []string{c.ID}, registry.Settlement{
		Status: muster.Revoked, From: []muster.Status{muster.Active, muster.PendingActivation},
	}))(f)
	if settled[0].Outcome != registry.OutcomeSkipped || settled[0].Certificate.ID != "" {
		f.Errorf("settled: %+v", settled)
	}
	if found, _, err := f.Find(ctx, c.ID); err != nil || len(found) != 2 {
		f.Errorf("found %v, %v", found, err)
	}
	if f.seq() != seq+1 {
		f.Errorf("%d changes, want the one of the other account", f.seq()-seq)
	}
}

func TestClaimNeedsTemplate(t *testing.T) {
	f := newFixture(t)
	f.fleetTemplate("jitp", muster.TemplateJITP, true)
	f.fleetTemplate("off", muster.TemplateFleet, false)
	f.fleetTemplate("fleet", muster.TemplateFleet, true)
	for template, want := range map[string]error{"none": muster.ErrNotFound, "jitp": muster.ErrInvalid, "off": muster.ErrInvalid} {
		_, err := f.CreateClaim(t.Context(), account, template)
		f.is(template, err, want)
	}
	_, err := f.CreateClaim(t.Context(), account2, "fleet")
	f.is("of another account", err, muster.ErrNotFound)
}

// TestClaimPolicy asks the policy of a claim what it lets through.
func TestClaimPolicy(t *testing.T) {
	f := newFixture(t)
	name := strings.Repeat("Fleet-_7", 4) + "last" // as long as a name may be
	f.fleetTemplate(name, muster.TemplateFleet, true)
	c := f.claim(name)
	p := must(f.Principal(t.Context(), account, c.ID, "anyone"))(f)
	if p.Certificate.Claim != name || len(p.Policies) != 1 || p.Thing != nil {
		t.Fatalf("%+v", p)
	}
	document := must(policy.Parse([]byte(p.Policies[0].Document)))(f)
	may := policy.NewRealm("eu-west-1", account).Bind([]*policy.Document{document}, policy.Variables{Now: time.Now})
	const create, csr = "$aws/certificates/create/", "$aws/certificates/create-from-csr/"
	provision := "$aws/provisioning-templates/" + name + "/provision/"
	for _, q := range []struct {
		action policy.Action
		names  []string
		want   policy.Verdict
	}{
		{policy.Connect, []string{"anyone", "a/b"}, policy.Allowed},
		{policy.Publish, []string{create + "json", create + "cbor", csr + "json", csr + "cbor", provision + "json", provision + "cbor"}, policy.Allowed},
		{policy.Subscribe, []string{create + "json/accepted", create + "+/rejected", csr + "cbor/rejected", provision + "json/accepted"}, policy.Allowed},
		{policy.Receive, []string{create + "json/accepted", csr + "cbor/rejected", provision + "cbor/rejected"}, policy.Allowed},
		{policy.Publish, []string{
			"a", "$aws/certificates/create", create + "json/accepted", create + "xml", provision + "json/rejected",
			"$aws/provisioning-templates/other/provision/json", "$aws/things/t/shadow/update",
		}, policy.ImplicitDeny},
		{policy.Subscribe, []string{
			"#", "+", "$aws/#", create + "#", create + "json", "$aws/provisioning-templates/+/provision/json/accepted",
			"$aws/provisioning-templates/other/provision/json/accepted", "$aws/events/presence/connected/+",
		}, policy.ImplicitDeny},
		{policy.Receive, []string{"a", create + "json", "$aws/events/certificates/registered/x"}, policy.ImplicitDeny},
		{policy.RetainPublish, []string{create + "json", "a"}, policy.ImplicitDeny},
	} {
		for _, name := range q.names {
			if got := may.Evaluate(q.action, name); got != q.want {
				t.Errorf("%v %s: %v, want %v", q.action, name, got, q.want)
			}
		}
	}
}

// A claim ends on time also where no sweep has come.
func TestClaimEnds(t *testing.T) {
	f := newFixture(t)
	f.fleetTemplate("fleet", muster.TemplateFleet, true)
	c := f.claim("fleet")
	must(f.Principal(t.Context(), account, c.ID, "x"))(f) // what is cached now
	f.advance(5 * time.Minute)
	_, err := f.Principal(t.Context(), account, c.ID, "x")
	f.is("principal", err, muster.ErrNotFound)
	f.ok(f.Sweep(t.Context()))
	if found, buried, err := f.Find(t.Context(), c.ID); err != nil || len(found)+len(buried) > 0 {
		t.Errorf("after the sweep: %v, %v, %v", found, buried, err)
	}
}

// TestClaimsAreBounded fills an account with claims past the rules.
func TestClaimsAreBounded(t *testing.T) {
	f := newFixture(t)
	f.fleetTemplate("fleet", muster.TemplateFleet, true)
	expires := time.Now().Add(5 * time.Minute).UTC().Truncate(time.Second)
	var claims []any
	for i := range 999 {
		claims = append(claims, muster.Certificate{
			Account: account, ID: fmt.Sprintf("%064x", i), Status: muster.Active, Mode: muster.ModeDefault, Claim: "fleet",
			Expires: expires, Revision: 1, Generation: "g",
		})
	}
	write(t, f.engine, map[registry.Kind][]any{registry.KindCert: claims}, nil)
	f.claim("fleet") // the thousandth
	_, err := f.CreateClaim(t.Context(), account, "fleet")
	f.is("one more", err, muster.ErrLimit)
	f.advance(6 * time.Minute) // nothing has swept them
	f.claim("fleet")
	f.ok(f.Sweep(t.Context()))
	if n := f.count(registry.KindCert); n != 1 {
		t.Errorf("%d claims are left, want the last", n)
	}
}

// count returns how many documents of a kind there are.
func (f *fixture) count(k registry.Kind) (n int) {
	f.Helper()
	for _, d := range contents(f, f.engine) {
		if strings.HasPrefix(d, string(k)+" ") {
			n++
		}
	}
	return n
}
