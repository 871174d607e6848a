package awsiot

import (
	"context"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func policyOperations() []operation {
	return []operation{
		{"CreatePolicy", post, "/policies/{policyName}", (*Dialect).createPolicy},
		{"GetPolicy", get, "/policies/{policyName}", (*Dialect).getPolicy},
		{"DeletePolicy", remove, "/policies/{policyName}", (*Dialect).deletePolicy},
		{"ListPolicies", get, "/policies", (*Dialect).listPolicies},
		{"CreatePolicyVersion", post, "/policies/{policyName}/version", (*Dialect).createPolicyVersion},
		{"GetPolicyVersion", get, "/policies/{policyName}/version/{policyVersionId}", (*Dialect).getPolicyVersion},
		{"DeletePolicyVersion", remove, "/policies/{policyName}/version/{policyVersionId}", (*Dialect).deletePolicyVersion},
		{"SetDefaultPolicyVersion", patch, "/policies/{policyName}/version/{policyVersionId}", (*Dialect).setDefaultPolicyVersion},
		{"ListPolicyVersions", get, "/policies/{policyName}/version", (*Dialect).listPolicyVersions},
		{"AttachPolicy", put, "/target-policies/{policyName}", (*Dialect).attachPolicy},
		{"DetachPolicy", post, "/target-policies/{policyName}", (*Dialect).detachPolicy},
		{"ListAttachedPolicies", post, "/attached-policies/{target...}", (*Dialect).listAttachedPolicies},
		{"ListTargetsForPolicy", post, "/policy-targets/{policyName}", (*Dialect).listTargetsForPolicy},
		{"AttachPrincipalPolicy", put, "/principal-policies/{policyName}", (*Dialect).attachPrincipalPolicy},
		{"DetachPrincipalPolicy", remove, "/principal-policies/{policyName}", (*Dialect).detachPrincipalPolicy},
		{"ListPrincipalPolicies", get, "/principal-policies", (*Dialect).listPrincipalPolicies},
		{"ListPolicyPrincipals", get, "/policy-principals", (*Dialect).listPolicyPrincipals},
	}
}

func (d *Dialect) createPolicy(ctx context.Context, c *call) (any, error) {
	var in struct {
		Document string       `json:"policyDocument"`
		Tags     []muster.Tag `json:"tags"`
	}
	c.decode(&in)
	name := c.label("policyName", policyName)
	c.required("policyDocument", in.Document, policyDocument)
	c.tags(in.Tags)
	if c.err != nil {
		return nil, c.err
	}
	p, err := d.store.CreatePolicy(ctx, c.account, name, in.Document, in.Tags)
	if err != nil {
		return nil, err
	}
	return struct {
		Name     string `json:"policyName"`
		ARN      string `json:"policyArn"`
		Document string `json:"policyDocument"`
		Version  string `json:"policyVersionId"`
	}{p.Name, d.arn(p.Account, muster.KindPolicy, p.Name), p.Document(), p.Default}, nil
}

func (d *Dialect) getPolicy(ctx context.Context, c *call) (any, error) {
	name := c.label("policyName", policyName)
	if c.err != nil {
		return nil, c.err
	}
	p, err := d.store.Policy(ctx, c.account, name)
	if err != nil {
		return nil, err
	}
	return struct {
		Name       string `json:"policyName"`
		ARN        string `json:"policyArn"`
		Document   string `json:"policyDocument"`
		Default    string `json:"defaultVersionId"`
		Created    epoch  `json:"creationDate"`
		Modified   epoch  `json:"lastModifiedDate"`
		Generation string `json:"generationId"`
	}{
		p.Name, d.arn(p.Account, muster.KindPolicy, p.Name), p.Document(), p.Default,
		epoch(p.Created), epoch(p.Modified), p.Generation,
	}, nil
}

func (d *Dialect) deletePolicy(ctx context.Context, c *call) (any, error) {
	name := c.label("policyName", policyName)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.DeletePolicy(ctx, c.account, name)
}

func (d *Dialect) listPolicies(ctx context.Context, c *call) (any, error) {
	page := c.pageByName()
	if c.err != nil {
		return nil, c.err
	}
	all, next, err := d.store.ListPolicies(ctx, c.account, page)
	if err != nil {
		return nil, err
	}
	return d.policyList(c.account, each(all, func(p muster.Policy) string { return p.Name }), next), nil
}

type policySummary struct {
	Name string `json:"policyName"`
	ARN  string `json:"policyArn"`
}

func (d *Dialect) policyList(account string, names []string, next registry.Cursor) any {
	return struct {
		Policies   []policySummary `json:"policies"`
		NextMarker string          `json:"nextMarker,omitempty"`
	}{each(names, func(name string) policySummary {
		return policySummary{name, d.arn(account, muster.KindPolicy, name)}
	}), token(next)}
}
