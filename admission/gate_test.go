package admission_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

func base() *tls.Config {
	return &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS10}
}

func TestTLSConfig(t *testing.T) {
	f := newFixture(t, nil)
	before := base()
	c := f.gate.TLSConfig(before)
	if c.ClientAuth != tls.RequireAnyClientCert || c.ClientCAs != nil || c.MinVersion != tls.VersionTLS12 || c.VerifyPeerCertificate != nil {
		t.Errorf("%+v", c)
	}
	if before.VerifyConnection != nil || before.ClientCAs == nil {
		t.Error("the base was changed")
	}
	if f.gate.TLSConfig(&tls.Config{MinVersion: tls.VersionTLS13}).MinVersion != tls.VersionTLS13 {
		t.Error("the version was lowered")
	}
	if err := c.VerifyConnection(tls.ConnectionState{}); err == nil {
		t.Error("a connection without a certificate passed")
	}
}

func TestNewWithoutRegistry(t *testing.T) {
	if _, err := admission.New(admission.Config{}); err == nil {
		t.Error("a gate without a registry")
	}
}

// TestFirstConnects registers by JITR and by JITP, each once.
func TestFirstConnects(t *testing.T) {
	f := newFixture(t, nil)
	waiting := leafOf(t, f.authority(nil), nil)
	out := f.connect(waiting)
	expect(t, "JITR", out.Decision, admission.Refuse, muster.ReasonPendingActivation)
	if !out.Enrolled || out.Repeated || out.Record.Status != muster.PendingActivation {
		t.Errorf("first: %+v", out)
	}
	out = f.connect(waiting)
	expect(t, "JITR again", out.Decision, admission.Refuse, muster.ReasonPendingActivation)
	if out.Enrolled || !out.Repeated {
		t.Errorf("again: %+v", out)
	}
	provisioned := leafOf(t, f.authority(withTemplate(activating)), nil)
	out = f.connect(provisioned)
	expect(t, "JITP", out.Decision, admission.Admit, "")
	if !out.Enrolled || out.Record.Status != muster.Active {
		t.Errorf("JITP: %+v", out)
	}
	if out = f.connect(provisioned); out.Enrolled || out.Verdict != admission.Admit {
		t.Errorf("JITP again: %+v", out)
	}
}

// TestChangesBetweenTheMoments: what Inspect saw is not what Connect decides
// by.
func TestChangesBetweenTheMoments(t *testing.T) {
	for name, tc := range map[string]struct {
		change  func(f *fixture, a *mint.Authority, l *mint.Leaf)
		verdict admission.Verdict
		reason  muster.Reason
	}{
		"nothing": {func(*fixture, *mint.Authority, *mint.Leaf) {}, admission.Admit, ""},
		"the authority is inactive": {func(f *fixture, a *mint.Authority, _ *mint.Leaf) {
			f.setStatus(accountA, idOf(a.Cert), muster.Inactive)
		}, admission.Refuse, muster.ReasonAuthorityInactive},
		"the authority is gone": {func(f *fixture, a *mint.Authority, _ *mint.Leaf) { f.deleteAuthority(accountA, a) }, admission.Refuse, muster.ReasonUntrustedIssuer},
		"it registers nobody": {func(f *fixture, a *mint.Authority, _ *mint.Leaf) {
			off := false
			_, err := f.store.UpdateAuthority(f.t.Context(), accountA, idOf(a.Cert), registry.AuthorityUpdate{AutoRegistration: &off})
			must(f.t, err)
		}, admission.Refuse, muster.ReasonAutoRegistrationDisabled},
		"its template is gone": {func(f *fixture, a *mint.Authority, _ *mint.Leaf) {
			_, err := f.store.UpdateAuthority(f.t.Context(), accountA, idOf(a.Cert), registry.AuthorityUpdate{RemoveRegistration: true})
			must(f.t, err)
		}, admission.Refuse, muster.ReasonPendingActivation},
		"an operator revoked it": {func(f *fixture, _ *mint.Authority, l *mint.Leaf) {
			f.certificate(accountA, l, muster.Revoked)
		}, admission.Refuse, muster.ReasonRevoked},
	} {
		f := newFixture(t, nil)
		a := f.authority(withTemplate(activating))
		l := leafOf(t, a, nil)
		c := f.inspect(l, "")
		expect(t, name+", Inspect", c.Decision, admission.Register, "")
		tc.change(f, a, l)
		expect(t, name+", Connect", f.gate.Connect(t.Context(), c).Decision, tc.verdict, tc.reason)
	}
}

