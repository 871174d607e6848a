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
		{"AttachPolicy", put, "/target-policies/{policyName}", (*Dialect).attachPolicy},
		{"DetachPolicy", post, "/target-policies/{policyName}", (*Dialect).detachPolicy},
		{"ListAttachedPolicies", post, "/attached-policies/{target...}", (*Dialect).listAttachedPolicies},
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

func (d *Dialect) attachPolicy(ctx context.Context, c *call) (any, error) {
	name, kind, id := d.grant(c)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.AttachPolicy(ctx, c.account, name, kind, id)
}

func (d *Dialect) detachPolicy(ctx context.Context, c *call) (any, error) {
	name, kind, id := d.grant(c)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.DetachPolicy(ctx, c.account, name, kind, id)
}

// listAttachedPolicies takes recursive to mean all that the target inherits: a
// group from its parents, a certificate from the groups of its things.
func (d *Dialect) listAttachedPolicies(ctx context.Context, c *call) (any, error) {
	kind, id := d.target(c, c.labels["target"])
	recursive := c.flag("recursive")
	page := c.pageOf("pageSize", "marker")
	if c.err != nil {
		return nil, c.err
	}
	names, err := d.store.AttachedPolicies(ctx, c.account, kind, id, recursive)
	if err != nil {
		return nil, err
	}
	names, next := cut(names, page)
	return d.policyList(c.account, names, next), nil
}

// grant reads a policy and its target.
func (d *Dialect) grant(c *call) (name string, kind muster.ResourceKind, id string) {
	var in struct {
		Target string `json:"target"`
	}
	c.decode(&in)
	name = c.label("policyName", policyName)
	kind, id = d.target(c, in.Target)
	return name, kind, id
}

// target reads what policies are attached to: a certificate or a thing group.
// AWS's third kind, identities of Cognito, does not exist here.
func (d *Dialect) target(c *call, arn string) (muster.ResourceKind, string) {
	return d.resource(c, "target", arn, muster.KindCertificate, muster.KindThingGroup)
}
