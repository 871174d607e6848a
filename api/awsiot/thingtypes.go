package awsiot

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func thingTypeOperations() []operation {
	return []operation{
		{"CreateThingType", post, "/thing-types/{thingTypeName}", (*Dialect).createThingType},
		{"DescribeThingType", get, "/thing-types/{thingTypeName}", (*Dialect).describeThingType},
		{"UpdateThingType", patch, "/thing-types/{thingTypeName}", (*Dialect).updateThingType},
		{"DeprecateThingType", post, "/thing-types/{thingTypeName}/deprecate", (*Dialect).deprecateThingType},
		{"DeleteThingType", remove, "/thing-types/{thingTypeName}", (*Dialect).deleteThingType},
		{"ListThingTypes", get, "/thing-types", (*Dialect).listThingTypes},
	}
}

// thingTypeProperties is AWS's structure of what a type says of itself.
type thingTypeProperties struct {
	Description *string         `json:"thingTypeDescription,omitempty"`
	Searchable  []string        `json:"searchableAttributes"`
	MQTT5       json.RawMessage `json:"mqtt5Configuration,omitempty"`
}

func (p thingTypeProperties) check(c *call) {
	if p.Description != nil {
		c.required("thingTypeProperties.thingTypeDescription", *p.Description, description)
	}
	for i, attribute := range p.Searchable {
		c.required(fmt.Sprintf("thingTypeProperties.searchableAttributes[%d]", i), attribute, attributeName)
	}
	if len(p.MQTT5) > 0 && string(p.MQTT5) != "null" {
		// It could only be ignored, and it is there to add to what devices publish.
		c.refuse("thingTypeProperties.mqtt5Configuration: is not supported, leave it out")
	}
}

func (d *Dialect) createThingType(ctx context.Context, c *call) (any, error) {
	var in struct {
		Properties thingTypeProperties `json:"thingTypeProperties"`
		Tags       []muster.Tag        `json:"tags"`
	}
	c.decode(&in)
	name := c.label("thingTypeName", registryName)
	in.Properties.check(c)
	c.tags(in.Tags)
	if c.err != nil {
		return nil, c.err
	}
	kind := muster.ThingType{Account: c.account, Name: name, SearchableAttributes: in.Properties.Searchable, Tags: in.Tags}
	if in.Properties.Description != nil {
		kind.Description = *in.Properties.Description
	}
	t, err := d.store.CreateThingType(ctx, kind)
	if err != nil {
		return nil, err
	}
	return struct {
		Name string `json:"thingTypeName"`
		ARN  string `json:"thingTypeArn"`
		ID   string `json:"thingTypeId"`
	}{t.Name, d.arn(t.Account, muster.KindThingType, t.Name), t.ID}, nil
}

// thingTypeDescription is what lists tell of a type. To describe it tells the ID
// besides.
type thingTypeDescription struct {
	Name       string              `json:"thingTypeName"`
	ID         string              `json:"thingTypeId,omitempty"`
	ARN        string              `json:"thingTypeArn"`
	Properties thingTypeProperties `json:"thingTypeProperties"`
	Metadata   struct {
		Deprecated   bool   `json:"deprecated"`
		DeprecatedAt *epoch `json:"deprecationDate,omitempty"`
		Created      epoch  `json:"creationDate"`
	} `json:"thingTypeMetadata"`
}

func (d *Dialect) thingType(t muster.ThingType) thingTypeDescription {
	out := thingTypeDescription{Name: t.Name, ARN: d.arn(t.Account, muster.KindThingType, t.Name)}
	if out.Properties.Searchable = t.SearchableAttributes; t.SearchableAttributes == nil {
		out.Properties.Searchable = []string{}
	}
	if t.Description != "" {
		out.Properties.Description = &t.Description
	}
	if !t.Deprecated.IsZero() {
		at := epoch(t.Deprecated)
		out.Metadata.Deprecated, out.Metadata.DeprecatedAt = true, &at
	}
	out.Metadata.Created = epoch(t.Created)
	return out
}

func (d *Dialect) describeThingType(ctx context.Context, c *call) (any, error) {
	name := c.label("thingTypeName", registryName)
	if c.err != nil {
		return nil, c.err
	}
	t, err := d.store.ThingType(ctx, c.account, name)
	if err != nil {
		return nil, err
	}
	out := d.thingType(t)
	out.ID = t.ID
	return out, nil
}

func (d *Dialect) updateThingType(ctx context.Context, c *call) (any, error) {
	var in struct {
		Properties thingTypeProperties `json:"thingTypeProperties"`
	}
	c.decode(&in)
	name := c.label("thingTypeName", registryName)
	in.Properties.check(c)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.UpdateThingType(ctx, c.account, name, registry.ThingTypeUpdate{
		Description: in.Properties.Description, SearchableAttributes: in.Properties.Searchable,
	})
}

func (d *Dialect) deprecateThingType(ctx context.Context, c *call) (any, error) {
	var in struct {
		Undo bool `json:"undoDeprecate"`
	}
	c.decode(&in)
	name := c.label("thingTypeName", registryName)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.DeprecateThingType(ctx, c.account, name, in.Undo)
}

func (d *Dialect) deleteThingType(ctx context.Context, c *call) (any, error) {
	name := c.label("thingTypeName", registryName)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.DeleteThingType(ctx, c.account, name)
}

func (d *Dialect) listThingTypes(ctx context.Context, c *call) (any, error) {
	page := c.pageOf("maxResults", "nextToken")
	name := c.param("thingTypeName", registryName)
	if c.err != nil {
		return nil, c.err
	}
	all, next, err := d.store.ListThingTypes(ctx, c.account, name, page)
	if err != nil {
		return nil, err
	}
	return struct {
		Types     []thingTypeDescription `json:"thingTypes"`
		NextToken string                 `json:"nextToken,omitempty"`
	}{each(all, d.thingType), token(next)}, nil
}
