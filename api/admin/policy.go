package admin

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/policy"
)

// policyRoutes serves what policy.go and policyversions.go answer.
func (a *Admin) policyRoutes(mux *http.ServeMux) {
	mux.Handle("POST /policy/test", answers(a, a.TestPolicy))
	mux.Handle("POST /policy/versions", answers(a, a.ListPolicyVersions))
	mux.Handle("POST /policy/default", answers(a, a.SetPolicyDefault))
}

// PolicyTest asks what a registered certificate may do in a session.
type PolicyTest struct {
	CertificateName
	PolicySession
	Questions []PolicyQuestion `json:"questions"`
}

// PolicySession is what a device would connect with, besides its certificate.
type PolicySession struct {
	ClientID          string    `json:"clientId"`
	SourceIP          string    `json:"sourceIp,omitempty"`          // without port
	SNI               string    `json:"sni,omitempty"`               // the server name that it sends
	ConnectAttributes []string  `json:"connectAttributes,omitempty"` // PersistentConnect, LastWill
	WillTopic         string    `json:"willTopic,omitempty"`         // stands for LastWill too
	Time              time.Time `json:"time,omitzero"`               // of the question; zero: now
}

// PolicyQuestion asks whether an action is allowed.
type PolicyQuestion struct {
	Action   string `json:"action"`   // iot:Publish
	Resource string `json:"resource"` // topic/a/b, or its ARN
}

// PolicyReport answers the questions, in their order.
type PolicyReport struct {
	Account       string         `json:"account"`
	CertificateID string         `json:"certificateId,omitempty"`
	ClientID      string         `json:"clientId"`
	Thing         string         `json:"thing,omitempty"` // the one that is named as the client ID, if it is attached
	Policies      []PolicyName   `json:"policies"`
	Answers       []PolicyAnswer `json:"answers"`
}

// PolicyName is a policy with its version in force; a file has none.
type PolicyName struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

func (n PolicyName) String() string {
	if n.Version == "" {
		return n.Name
	}
	return "policy " + n.Name + " version " + n.Version
}

// PolicyAnswer is what the policies say to one question.
type PolicyAnswer struct {
	Action     string            `json:"action"`
	Resource   string            `json:"resource"`
	Allowed    bool              `json:"allowed"`
	Verdict    string            `json:"verdict"`          // allowed, explicit deny or implicit deny
	Denial     string            `json:"denial,omitempty"` // why it is not allowed, in one sentence
	Statements []PolicyStatement `json:"statements"`
}

// PolicyStatement is the part that one statement has in an answer.
type PolicyStatement struct {
	PolicyName
	Statement int    `json:"statement"` // its index in the document
	Sid       string `json:"sid,omitempty"`
	Effect    string `json:"effect"` // Allow or Deny
	Role      string `json:"role"`   // decides, applies or silent
	Cause     string `json:"cause,omitempty"`
}

// TestPolicy answers by the policies that are in force. It wraps
// muster.ErrNotFound if the certificate is not registered, and muster.ErrInvalid
// if a question makes no sense.
func (a *Admin) TestPolicy(ctx context.Context, in PolicyTest) (PolicyReport, error) {
	account, id, err := a.find(ctx, in.CertificateName)
	if err != nil {
		return PolicyReport{}, err
	}
	t, err := a.policyTrial(ctx, account, id, in.PolicySession)
	if err != nil {
		return PolicyReport{}, err
	}
	return t.Report(in.Questions)
}

