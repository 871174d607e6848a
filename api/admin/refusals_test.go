package admin_test

import (
	"crypto/x509/pkix"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

func (f *fixture) refusals(t *testing.T, q admin.RefusalQuestion) []admin.Refusal {
	t.Helper()
	list, err := f.admin.Refusals(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return list.Refusals
}

// TestRefusals tells of those whose certificate nobody saw.
func TestRefusals(t *testing.T) {
	f := newFixture(t)
	for i, remote := range []string{"192.0.2.1:1", "[2001:db8::7]:1", "192.0.2.1:2"} {
		f.memory.Remember(muster.Refusal{
			Time: time.Unix(int64(i), 0), Count: 1, Reason: []muster.Reason{muster.ReasonHandshakeFailed, muster.ReasonNoCertificate}[i/2],
			Remote: remote, Facts: []byte(`{"cause":"` + string(admission.CauseProtocol) + `","sni":"muster.test"}`),
		})
	}
	for _, tc := range []struct {
		q    admin.RefusalQuestion
		want []string
	}{
		{admin.RefusalQuestion{}, []string{"192.0.2.1:2", "[2001:db8::7]:1", "192.0.2.1:1"}},
		{admin.RefusalQuestion{Limit: 1}, []string{"192.0.2.1:2"}},
		{admin.RefusalQuestion{From: "192.0.2.1"}, []string{"192.0.2.1:2", "192.0.2.1:1"}},
		{admin.RefusalQuestion{From: "192.0.2.1:55", Limit: 1}, []string{"192.0.2.1:2"}},
		{admin.RefusalQuestion{From: "2001:db8:0::7"}, []string{"[2001:db8::7]:1"}},
		{admin.RefusalQuestion{From: "192.0.2.3"}, nil},
	} {
		var got []string
		for _, r := range f.refusals(t, tc.q) {
			got = append(got, r.Remote)
			if r.ServerName != "muster.test" || !strings.Contains(r.Mend, "x-amzn-mqtt-ca") {
				t.Errorf("%+v", r)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%+v: %q, want %q", tc.q, got, tc.want)
		}
	}
	for _, q := range []admin.RefusalQuestion{{From: "muster.test"}, {From: "192.0.2"}, {Limit: -1}, {Limit: 1001}} {
		if _, err := f.admin.Refusals(t.Context(), q); err == nil {
			t.Errorf("%+v makes sense", q)
		}
	}
}

// TestExplainSession asks the policies after the rules.
func TestExplainSession(t *testing.T) {
	f := newFixture(t)
	leaf, err := mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: "sensor-1"}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.store.RegisterCertificate(t.Context(), registry.CertificateRegistration{
		Account: account, PEM: string(leaf.CertPEM()), WithoutCA: true, Status: muster.Active,
	})
	if err != nil {
		t.Fatal(err)
	}
	const document = `{"Version":"2012-10-17","Statement":[
	 {"Sid":"In","Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/sensor-1"},
	 {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/state"}]}`
	if _, err := f.store.CreatePolicy(t.Context(), account, "device", document, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.store.AttachPolicy(t.Context(), account, "device", muster.KindCertificate, c.ID); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		session admin.Session
		verdict string
		reason  muster.Reason
		line    string // the last
		saw     string
	}{
		{admin.Session{ClientID: "sensor-1"}, "admit", "", "iot:Connect", `policy device version 1, Statement[0] (Sid "In") allows client/sensor-1`},
		{admin.Session{ClientID: "other"}, "refuse", muster.ReasonPolicyDenied, "iot:Connect", `no policy of the certificate allows iot:Connect as client "other"`},
		{admin.Session{ClientID: "sensor-1", Will: "state"}, "admit", "", "iot:Publish", "Statement[1] allows topic/state"},
		{admin.Session{ClientID: "sensor-1", Will: "state", Retain: true}, "refuse", muster.ReasonPolicyDenied, "iot:RetainPublish", "the will: no policy"},
		{admin.Session{ClientID: "sensor-1", Will: "else"}, "refuse", muster.ReasonPolicyDenied, "iot:Publish", "the will: no policy"},
		{admin.Session{ClientID: "sensor-1", Will: "a/#"}, "refuse", muster.ReasonConnectInvalid, "iot:Connect", "allows client/sensor-1"},
	} {
		e := f.explain(t, admin.Question{Fingerprint: c.ID, Session: &tc.session})
		last := e.Lines[len(e.Lines)-1]
		if e.Verdict != tc.verdict || e.Reason != tc.reason || last.Name != tc.line || !strings.Contains(last.Saw, tc.saw) {
			t.Errorf("%+v: %s %s, last %+v", tc.session, e.Verdict, e.Reason, last)
		}
		if l := f.deciding(t, e); (l.Says == "refuse") != (tc.verdict == "refuse") || (l.Mend != "") != (tc.verdict == "refuse") {
			t.Errorf("%+v: decides %+v", tc.session, l)
		}
	}
	// Of a certificate that is not registered nobody knows the policies.
	unknown, err := mint.SelfSigned(mint.Request{})
	if err != nil {
		t.Fatal(err)
	}
	e := f.explain(t, admin.Question{PEM: string(unknown.CertPEM()), Session: &admin.Session{ClientID: "x"}})
	if last := e.Lines[len(e.Lines)-1]; last.Name != "policies" || e.Reason != muster.ReasonUnacceptableCertificate {
		t.Errorf("not registered: %s %+v", e.Reason, last)
	}
}

// TestExplainChain reads what the device sends besides its certificate, and
// passes over its key.
func TestExplainChain(t *testing.T) {
	f := newFixture(t)
	root, err := mint.NewAuthority("root")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := root.Issue(mint.Request{Subject: pkix.Name{CommonName: "sensor-1"}})
	if err != nil {
		t.Fatal(err)
	}
	e := f.explain(t, admin.Question{PEM: string(leaf.KeyPEM()) + string(leaf.ChainPEM())})
	if e.CertificateID != muster.Fingerprint(leaf.Cert.Raw) || !strings.Contains(f.deciding(t, e).Saw, "which the device sent") {
		t.Errorf("%+v", e)
	}
	broken := string(leaf.CertPEM()) + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	if status, text := f.ask(t, admin.Question{PEM: broken}); status != http.StatusBadRequest {
		t.Errorf("%d %s", status, text)
	}
}