// racing is a registry in which something happens just before Enrol.
type racing struct {
	admission.Registry
	before func()
	err    error
}

func (r *racing) Enrol(ctx context.Context, e muster.Enrolment) (muster.Enrolled, error) {
	r.before()
	if r.err != nil {
		return muster.Enrolled{}, r.err
	}
	return r.Registry.Enrol(ctx, e)
}

// TestChangesWithinConnect: the registry has the last word.
func TestChangesWithinConnect(t *testing.T) {
	r := &racing{before: func() {}}
	f := newFixture(t, func(c *admission.Config) {
		r.Registry = c.Registry
		c.Registry = r
	})
	a := f.authority(withTemplate(activating))
	r.before = func() { f.setStatus(accountA, idOf(a.Cert), muster.Inactive) }
	l := leafOf(t, a, nil)
	out := f.connect(l)
	expect(t, "authority inactive", out.Decision, admission.Refuse, muster.ReasonAuthorityInactive)
	if out.Enrolled || f.status(accountA, l) != "" {
		t.Errorf("registered: %+v", out)
	}
	f.setStatus(accountA, idOf(a.Cert), muster.Active)
	r.before = func() { f.certificate(accountA, l, muster.Inactive) }
	expect(t, "registered as INACTIVE by another", f.connect(l).Decision, admission.Refuse, muster.ReasonInactive)
	r.before = func() {}
	r.err = errors.New("the disk is full")
	expect(t, "not written", f.connect(leafOf(t, a, nil)).Decision, admission.Refuse, muster.ReasonInternalError)
	r.err = muster.ErrState // and yet nothing is in the way
	expect(t, "contradiction", f.connect(leafOf(t, a, nil)).Decision, admission.Refuse, muster.ReasonInternalError)
}

// TestTemplateFails until it is mended; each failure is told on the record.
func TestTemplateFails(t *testing.T) {
	f := newFixture(t, nil)
	named := func(r *registry.AuthorityRegistration) {
		r.Registration = muster.Registrar{TemplateName: "sensors"}
	}
	body := strings.Replace(activating, `{"Resources":{`, `{"Parameters":{"AWS::IoT::Certificate::Country":{"Type":"String"}},
	 "Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"AWS::IoT::Certificate::Country"}}},`, 1)
	_, err := f.store.CreateTemplate(t.Context(), muster.Template{Account: accountA, Name: "sensors", Enabled: false, Type: "JITP", RoleARN: roleARN}, body)
	must(t, err)
	a := f.authority(named)
	l := leafOf(t, a, nil)
	fails := func(what, says string) {
		t.Helper()
		out := f.connect(l)
		expect(t, what, out.Decision, admission.Refuse, muster.ReasonProvisioningFailed)
		records, _, err := f.store.Find(t.Context(), idOf(l.Cert))
		must(t, err)
		if len(records) != 1 || records[0].Status != muster.PendingActivation || !strings.Contains(records[0].ProvisioningFailure, says) {
			t.Errorf("%s: %+v", what, records)
		}
		if out.Detail != records[0].ProvisioningFailure {
			t.Errorf("%s: detail %q", what, out.Detail)
		}
	}
	fails("disabled", "disabled")
	rebind := func(r muster.Registrar) {
		t.Helper()
		_, err := f.store.UpdateAuthority(t.Context(), accountA, idOf(a.Cert), registry.AuthorityUpdate{Registration: &r})
		must(t, err)
	}
	rebind(muster.Registrar{TemplateBody: body, RoleARN: roleARN})
	fails("a parameter without a value", "Country")
	rebind(muster.Registrar{TemplateBody: activating, RoleARN: roleARN})
	expect(t, "mended", f.connect(l).Decision, admission.Admit, "")
	if r, err := f.store.Certificate(t.Context(), accountA, idOf(l.Cert)); err != nil || r.ProvisioningFailure != "" {
		t.Errorf("record %+v, %v", r, err)
	}
}

