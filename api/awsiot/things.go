package awsiot

import (
	"context"
	"errors"
	"strconv"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func thingOperations() []operation {
	return []operation{
		{"CreateThing", post, "/things/{thingName}", (*Dialect).createThing},
		{"DescribeThing", get, "/things/{thingName}", (*Dialect).describeThing},
		{"UpdateThing", patch, "/things/{thingName}", (*Dialect).updateThing},
		{"DeleteThing", remove, "/things/{thingName}", (*Dialect).deleteThing},
		{"ListThings", get, "/things", (*Dialect).listThings},
	}
}

func (d *Dialect) createThing(ctx context.Context, c *call) (any, error) {
	var in struct {
		Type    string           `json:"thingTypeName"`
		Billing string           `json:"billingGroupName"`
		Payload attributePayload `json:"attributePayload"`
	}
	c.decode(&in)
	name := c.label("thingName", registryName)
	c.optional("thingTypeName", in.Type, registryName)
	c.optional("billingGroupName", in.Billing, registryName)
	c.attributes("attributePayload.attributes", in.Payload.Attributes)
	if c.err != nil {
		return nil, c.err
	}
	t, err := d.store.CreateThing(ctx, muster.Thing{
		Account:    c.account,
		Name:       name,
		Type:       in.Type,
		Attributes: in.Payload.Attributes,
		Billing:    in.Billing,
	})
	if err != nil {
		return nil, err
	}
	return struct {
		Name string `json:"thingName"`
		ARN  string `json:"thingArn"`
		ID   string `json:"thingId"`
	}{t.Name, d.arn(t.Account, muster.KindThing, t.Name), t.ID}, nil
}

// updateThing: a member that is absent stays as it is, and attributes whose value is
// empty are removed, merged or not.
func (d *Dialect) updateThing(ctx context.Context, c *call) (any, error) {
	var in struct {
		Type     *string          `json:"thingTypeName"`
		Payload  attributePayload `json:"attributePayload"`
		Expected *int             `json:"expectedVersion"`
		Untyped  bool             `json:"removeThingType"`
	}
	c.decode(&in)
	name := c.label("thingName", registryName)
	if in.Type != nil {
		c.required("thingTypeName", *in.Type, registryName)
	}
	if in.Untyped {
		if in.Type != nil {
			c.refuse("removeThingType: excludes thingTypeName")
		}
		in.Type = new(string)
	}
	c.attributes("attributePayload.attributes", in.Payload.Attributes)
	if c.err != nil {
		return nil, c.err
	}
	_, err := d.store.UpdateThing(ctx, c.account, name, registry.ThingUpdate{
		Type: in.Type, Attributes: in.Payload.Attributes, Merge: in.Payload.Merge, Expected: in.Expected,
	})
	return nil, err
}

// attributePayload is how attributes come. Merge counts in updates alone.
type attributePayload struct {
	Attributes map[string]string `json:"attributes"`
	Merge      bool              `json:"merge,omitempty"`
}

// deleteThing has done its work if there is no such thing, as AWS has it.
func (d *Dialect) deleteThing(ctx context.Context, c *call) (any, error) {
	name := c.label("thingName", registryName)
	expected := c.expectedVersion()
	if c.err != nil {
		return nil, c.err
	}
	return nil, unlessGone(d.store.DeleteThing(ctx, c.account, name, expected))
}

func unlessGone(err error) error {
	if errors.Is(err, muster.ErrNotFound) {
		return nil
	}
	return err
}

// expectedVersion reads the version that what is deleted must have; nil is any.
func (c *call) expectedVersion() *int {
	if !c.query.Has("expectedVersion") {
		return nil
	}
	n, err := strconv.Atoi(c.query.Get("expectedVersion"))
	if err != nil {
		c.refuse("expectedVersion: must be a number")
	}
	return &n
}

func (d *Dialect) describeThing(ctx context.Context, c *call) (any, error) {
	name := c.label("thingName", registryName)
	if c.err != nil {
		return nil, c.err
	}
	t, err := d.store.Thing(ctx, c.account, name)
	if err != nil {
		return nil, err
	}
	return struct {
		ClientID   string            `json:"defaultClientId"`
		Name       string            `json:"thingName"`
		ID         string            `json:"thingId"`
		ARN        string            `json:"thingArn"`
		Type       string            `json:"thingTypeName,omitempty"`
		Attributes map[string]string `json:"attributes"`
		Version    int               `json:"version"`
		Billing    string            `json:"billingGroupName,omitempty"`
	}{
		t.Name, t.Name, t.ID, d.arn(t.Account, muster.KindThing, t.Name),
		t.Type, present(t.Attributes), t.Revision, t.Billing,
	}, nil
}

type thingSummary struct {
	Name       string            `json:"thingName"`
	Type       string            `json:"thingTypeName,omitempty"`
	ARN        string            `json:"thingArn"`
	Attributes map[string]string `json:"attributes"`
	Version    int               `json:"version"`
}

func (d *Dialect) listThings(ctx context.Context, c *call) (any, error) {
	page := c.pageOf("maxResults", "nextToken")
	filter := registry.ThingFilter{
		Type:      c.param("thingTypeName", registryName),
		Attribute: c.param("attributeName", attributeName),
		Value:     c.param("attributeValue", attributeValue),
		Prefix:    c.flag("usePrefixAttributeValue"),
	}
	if filter.Value != "" && filter.Attribute == "" {
		c.refuse("attributeValue: needs attributeName")
	}
	if c.err != nil {
		return nil, c.err
	}
	all, next, err := d.store.ListThings(ctx, c.account, filter, page)
	if err != nil {
		return nil, err
	}
	return struct {
		Things    []thingSummary `json:"things"`
		NextToken string         `json:"nextToken,omitempty"`
	}{each(all, func(t muster.Thing) thingSummary {
		return thingSummary{t.Name, t.Type, d.arn(t.Account, muster.KindThing, t.Name), present(t.Attributes), t.Revision}
	}), token(next)}, nil
}

// present makes {} of no attributes; null is none to some SDKs.
func present(attributes map[string]string) map[string]string {
	if attributes == nil {
		return map[string]string{}
	}
	return attributes
}
