package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/policy"
)

// Session is what a device connects with, besides its certificate: with it,
// explain asks the policies too.
type Session struct {
	ClientID string `json:"clientId"`
	Will     string `json:"will,omitempty"`   // the topic of its will; "" for none
	Retain   bool   `json:"retain,omitempty"` // the will is to be retained
}

// askPolicies adds what the policies say of a session that the rules let in.
func (a *Admin) askPolicies(ctx context.Context, e *Explanation, sni string, s Session, facts admission.Facts) error {
	t, err := a.policyTrial(ctx, e.Account, e.CertificateID, PolicySession{ClientID: s.ClientID, SNI: sni, WillTopic: s.Will})
	if errors.Is(err, muster.ErrNotFound) || facts.Record.Status == "" {
		saw := "none: the certificate is not registered"
		if e.Verdict == admission.Register.String() {
			saw = "not known yet: the template attaches them at the first connect, or an operator"
		}
		e.Lines = append(e.Lines, admission.Line{Name: "policies", Says: "silent", Saw: saw})
		return nil
	}
	if err != nil {
		return err
	}
	questions := []PolicyQuestion{{policy.Connect.String(), policy.Connect.Resource() + s.ClientID}}
	if s.Will != "" && strings.ContainsAny(s.Will, "+#") {
		e.add(admission.Line{Name: "will", Says: "refuse", Reason: muster.ReasonConnectInvalid,
			Saw:  fmt.Sprintf("the will's topic %.128q has a wildcard", s.Will),
			Mend: admission.Mend(muster.ReasonConnectInvalid, admission.Facts{Cause: admission.CauseWill})})
	} else if s.Will != "" {
		questions = append(questions, PolicyQuestion{policy.Publish.String(), policy.Publish.Resource() + s.Will})
		if s.Retain {
			questions = append(questions, PolicyQuestion{policy.RetainPublish.String(), policy.RetainPublish.Resource() + s.Will})
		}
	}
	for i, q := range questions {
		answer, err := t.Answer(q)
		if err != nil {
			return err
		}
		e.add(policyLine(answer, i > 0, facts))
	}
	return nil
}

// policyLine tells what the policies say, with the statement that decides.
func policyLine(answer PolicyAnswer, will bool, facts admission.Facts) admission.Line {
	l := admission.Line{Name: answer.Action, Says: "allow"}
	if !answer.Allowed {
		l.Says, l.Reason, l.Saw = "refuse", muster.ReasonPolicyDenied, answer.Denial
		if will {
			l.Saw = "the will: " + l.Saw
		}
		l.Mend = admission.Mend(l.Reason, facts)
		return l
	}
	for _, s := range answer.Statements {
		if s.Role == string(policy.Decides) {
			l.Saw = fmt.Sprintf("%s, %s allows %s", s.PolicyName, policy.Source{Statement: s.Statement, Sid: s.Sid}, answer.Resource)
		}
	}
	return l
}

// add appends a line after the rules. If it refuses whom they admit, it decides.
func (e *Explanation) add(l admission.Line) {
	if l.Says == "refuse" && e.Verdict == admission.Admit.String() {
		for i := range e.Lines {
			e.Lines[i].Decides = false
		}
		l.Decides = true
		e.Verdict, e.Reason = l.Says, l.Reason
	}
	e.Lines = append(e.Lines, l)
}
