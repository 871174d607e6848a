package awsiot

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/policy"
)

func authorizationOperations() []operation {
	return []operation{
		{"TestAuthorization", post, "/test-authorization", (*Dialect).testAuthorization},
		{"GetEffectivePolicies", post, "/effective-policies", (*Dialect).getEffectivePolicies},
	}
}

// Limits of TestAuthorization. The first is AWS's; its model bounds the others
// by the size of a request at most.
const (
	maxAuthInfos = 10
	maxResources = 100
	maxNames     = 50
)

// maxTesting bounds how long a request keeps a processor. As many questions as
// there may be take a tenth of it, but a pattern with "?" behind a star takes
// milliseconds for a long text, and there may be fifty policies of those.
const maxTesting = 2 * time.Second

// authorization is a request of TestAuthorization.
type authorization struct {
	Principal string     `json:"principal"`
	Pool      string     `json:"cognitoIdentityPoolId"`
	Infos     []authInfo `json:"authInfos"`
	Add       []string   `json:"policyNamesToAdd"`
	Skip      []string   `json:"policyNamesToSkip"`
	clientID  string
}

type authInfo struct {
	Action    string   `json:"actionType"`
	Resources []string `json:"resources"`
}

type authResult struct {
	Info     authInfo     `json:"authInfo"`
	Allowed  policySet    `json:"allowed"`
	Denied   policyDenial `json:"denied"`
	Decision string       `json:"authDecision"`
	Missing  []string     `json:"missingContextValues"`
}

type policyDenial struct {
	Implicit policySet `json:"implicitDeny"`
	Explicit policySet `json:"explicitDeny"`
}

type policySet struct {
	Policies []policySummary `json:"policies"`
}

// testAuthorization answers as the broker would a device with this certificate
// and client ID. It knows neither where the device would come from nor what its
// CONNECT would ask for: where policies look at that, it says so.
func (d *Dialect) testAuthorization(ctx context.Context, c *call) (any, error) {
	in := authorization{clientID: c.query.Get("clientId")}
	c.decode(&in)
	in.check(c)
	if c.err != nil {
		return nil, c.err
	}
	var certificate string
	if in.Principal != "" {
		_, certificate = d.resource(c, "principal", in.Principal, muster.KindCertificate)
		if c.err != nil {
			return nil, c.err
		}
	}
	t, err := d.trial(ctx, c.account, certificate, &in)
	if err != nil {
		return nil, err
	}
	testing, cancel := context.WithTimeout(ctx, maxTesting)
	defer cancel()
	results := make([]authResult, len(in.Infos))
	for i, info := range in.Infos {
		results[i], err = t.judge(testing, c, fmt.Sprintf("authInfos[%d]", i), info)
		switch {
		case err != nil && ctx.Err() == nil && testing.Err() != nil:
			return nil, invalidRequest("authInfos: it takes more than %v to match all of them with these policies, test fewer at once", maxTesting)
		case err != nil:
			return nil, err
		}
	}
	return struct {
		Results []authResult `json:"authResults"`
	}{results}, nil
}

func (in *authorization) check(c *call) {
	noCognito(c, in.Pool)
	if in.Principal == "" && len(in.Add) == 0 {
		c.refuse("principal: is required, unless policyNamesToAdd names what to test")
	}
	if n := len(in.Infos); n < 1 || n > maxAuthInfos {
		c.refuse("authInfos: must be 1 to %d, not %d", maxAuthInfos, n)
	}
	for i, info := range in.Infos {
		at := fmt.Sprintf("authInfos[%d].", i)
		c.required(at+"actionType", info.Action, actionType)
		if n := len(info.Resources); n < 1 || n > maxResources {
			c.refuse("%sresources: must be 1 to %d, not %d", at, maxResources, n)
		}
		for j, r := range info.Resources {
			c.required(fmt.Sprintf("%sresources[%d]", at, j), r, authResource)
		}
	}
	checkNames(c, "policyNamesToAdd", in.Add)
	checkNames(c, "policyNamesToSkip", in.Skip)
}

func checkNames(c *call, member string, names []string) {
	if len(names) > maxNames {
		c.refuse("%s: must be %d at most, not %d", member, maxNames, len(names))
	}
	for i, name := range names {
		c.required(fmt.Sprintf("%s[%d]", member, i), name, policyName)
	}
}