// policyTrial is a session of a registered certificate, with its policies in
// force.
func (a *Admin) policyTrial(ctx context.Context, account, id string, s PolicySession) (*PolicyTrial, error) {
	p, err := a.config.Registry.Principal(ctx, account, id, s.ClientID)
	if err != nil {
		return nil, err
	}
	chain, err := parse(p.Certificate.PEM)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", id, err)
	}
	t := &PolicyTrial{Region: a.config.Region, Account: account, CertificateID: id, Certificate: chain[0], Thing: p.Thing, Session: s}
	t.Exclusive, t.Publishable = p.Certificate.Exclusive, a.config.Publishable
	for _, text := range p.Policies {
		if err := t.Add(PolicyName{text.Name, text.Version}, text.Document); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// PolicyTrial is a session whose policies are tried. It needs no registry.
type PolicyTrial struct {
	Region, Account string
	CertificateID   string
	Certificate     *x509.Certificate // nil if it is not known
	Thing           *muster.Thing     // one whose name is not the client ID counts as none, unless
	Exclusive       bool              // it has the certificate exclusively
	Session         PolicySession
	// Publishable reports whether devices may publish on a topic that begins with $.
	// nil: on none.
	Publishable func(topic string) bool

	names     []PolicyName
	documents []*policy.Document
}

// Add adds the text of a policy. It wraps muster.ErrMalformedPolicy.
func (t *PolicyTrial) Add(name PolicyName, text string) error {
	d, err := policy.Parse([]byte(text))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	t.names, t.documents = append(t.names, name), append(t.documents, d)
	return nil
}

// Report answers several questions.
func (t *PolicyTrial) Report(questions []PolicyQuestion) (PolicyReport, error) {
	r := PolicyReport{Account: t.Account, CertificateID: t.CertificateID, ClientID: t.Session.ClientID, Policies: t.names}
	if t.attached() {
		r.Thing = t.Thing.Name
	}
	if len(questions) == 0 {
		return r, fmt.Errorf("no question: name an action and its resource: %w", muster.ErrInvalid)
	}
	for _, q := range questions {
		answer, err := t.Answer(q)
		if err != nil {
			return r, err
		}
		r.Answers = append(r.Answers, answer)
	}
	return r, nil
}

func (t *PolicyTrial) attached() bool {
	return t.Thing != nil && (t.Exclusive || t.Thing.Name == t.Session.ClientID)
}

// reserved reports whether no policy lets a device publish on a topic. A request
// of a device, which it may, is never retained.
func (t *PolicyTrial) reserved(a policy.Action, topic string) bool {
	return strings.HasPrefix(topic, "$") &&
		(a == policy.RetainPublish || a == policy.Publish && (t.Publishable == nil || !t.Publishable(topic)))
}

// Answer answers one question, as the broker would.
func (t *PolicyTrial) Answer(q PolicyQuestion) (PolicyAnswer, error) {
	action, name, err := t.read(q)
	if err != nil {
		return PolicyAnswer{}, err
	}
	v, err := t.variables()
	if err != nil {
		return PolicyAnswer{}, err
	}
	e := policy.NewRealm(t.Region, t.Account).Explain(t.documents, v, action, name)
	out := PolicyAnswer{
		Action: action.String(), Resource: action.Resource() + name, Allowed: e.Verdict == policy.Allowed, Verdict: e.Verdict.String(),
	}
	for _, o := range e.Statements {
		effect := "Allow"
		if o.Effect == policy.ExplicitDeny {
			effect = "Deny"
		}
		out.Statements = append(out.Statements, PolicyStatement{t.names[o.Document], o.Statement, o.Sid, effect, string(o.Role), o.Cause})
	}
	switch {
	case !out.Allowed:
		out.Denial = e.Denial(action, name, func(i int) string { return t.names[i].String() })
	case t.reserved(action, name):
		out.Allowed, out.Denial = false, "the policies allow it, but topics that begin with $ are for the server alone to publish"
	}
	return out, nil
}

// read takes a question apart. The filter of a shared subscription is judged as
// what follows the group's name (MQTT 5 §4.8.2).
func (t *PolicyTrial) read(q PolicyQuestion) (policy.Action, string, error) {
	action, ok := policy.ParseAction(q.Action)
	if !ok {
		return 0, "", fmt.Errorf("action %q: want iot:Connect, iot:Publish, iot:RetainPublish, iot:Subscribe or iot:Receive: %w", q.Action, muster.ErrInvalid)
	}
	name, ok := strings.CutPrefix(strings.TrimPrefix(q.Resource, muster.ARN(t.Region, t.Account, "")), action.Resource())
	if !ok {
		return 0, "", fmt.Errorf("resource %q: %s is about %sNAME, or %s: %w", q.Resource, action, action.Resource(),
			muster.ARN(t.Region, t.Account, action.Resource()+"NAME"), muster.ErrInvalid)
	}
	if parts := strings.SplitN(name, "/", 3); action == policy.Subscribe && strings.EqualFold(parts[0], "$share") {
		if len(parts) < 3 || parts[1] == "" || parts[2] == "" {
			return 0, "", fmt.Errorf("filter %q: a shared subscription is $share/GROUP/FILTER: %w", name, muster.ErrInvalid)
		}
		name = parts[2]
	}
	return action, name, nil
}

func (t *PolicyTrial) variables() (policy.Variables, error) {
	s := t.Session
	v := policy.Variables{
		ClientID: s.ClientID, CertificateID: t.CertificateID, SourceIP: s.SourceIP, DomainName: s.SNI, Certificate: t.Certificate,
		Connect: policy.ConnectAttributes{LastWill: s.WillTopic != "", WillTopic: s.WillTopic}, Now: time.Now,
	}
	if t.attached() {
		v.Thing = t.Thing
	}
	if !s.Time.IsZero() {
		v.Now = func() time.Time { return s.Time }
	}
	for _, attribute := range s.ConnectAttributes {
		switch attribute {
		case "PersistentConnect":
			v.Connect.PersistentConnect = true
		case "LastWill":
			v.Connect.LastWill = true
		default:
			return v, fmt.Errorf("connect attribute %q: want PersistentConnect or LastWill: %w", attribute, muster.ErrInvalid)
		}
	}
	return v, nil
}
