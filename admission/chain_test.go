package admission_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/internal/mint"
)

// TestChain tells the operator of a stranger what to register: what the device
// sent lets nobody in, but says what is missing.
func TestChain(t *testing.T) {
	f := newFixture(t, nil)
	root := mintAuthority(t, "root")
	f.register(accountA, muster.ModeDefault, root, nil)
	line, err := root.Intermediate("line 3")
	must(t, err)
	garage := mintAuthority(t, "garage")
	other := mintAuthority(t, "root") // the same name, another key
	ofLine, ofGarage, ofOther := leafOf(t, line, nil), leafOf(t, garage, nil), leafOf(t, other, nil)

	for _, tc := range []struct {
		name string
		leaf *mint.Leaf
		sent []*x509.Certificate
		want admission.ChainFacts
		mend []string
	}{
		{"root registered, intermediate sent", ofLine, []*x509.Certificate{line.Cert, root.Cert},
			admission.ChainFacts{Sent: 2, Issuer: idOf(line.Cert), Above: idOf(root.Cert)}, []string{`"CN=line 3"`, idOf(line.Cert), "register-ca-certificate"}},
		{"root registered, intermediate not sent", ofLine, nil, admission.ChainFacts{}, []string{`"CN=line 3"`, "register-certificate-without-ca"}},
		{"nothing registered, issuer sent", ofGarage, []*x509.Certificate{garage.Cert},
			admission.ChainFacts{Sent: 1, Issuer: idOf(garage.Cert)}, []string{`"CN=garage"`, idOf(garage.Cert)}},
		{"another certificate sent", ofGarage, []*x509.Certificate{other.Cert}, admission.ChainFacts{Sent: 1}, []string{`"CN=garage"`}},
		{"a namesake registered", ofOther, nil, admission.ChainFacts{Namesake: idOf(root.Cert)}, []string{idOf(root.Cert)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			facts, err := f.gate.Inquire(t.Context(), append([]*x509.Certificate{tc.leaf.Cert}, tc.sent...), "")
			must(t, err)
			expect(t, "inquired", admission.Decide(facts), admission.Refuse, muster.ReasonUntrustedIssuer)
			if facts.Chain != tc.want {
				t.Errorf("facts %+v, want %+v", facts.Chain, tc.want)
			}
			mend := admission.Mend(muster.ReasonUntrustedIssuer, facts)
			for _, w := range tc.mend {
				if !strings.Contains(mend, w) {
					t.Errorf("the mend does not name %q: %s", w, mend)
				}
			}
			// The handshake finds the same.
			err = f.gate.TLSConfig(&tls.Config{}).VerifyConnection(tls.ConnectionState{
				PeerCertificates: append([]*x509.Certificate{tc.leaf.Cert}, tc.sent...),
			})
			var untrusted *admission.UntrustedError
			if !errors.As(err, &untrusted) || untrusted.Detail != admission.Decide(facts).Detail {
				t.Errorf("the handshake says %v, explain %q", err, admission.Decide(facts).Detail)
			}
			f.gate.Located(untrusted, "192.0.2.9:1")
			if r := f.memory.Recall(idOf(tc.leaf.Cert)); len(r) != 1 || r[0].Remote != "192.0.2.9:1" {
				t.Errorf("remembered: %+v", r)
			}
		})
	}
}

// TestChainsOfMany: a storm of strangers is refused without a closer look.
func TestChainsOfMany(t *testing.T) {
	now := clock{monday}
	f := newFixture(t, func(c *admission.Config) { c.Now = now.Now })
	garage := mintAuthority(t, "garage")
	l := leafOf(t, garage, nil)
	verify := f.gate.TLSConfig(&tls.Config{}).VerifyConnection
	closely := func() (n int) {
		for range 60 {
			err := verify(tls.ConnectionState{PeerCertificates: []*x509.Certificate{l.Cert, garage.Cert}})
			var untrusted *admission.UntrustedError
			if !errors.As(err, &untrusted) {
				t.Fatalf("let in: %v", err)
			}
			if strings.Contains(untrusted.Detail, "which the device sent") {
				n++
			}
		}
		return n
	}
	if n := closely(); n != 50 {
		t.Errorf("%d of 60 were looked at closely", n)
	}
	now.now = now.now.Add(time.Second)
	if n := closely(); n != 50 {
		t.Errorf("a second later %d of 60", n)
	}
}

// TestChainElsewhere: the authority is another account's, and the device asked
// for this one.
func TestChainElsewhere(t *testing.T) {
	f := newFixture(t, nil)
	l := leafOf(t, f.authority(nil), nil)
	facts, err := f.gate.Inquire(t.Context(), []*x509.Certificate{l.Cert}, endpointB)
	must(t, err)
	d := admission.Decide(facts)
	expect(t, "inquired", d, admission.Refuse, muster.ReasonUntrustedIssuer)
	if !facts.Chain.Elsewhere || strings.Contains(d.Detail, accountA) {
		t.Errorf("%+v, seen as %q", facts.Chain, d.Detail)
	}
}
