package awsiot

import (
	"context"
	"errors"

	"github.com/muster-mqtt/muster"
)

func (d *Dialect) attachPolicy(ctx context.Context, c *call) (any, error) {
	name, kind, id := d.grant(c)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.AttachPolicy(ctx, c.account, name, kind, id)
}

// detachPolicy answers InvalidRequestException where anything is not found:
// AWS's model has nothing else for it. By the words "Invalid Target" in it
// Terraform knows that nothing is left to detach.
func (d *Dialect) detachPolicy(ctx context.Context, c *call) (any, error) {
	name, kind, id := d.grant(c)
	if c.err == nil {
		c.err = d.store.DetachPolicy(ctx, c.account, name, kind, id)
	}
	var f *fault
	switch {
	case errors.Is(c.err, muster.ErrNotFound):
		return nil, invalidRequest("Invalid Target or policy: %s", c.err)
	case errors.As(c.err, &f) && f.code == "ResourceNotFoundException":
		return nil, invalidRequest("Invalid Target: %s", f.message)
	}
	return nil, c.err
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

func (d *Dialect) listTargetsForPolicy(ctx context.Context, c *call) (any, error) {
	name := c.label("policyName", policyName)
	page := c.pageOf("pageSize", "marker")
	if c.err != nil {
		return nil, c.err
	}
	all, next, err := d.store.PolicyTargets(ctx, c.account, name, page)
	if err != nil {
		return nil, err
	}
	return struct {
		Targets    []string `json:"targets"`
		NextMarker string   `json:"nextMarker,omitempty"`
	}{each(all, func(k muster.ResourceKey) string { return d.arn(c.account, k.Kind, k.ID) }), token(next)}, nil
}

// The operations that AWS had before thing groups could have policies. They know
// certificates alone, and take them as a header.

func (d *Dialect) attachPrincipalPolicy(ctx context.Context, c *call) (any, error) {
	name, id := c.label("policyName", policyName), d.policyPrincipal(c)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.AttachPolicy(ctx, c.account, name, muster.KindCertificate, id)
}

func (d *Dialect) detachPrincipalPolicy(ctx context.Context, c *call) (any, error) {
	name, id := c.label("policyName", policyName), d.policyPrincipal(c)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.DetachPolicy(ctx, c.account, name, muster.KindCertificate, id)
}

func (d *Dialect) policyPrincipal(c *call) (certificate string) {
	_, certificate = d.resource(c, "principal", c.header.Get("X-Amzn-Iot-Principal"), muster.KindCertificate)
	return certificate
}

func (d *Dialect) listPrincipalPolicies(ctx context.Context, c *call) (any, error) {
	id := d.policyPrincipal(c)
	page := c.pageByName()
	if c.err != nil {
		return nil, c.err
	}
	names, err := d.store.AttachedPolicies(ctx, c.account, muster.KindCertificate, id, false)
	if err != nil {
		return nil, err
	}
	names, next := cut(names, page)
	return d.policyList(c.account, names, next), nil
}

func (d *Dialect) listPolicyPrincipals(ctx context.Context, c *call) (any, error) {
	name := c.header.Get("X-Amzn-Iot-Policy")
	c.required("policyName", name, policyName)
	page := c.pageByName()
	if c.err != nil {
		return nil, c.err
	}
	ids, next, err := d.store.PolicyCertificates(ctx, c.account, name, page)
	if err != nil {
		return nil, err
	}
	return struct {
		Principals []string `json:"principals"`
		NextMarker string   `json:"nextMarker,omitempty"`
	}{each(ids, func(id string) string { return d.arn(c.account, muster.KindCertificate, id) }), token(next)}, nil
}
