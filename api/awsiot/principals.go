package awsiot

import (
	"context"

	"github.com/muster-mqtt/muster"
)

func principalOperations() []operation {
	return []operation{
		{"AttachThingPrincipal", put, "/things/{thingName}/principals", (*Dialect).attachThingPrincipal},
		{"DetachThingPrincipal", remove, "/things/{thingName}/principals", (*Dialect).detachThingPrincipal},
		{"ListThingPrincipals", get, "/things/{thingName}/principals", (*Dialect).listThingPrincipals},
	}
}

func (d *Dialect) attachThingPrincipal(ctx context.Context, c *call) (any, error) {
	thing, certificate := d.attachment(c)
	if c.param("thingPrincipalType", thingPrincipalType) == "EXCLUSIVE_THING" {
		// It could only be ignored, and it is there to keep other things away.
		c.refuse("thingPrincipalType: EXCLUSIVE_THING is not supported, use NON_EXCLUSIVE_THING")
	}
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.AttachThing(ctx, c.account, thing, certificate)
}

func (d *Dialect) detachThingPrincipal(ctx context.Context, c *call) (any, error) {
	thing, certificate := d.attachment(c)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.DetachThing(ctx, c.account, thing, certificate)
}

// attachment reads a thing and its principal, which comes as the ARN of a
// certificate in a header. AWS's other kind, identities of Cognito, does not
// exist here.
func (d *Dialect) attachment(c *call) (thing, certificate string) {
	thing = c.label("thingName", registryName)
	_, certificate = d.resource(c, "principal", c.header.Get("X-Amzn-Principal"), muster.KindCertificate)
	return thing, certificate
}

func (d *Dialect) listThingPrincipals(ctx context.Context, c *call) (any, error) {
	thing := c.label("thingName", registryName)
	page := c.pageOf("maxResults", "nextToken")
	if c.err != nil {
		return nil, c.err
	}
	all, next, err := d.store.ListThingCertificates(ctx, c.account, thing, page)
	if err != nil {
		return nil, err
	}
	return struct {
		Principals []string `json:"principals"`
		NextToken  string   `json:"nextToken,omitempty"`
	}{each(all, func(cert muster.Certificate) string {
		return d.arn(cert.Account, muster.KindCertificate, cert.ID)
	}), token(next)}, nil
}
