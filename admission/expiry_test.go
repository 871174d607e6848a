package admission_test

import (
	"crypto"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/internal/mint"
)

// issued is the holder of a certificate that the registry made with its key.
func issued(t *testing.T, made muster.Issued) *mint.Leaf {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(made.PEM), []byte(made.PrivateKey))
	must(t, err)
	return &mint.Leaf{Cert: pair.Leaf, Key: pair.PrivateKey.(crypto.Signer)}
}

func (f *fixture) claim() (*mint.Leaf, muster.Issued) {
	f.t.Helper()
	_, err := f.store.CreateTemplate(f.t.Context(), muster.Template{
		Account: accountA, Name: "fleet", Type: muster.TemplateFleet, Enabled: true, RoleARN: roleARN,
	}, activating)
	must(f.t, err)
	made, err := f.store.CreateClaim(f.t.Context(), accountA, "fleet")
	must(f.t, err)
	return issued(f.t, made), made
}

// TestClaimEnds: a claim lives for five minutes, whatever difference of clocks is
// tolerated, and so does a connection of it.
func TestClaimEnds(t *testing.T) {
	c := &clock{now: time.Now()}
	f := newFixture(t, func(config *admission.Config) { config.Now, config.Skew = c.Now, time.Hour })
	l, made := f.claim()
	candidate := f.inspect(l, "")
	expect(t, "at first", f.gate.Connect(t.Context(), candidate).Decision, admission.Admit, "")
	if got := f.gate.Expiry(candidate); !got.Equal(made.Expires) {
		t.Errorf("the connection ends at %v, want %v", got, made.Expires)
	}
	c.now = made.Expires.Add(-time.Second)
	expect(t, "a second before the end", f.connect(l).Decision, admission.Admit, "")
	c.now = made.Expires
	expect(t, "the open connection", f.gate.Standing(t.Context(), candidate), admission.Refuse, muster.ReasonOutsideValidity)
	d := f.inspect(l, "").Decision
	expect(t, "at the end", d, admission.Refuse, muster.ReasonOutsideValidity)
	if mend := admission.Mend(d.Reason, f.inspect(l, "").Facts); !strings.Contains(mend, "create-provisioning-claim") {
		t.Errorf("the advice is %q", mend)
	}
}

// TestIssuedStandsByItsRecord: what the account's own issuing authority signed is
// let in by its record alone.
func TestIssuedStandsByItsRecord(t *testing.T) {
	f := newFixture(t, nil)
	made, err := f.store.IssueCertificate(t.Context(), muster.Issuance{Account: accountA, Status: muster.PendingActivation})
	must(t, err)
	l := issued(t, made)
	waits := f.connect(l)
	expect(t, "before it is activated", waits.Decision, admission.Refuse, muster.ReasonPendingActivation)
	if mend := admission.Mend(waits.Reason, f.inspect(l, "").Facts); strings.Contains(mend, "bind a template") {
		t.Errorf("the advice is %q, and there is no authority to bind one to", mend)
	}
	_, err = f.store.UpdateCertificateStatus(t.Context(), accountA, made.ID, muster.Active)
	must(t, err)
	expect(t, "ACTIVE", f.connect(l).Decision, admission.Admit, "")

	gone, err := f.store.IssueCertificate(t.Context(), muster.Issuance{Account: accountA, Status: muster.PendingActivation})
	must(t, err)
	must(t, f.store.DeleteCertificate(t.Context(), accountA, gone.ID, false)) // without a tombstone
	stranger := issued(t, gone)
	err = f.gate.TLSConfig(&tls.Config{}).VerifyConnection(state(stranger, endpointA))
	var untrusted *admission.UntrustedError
	if !errors.As(err, &untrusted) {
		t.Errorf("in TLS: %v", err)
	}
	expect(t, "without a record", f.inspect(stranger, endpointA).Decision, admission.Refuse, muster.ReasonUntrustedIssuer)
}