// noCognito refuses identities that do not exist here.
func noCognito(c *call, pool string) {
	if pool != "" {
		c.refuse("cognitoIdentityPoolId: identities of Cognito are not supported, name a certificate as principal")
	}
}

// trial is what a session would be judged by.
type trial struct {
	dialect   *Dialect
	realm     *policy.Realm
	account   string
	names     []policySummary // of the documents
	documents []*policy.Document
	variables policy.Variables
	unknown   policy.Unknown
}

// trial gathers the policies and variables of a session of a certificate; of
// none, if certificate is "".
func (d *Dialect) trial(ctx context.Context, account, certificate string, in *authorization) (*trial, error) {
	t := &trial{
		dialect: d, realm: policy.NewRealm(d.region, account), account: account,
		variables: policy.Variables{ClientID: in.clientID, CertificateID: certificate, Now: time.Now},
		unknown: policy.Unknown{
			ClientID: in.clientID == "", Certificate: certificate == "", SourceIP: true, DomainName: true, Connect: true,
		},
	}
	var p muster.Principal
	if certificate != "" {
		var err error
		if p, err = d.store.Principal(ctx, account, certificate, in.clientID); err != nil {
			return nil, err
		}
		if t.variables.Certificate, err = parseCertificate(p.Certificate.PEM); err != nil {
			return nil, fmt.Errorf("certificate %s: %w", certificate, err)
		}
		t.variables.Thing = p.Thing
	}
	t.unknown.Thing = p.Thing == nil && (t.unknown.ClientID || t.unknown.Certificate)
	texts, err := d.amend(ctx, account, p.Policies, in)
	if err != nil {
		return nil, err
	}
	for _, text := range texts {
		document, err := policy.Parse([]byte(text.Document))
		if err != nil {
			return nil, fmt.Errorf("policy %s version %s: %w", text.Name, text.Version, err)
		}
		t.names = append(t.names, policySummary{text.Name, d.arn(account, muster.KindPolicy, text.Name)})
		t.documents = append(t.documents, document)
	}
	return t, nil
}

// amend adds policies to those of a principal, and leaves some out. What is
// named has to exist: a misspelt name would make another answer of the test.
func (d *Dialect) amend(ctx context.Context, account string, have []muster.PrincipalPolicy, in *authorization) ([]muster.PrincipalPolicy, error) {
	named := func(name string) func(muster.PrincipalPolicy) bool {
		return func(p muster.PrincipalPolicy) bool { return p.Name == name }
	}
	all := slices.Clone(have)
	for _, name := range in.Add {
		p, err := d.store.Policy(ctx, account, name)
		if err != nil {
			return nil, fmt.Errorf("policyNamesToAdd: %w", err)
		}
		if !slices.ContainsFunc(all, named(name)) {
			all = append(all, muster.PrincipalPolicy{Name: name, Version: p.Default, Document: p.Document()})
		}
	}
	for _, name := range in.Skip {
		if _, err := d.store.Policy(ctx, account, name); err != nil {
			return nil, fmt.Errorf("policyNamesToSkip: %w", err)
		}
		all = slices.DeleteFunc(all, named(name))
	}
	return all, nil
}

