package awsiot

import (
	"context"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func principalOperations() []operation {
	return []operation{
		{"AttachThingPrincipal", put, "/things/{thingName}/principals", (*Dialect).attachThingPrincipal},
		{"DetachThingPrincipal", remove, "/things/{thingName}/principals", (*Dialect).detachThingPrincipal},
		{"ListThingPrincipals", get, "/things/{thingName}/principals", (*Dialect).listThingPrincipals},
		{"ListThingPrincipalsV2", get, "/things/{thingName}/principals-v2", (*Dialect).listThingPrincipalsV2},
		{"ListPrincipalThings", get, "/principals/things", (*Dialect).listPrincipalThings},
		{"ListPrincipalThingsV2", get, "/principals/things-v2", (*Dialect).listPrincipalThingsV2},
	}
}

// The types of an attachment.
const (
	exclusiveThing    = "EXCLUSIVE_THING"
	nonExclusiveThing = "NON_EXCLUSIVE_THING" // the default
)

func attachmentType(c muster.Certificate) string {
	if c.Exclusive {
		return exclusiveThing
	}
	return nonExclusiveThing
}

func (d *Dialect) attachThingPrincipal(ctx context.Context, c *call) (any, error) {
	thing, certificate := c.label("thingName", registryName), d.principal(c)
	exclusively := c.param("thingPrincipalType", thingPrincipalType) == exclusiveThing
	if c.err != nil {
		return nil, c.err
	}
	attach := d.store.AttachThing
	if exclusively {
		attach = d.store.AttachThingExclusively
	}
	return nil, limitInvalid("principal", attach(ctx, c.account, thing, certificate))
}

func (d *Dialect) detachThingPrincipal(ctx context.Context, c *call) (any, error) {
	thing, certificate := c.label("thingName", registryName), d.principal(c)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.DetachThing(ctx, c.account, thing, certificate)
}

// principal reads a principal of things, which comes as the ARN of a certificate
// in a header. AWS's other kind, identities of Cognito, does not exist here.
func (d *Dialect) principal(c *call) (certificate string) {
	_, certificate = d.resource(c, "principal", c.header.Get("X-Amzn-Principal"), muster.KindCertificate)
	return certificate
}

func (d *Dialect) listThingPrincipals(ctx context.Context, c *call) (any, error) {
	all, next, err := d.thingCertificates(ctx, c, nil)
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

func (d *Dialect) listThingPrincipalsV2(ctx context.Context, c *call) (any, error) {
	all, next, err := d.thingCertificates(ctx, c, c.exclusive())
	if err != nil {
		return nil, err
	}
	type object struct {
		Principal string `json:"principal"`
		Type      string `json:"thingPrincipalType"`
	}
	return struct {
		Objects   []object `json:"thingPrincipalObjects"`
		NextToken string   `json:"nextToken,omitempty"`
	}{each(all, func(cert muster.Certificate) object {
		return object{d.arn(cert.Account, muster.KindCertificate, cert.ID), attachmentType(cert)}
	}), token(next)}, nil
}

func (d *Dialect) thingCertificates(ctx context.Context, c *call, exclusive *bool) ([]muster.Certificate, registry.Cursor, error) {
	thing := c.label("thingName", registryName)
	page := c.pageOf("maxResults", "nextToken")
	if c.err != nil {
		return nil, nil, c.err
	}
	return d.store.ListThingCertificates(ctx, c.account, thing, exclusive, page)
}

// exclusive reads which attachments to list; nil is all.
func (c *call) exclusive() *bool {
	sent := c.param("thingPrincipalType", thingPrincipalType)
	if sent == "" {
		return nil
	}
	exclusive := sent == exclusiveThing
	return &exclusive
}

func (d *Dialect) listPrincipalThings(ctx context.Context, c *call) (any, error) {
	_, names, next, err := d.certificateThings(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	return struct {
		Things    []string `json:"things"`
		NextToken string   `json:"nextToken,omitempty"`
	}{each(names, func(name string) string { return name }), token(next)}, nil
}

func (d *Dialect) listPrincipalThingsV2(ctx context.Context, c *call) (any, error) {
	cert, names, next, err := d.certificateThings(ctx, c, c.exclusive())
	if err != nil {
		return nil, err
	}
	type object struct {
		Thing string `json:"thingName"`
		Type  string `json:"thingPrincipalType"`
	}
	return struct {
		Objects   []object `json:"principalThingObjects"`
		NextToken string   `json:"nextToken,omitempty"`
	}{each(names, func(name string) object { return object{name, attachmentType(cert)} }), token(next)}, nil
}

// certificateThings returns a certificate and a page of the names of its things.
func (d *Dialect) certificateThings(ctx context.Context, c *call, exclusive *bool) (muster.Certificate, []string, registry.Cursor, error) {
	id := d.principal(c)
	page := c.pageOf("maxResults", "nextToken")
	if c.err != nil {
		return muster.Certificate{}, nil, nil, c.err
	}
	cert, err := d.store.Certificate(ctx, c.account, id)
	if err != nil || exclusive != nil && *exclusive != cert.Exclusive {
		return cert, nil, nil, err
	}
	names, next := cut(cert.Things, page)
	return cert, names, next, nil
}
