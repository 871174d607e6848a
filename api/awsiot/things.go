package awsiot

import (
	"context"
	"strings"

	"github.com/muster-mqtt/muster"
)

func thingOperations() []operation {
	return []operation{
		{"CreateThing", post, "/things/{thingName}", (*Dialect).createThing},
		{"DescribeThing", get, "/things/{thingName}", (*Dialect).describeThing},
		{"DeleteThing", remove, "/things/{thingName}", (*Dialect).deleteThing},
		{"ListThings", get, "/things", (*Dialect).listThings},
	}
}

func (d *Dialect) createThing(ctx context.Context, c *call) (any, error) {
	var in struct {
		Type    string `json:"thingTypeName"`
		Billing string `json:"billingGroupName"`
		Payload struct {
			Attributes map[string]string `json:"attributes"`
		} `json:"attributePayload"`
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

func (d *Dialect) deleteThing(ctx context.Context, c *call) (any, error) {
	name := c.label("thingName", registryName)
	if c.query.Has("expectedVersion") {
		// It could only be ignored, and it is there to deny.
		c.refuse("expectedVersion: is not supported, leave it out")
	}
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.DeleteThing(ctx, c.account, name)
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

// thingFilter is what ListThings may ask for; an empty field asks for nothing.
type thingFilter struct {
	kind, attribute, value string
	prefix                 bool // value is the beginning of the attribute's
}

func (f thingFilter) matches(t muster.Thing) bool {
	if f.kind != "" && t.Type != f.kind {
		return false
	}
	if f.attribute == "" {
		return true
	}
	value, ok := t.Attributes[f.attribute]
	if f.prefix {
		return ok && strings.HasPrefix(value, f.value)
	}
	return ok && (f.value == "" || value == f.value)
}

// listThings filters each page after it was read: a page may come out shorter
// than it was asked for, or empty, with more to follow, as AWS's pages may.
func (d *Dialect) listThings(ctx context.Context, c *call) (any, error) {
	page := c.pageOf("maxResults", "nextToken")
	filter := thingFilter{
		kind:      c.param("thingTypeName", registryName),
		attribute: c.param("attributeName", attributeName),
		value:     c.param("attributeValue", attributeValue),
		prefix:    c.flag("usePrefixAttributeValue"),
	}
	if filter.value != "" && filter.attribute == "" {
		c.refuse("attributeValue: needs attributeName")
	}
	if c.err != nil {
		return nil, c.err
	}
	all, next, err := d.store.ListThings(ctx, c.account, page)
	if err != nil {
		return nil, err
	}
	things := make([]thingSummary, 0, len(all))
	for _, t := range all {
		if filter.matches(t) {
			arn := d.arn(t.Account, muster.KindThing, t.Name)
			things = append(things, thingSummary{t.Name, t.Type, arn, present(t.Attributes), t.Revision})
		}
	}
	return struct {
		Things    []thingSummary `json:"things"`
		NextToken string         `json:"nextToken,omitempty"`
	}{things, token(next)}, nil
}

// present makes {} of no attributes; null is none to some SDKs.
func present(attributes map[string]string) map[string]string {
	if attributes == nil {
		return map[string]string{}
	}
	return attributes
}