func TestPendingQuota(t *testing.T) {
	f := newFixture(t, func(c *admission.Config) { c.PendingCap = 2 })
	a := f.authority(nil)
	first := leafOf(t, a, nil)
	expect(t, "first", f.connect(first).Decision, admission.Refuse, muster.ReasonPendingActivation)
	expect(t, "second", f.connect(leafOf(t, a, nil)).Decision, admission.Refuse, muster.ReasonPendingActivation)
	third := leafOf(t, a, nil)
	expect(t, "third", f.connect(third).Decision, admission.Refuse, muster.ReasonPendingQuota)
	expect(t, "first again", f.connect(first).Decision, admission.Refuse, muster.ReasonPendingActivation)
	expect(t, "another authority's", f.connect(leafOf(t, f.authority(nil), nil)).Decision, admission.Refuse, muster.ReasonPendingActivation)
	_, err := f.store.UpdateCertificateStatus(t.Context(), accountA, idOf(first.Cert), muster.Active)
	must(t, err)
	expect(t, "third, when one was activated", f.connect(third).Decision, admission.Refuse, muster.ReasonPendingActivation)
}

// TestOCSPAtInspect: what is written for an answer, and when none is asked for.
func TestOCSPAtInspect(t *testing.T) {
	f := newFixture(t, nil)
	a := f.authority(withOCSP(muster.OCSPSoft))
	known, stranger := leafOf(t, a, nil), leafOf(t, a, nil)
	f.answer = admission.Answer{Status: admission.AnswerGood}
	expect(t, "good", f.connect(known).Decision, admission.Admit, "")

	f.answer = admission.Answer{Status: admission.AnswerRevoked, Hold: true}
	expect(t, "on hold", f.connect(known).Decision, admission.Refuse, muster.ReasonRevoked)
	if got := f.status(accountA, known); got != muster.Active {
		t.Errorf("on hold, the record is %s", got)
	}
	f.answer.Hold = false
	expect(t, "revoked, and unknown here", f.connect(stranger).Decision, admission.Refuse, muster.ReasonRevoked)
	if got := f.status(accountA, stranger); got != "" {
		t.Errorf("the revoked stranger was registered as %s", got)
	}
	expect(t, "revoked", f.connect(known).Decision, admission.Refuse, muster.ReasonRevoked)
	if got := f.status(accountA, known); got != muster.Revoked {
		t.Errorf("revoked, the record is %s", got)
	}
	asked := f.asked
	f.answer = admission.Answer{Status: admission.AnswerGood}
	expect(t, "revoked before", f.connect(known).Decision, admission.Refuse, muster.ReasonRevoked)
	if f.asked != asked {
		t.Error("a responder was asked about a certificate that a cheap rule refuses")
	}
}

// TestOCSPOutlivesItsAuthority: to delete the authority does not switch it off.
func TestOCSPOutlivesItsAuthority(t *testing.T) {
	f := newFixture(t, nil)
	a := f.authority(withOCSP(muster.OCSPHard))
	l := leafOf(t, a, nil)
	f.answer = admission.Answer{Status: admission.AnswerGood}
	expect(t, "good", f.connect(l).Decision, admission.Admit, "")
	f.deleteAuthority(accountA, a)
	f.answer = admission.Answer{Status: admission.AnswerUnavailable}
	expect(t, "unavailable", f.connect(l).Decision, admission.Refuse, muster.ReasonRevocationUnknown)
}

func TestValidityByTheGatesClock(t *testing.T) {
	c := &clock{now: time.Now()}
	f := newFixture(t, func(cfg *admission.Config) { cfg.Now, cfg.Skew = c.Now, time.Minute })
	l := leafOf(t, f.authority(withTemplate(activating)), nil)
	expect(t, "now", f.connect(l).Decision, admission.Admit, "")
	candidate := f.inspect(l, "")
	c.now = l.Cert.NotAfter.Add(time.Minute)
	expect(t, "within the skew", f.connect(l).Decision, admission.Admit, "")
	c.now = c.now.Add(time.Second)
	expect(t, "after it", f.connect(l).Decision, admission.Refuse, muster.ReasonOutsideValidity)
	expect(t, "standing", f.gate.Standing(t.Context(), candidate), admission.Refuse, muster.ReasonOutsideValidity)
}