func parseCertificate(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("its record holds no PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// judge answers one authInfo: all of its resources have to be allowed. Each
// policy is told once, by what it says itself.
func (t *trial) judge(ctx context.Context, c *call, at string, info authInfo) (authResult, error) {
	action := actionOf(info.Action)
	out := authResult{
		Info: info, Allowed: policySet{[]policySummary{}}, Missing: policy.Lacks(t.documents, action, t.unknown),
		Denied: policyDenial{policySet{[]policySummary{}}, policySet{[]policySummary{}}},
	}
	if out.Missing == nil {
		out.Missing = []string{}
	}
	var resources []string
	for i, resource := range info.Resources {
		name := t.dialect.judged(c, fmt.Sprintf("%s.resources[%d]", at, i), action, resource)
		resources = append(resources, name)
	}
	if c.err != nil {
		return out, c.err
	}
	for i, document := range t.documents {
		verdict, err := t.verdict(ctx, []*policy.Document{document}, action, resources)
		if err != nil {
			return out, err
		}
		set := &out.Denied.Implicit
		switch verdict {
		case policy.Allowed:
			set = &out.Allowed
		case policy.ExplicitDeny:
			set = &out.Denied.Explicit
		}
		set.Policies = append(set.Policies, t.names[i])
	}
	verdict, err := t.verdict(ctx, t.documents, action, resources)
	switch {
	case err != nil:
		return out, err
	case verdict == policy.ExplicitDeny:
		out.Decision = "EXPLICIT_DENY"
	case verdict == policy.Allowed && !t.dialect.reserved(action, resources):
		out.Decision = "ALLOWED"
	default:
		out.Decision = "IMPLICIT_DENY"
	}
	return out, nil
}

// verdict is the strictest of those on the resources.
func (t *trial) verdict(ctx context.Context, documents []*policy.Document, a policy.Action, resources []string) (policy.Verdict, error) {
	bound := t.realm.Bind(documents, t.variables)
	out := policy.Allowed
	for _, name := range resources {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		switch bound.Evaluate(a, name) {
		case policy.ExplicitDeny:
			return policy.ExplicitDeny, nil
		case policy.ImplicitDeny:
			out = policy.ImplicitDeny
		}
	}
	return out, nil
}

func actionOf(actionType string) policy.Action {
	switch actionType {
	case "CONNECT":
		return policy.Connect
	case "PUBLISH":
		return policy.Publish
	case "SUBSCRIBE":
		return policy.Subscribe
	}
	return policy.Receive
}

// reserved reports whether an action is about topics that no policy opens.
func (d *Dialect) reserved(a policy.Action, topics []string) bool {
	return a == policy.Publish && slices.ContainsFunc(topics, func(topic string) bool {
		return strings.HasPrefix(topic, "$") && (d.publishable == nil || !d.publishable(topic))
	})
}

// judged returns the name that an action on a resource is judged by: of a
// shared subscription that is its filter (MQTT 5 §4.8.2).
func (d *Dialect) judged(c *call, member string, a policy.Action, arn string) string {
	name, ok := strings.CutPrefix(arn, muster.ARN(d.region, c.account, a.Resource()))
	if !ok || name == "" {
		c.refuse("%s: %s: %s is about %s…", member, shorten(arn), a, muster.ARN(d.region, c.account, a.Resource()))
		return ""
	}
	if parts := strings.SplitN(name, "/", 3); a == policy.Subscribe && strings.EqualFold(parts[0], "$share") {
		if len(parts) < 3 || parts[1] == "" || parts[2] == "" {
			c.refuse("%s: %s: a shared subscription is $share/GROUP/FILTER", member, shorten(arn))
			return ""
		}
		name = parts[2]
	}
	return name
}

// getEffectivePolicies answers with what reaches a certificate: its own policies
// and those of the groups of its things; or with those of the groups of a thing.
// Of both, the certificate's count, as for a device that connects with it.
func (d *Dialect) getEffectivePolicies(ctx context.Context, c *call) (any, error) {
	var in struct {
		Principal string `json:"principal"`
		Pool      string `json:"cognitoIdentityPoolId"`
	}
	c.decode(&in)
	noCognito(c, in.Pool)
	thing := c.param("thingName", registryName)
	certificate := ""
	switch {
	case in.Principal != "":
		_, certificate = d.resource(c, "principal", in.Principal, muster.KindCertificate)
	case thing == "":
		c.refuse("principal: is required, or thingName")
	}
	if c.err != nil {
		return nil, c.err
	}
	found, err := d.effective(ctx, c.account, certificate, thing)
	if err != nil {
		return nil, err
	}
	type effectivePolicy struct {
		policySummary
		Document string `json:"policyDocument"`
	}
	return struct {
		Policies []effectivePolicy `json:"effectivePolicies"`
	}{each(found, func(p muster.PrincipalPolicy) effectivePolicy {
		return effectivePolicy{policySummary{p.Name, d.arn(c.account, muster.KindPolicy, p.Name)}, p.Document}
	})}, nil
}

func (d *Dialect) effective(ctx context.Context, account, certificate, thing string) ([]muster.PrincipalPolicy, error) {
	if thing != "" {
		found, err := d.store.ThingPolicies(ctx, account, thing)
		if err != nil || certificate == "" {
			return found, err
		}
	}
	p, err := d.store.Principal(ctx, account, certificate, thing)
	return p.Policies, err
}
