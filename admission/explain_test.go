package admission_test

import (
	"crypto/x509"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
)

// reasons reads every reason from the source, so that none can be forgotten.
func reasons(t *testing.T) []muster.Reason {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../reason.go", nil, 0)
	must(t, err)
	var found []muster.Reason
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, v := range spec.Values {
			if literal, ok := v.(*ast.BasicLit); ok {
				text, err := strconv.Unquote(literal.Value)
				must(t, err)
				found = append(found, muster.Reason(text))
			}
		}
		return false
	})
	if len(found) < 25 {
		t.Fatalf("reason.go has %d reasons", len(found))
	}
	return found
}

func TestEveryReasonHasAMend(t *testing.T) {
	texts := map[string]muster.Reason{}
	facts := admission.Facts{Account: accountA, Leaf: admission.LeafFacts{ID: "leaf", Issuer: "CN=factory"}}
	facts.Authority = admission.AuthorityFacts{ID: "ca", State: admission.AuthorityUsable}
	for _, r := range reasons(t) {
		for _, f := range []admission.Facts{{}, facts} {
			mend := admission.Mend(r, f)
			if mend == "" {
				t.Errorf("%s has no mend", r)
			}
			if strings.Contains(mend, "%!") {
				t.Errorf("%s: %s", r, mend)
			}
		}
		mend := admission.Mend(r, facts)
		if other, ok := texts[mend]; ok {
			t.Errorf("%s and %s have one mend: %s", r, other, mend)
		}
		texts[mend] = r
	}
	if admission.Mend("", facts) != "" {
		t.Error("no refusal has a mend")
	}
}

// TestInquire gathers what a connect would see, and changes nothing.
func TestInquire(t *testing.T) {
	f := newFixture(t, nil)
	a := f.authority(withOCSP(muster.OCSPHard))
	l := leafOf(t, a, nil)
	f.answer = admission.Answer{Status: admission.AnswerRevoked, Detail: "keyCompromise"}
	before, err := f.store.Seq(t.Context())
	must(t, err)
	facts, err := f.gate.Inquire(t.Context(), []*x509.Certificate{l.Cert}, "")
	must(t, err)
	expect(t, "Inquire", admission.Decide(facts), admission.Refuse, muster.ReasonRevoked)
	if facts.Account != accountA || facts.Authority.ID != idOf(a.Cert) || facts.OCSP.Detail != "keyCompromise" {
		t.Errorf("%+v", facts)
	}
	after, err := f.store.Seq(t.Context())
	must(t, err)
	if after != before || f.memory.Recall(idOf(l.Cert)) != nil {
		t.Error("an inquiry left a trace")
	}
	elsewhere, err := f.gate.Inquire(t.Context(), []*x509.Certificate{l.Cert}, endpointB)
	must(t, err)
	expect(t, "at the other endpoint", admission.Decide(elsewhere), admission.Refuse, muster.ReasonUntrustedIssuer)
	// What a connect is refused for is what an inquiry explains.
	d := f.connect(l).Decision
	for _, line := range admission.Explain(facts) {
		if line.Decides && (line.Rule != d.Rule || line.Reason != d.Reason || line.Saw != d.Detail || line.Mend == "") {
			t.Errorf("explained as %+v, decided as %+v", line, d)
		}
	}
}
