package awsiot

import (
	"context"

	"github.com/muster-mqtt/muster"
)

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

// grant reads a policy and its target: a certificate or a thing group. AWS's
// third kind, identities of Cognito, does not exist here.
func (d *Dialect) grant(c *call) (name string, kind muster.ResourceKind, id string) {
	var in struct {
		Target string `json:"target"`
	}
	c.decode(&in)
	name = c.label("policyName", policyName)
	kind, id = d.resource(c, "target", in.Target, muster.KindCertificate, muster.KindThingGroup)
	return name, kind, id
}
