package awsiot

import (
	"context"

	"github.com/muster-mqtt/muster"
)

func (d *Dialect) createPolicyVersion(ctx context.Context, c *call) (any, error) {
	var in struct {
		Document string `json:"policyDocument"`
	}
	c.decode(&in)
	name := c.label("policyName", policyName)
	c.required("policyDocument", in.Document, policyDocument)
	setDefault := c.flag("setAsDefault")
	if c.err != nil {
		return nil, c.err
	}
	v, err := d.store.CreatePolicyVersion(ctx, c.account, name, in.Document, setDefault)
	if err != nil {
		return nil, err
	}
	return struct {
		ARN       string `json:"policyArn"`
		Document  string `json:"policyDocument"`
		Version   string `json:"policyVersionId"`
		IsDefault bool   `json:"isDefaultVersion"`
	}{d.arn(c.account, muster.KindPolicy, name), v.Document, v.ID, setDefault}, nil
}

// getPolicyVersion tells one and the same time as creation and last change: the
// text of a version stays as it is.
func (d *Dialect) getPolicyVersion(ctx context.Context, c *call) (any, error) {
	name, id := policyVersion(c)
	if c.err != nil {
		return nil, c.err
	}
	v, p, err := d.store.PolicyVersion(ctx, c.account, name, id)
	if err != nil {
		return nil, err
	}
	return struct {
		ARN        string `json:"policyArn"`
		Name       string `json:"policyName"`
		Document   string `json:"policyDocument"`
		Version    string `json:"policyVersionId"`
		IsDefault  bool   `json:"isDefaultVersion"`
		Created    epoch  `json:"creationDate"`
		Modified   epoch  `json:"lastModifiedDate"`
		Generation string `json:"generationId"`
	}{
		d.arn(c.account, muster.KindPolicy, name), name, v.Document, v.ID, v.ID == p.Default,
		epoch(v.Created), epoch(v.Created), p.Generation,
	}, nil
}

func (d *Dialect) deletePolicyVersion(ctx context.Context, c *call) (any, error) {
	name, id := policyVersion(c)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.DeletePolicyVersion(ctx, c.account, name, id)
}

func (d *Dialect) setDefaultPolicyVersion(ctx context.Context, c *call) (any, error) {
	name, id := policyVersion(c)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.SetDefaultPolicyVersion(ctx, c.account, name, id)
}

// policyVersion reads the labels of a version. Unlike those of templates, its ID
// is a string.
func policyVersion(c *call) (name, id string) {
	return c.label("policyName", policyName), c.label("policyVersionId", policyVersionID)
}

// listPolicyVersions begins with the newest. The creation date has another name
// here than everywhere else in AWS's model.
func (d *Dialect) listPolicyVersions(ctx context.Context, c *call) (any, error) {
	name := c.label("policyName", policyName)
	if c.err != nil {
		return nil, c.err
	}
	p, err := d.store.Policy(ctx, c.account, name)
	if err != nil {
		return nil, err
	}
	type version struct {
		ID        string `json:"versionId"`
		IsDefault bool   `json:"isDefaultVersion"`
		Created   epoch  `json:"createDate"`
	}
	versions := make([]version, 0, len(p.Versions))
	for i := len(p.Versions) - 1; i >= 0; i-- {
		v := p.Versions[i]
		versions = append(versions, version{v.ID, v.ID == p.Default, epoch(v.Created)})
	}
	return struct {
		Versions []version `json:"policyVersions"`
	}{versions}, nil
}
