package awsiot

import (
	"context"
	"fmt"

	"github.com/muster-mqtt/muster"
)

func thingTypeOperations() []operation {
	return []operation{
		{"CreateThingType", post, "/thing-types/{thingTypeName}", (*Dialect).createThingType},
	}
}

func (d *Dialect) createThingType(ctx context.Context, c *call) (any, error) {
	var in struct {
		Properties struct {
			Description string   `json:"thingTypeDescription"`
			Searchable  []string `json:"searchableAttributes"`
		} `json:"thingTypeProperties"`
		Tags []muster.Tag `json:"tags"`
	}
	c.decode(&in)
	name := c.label("thingTypeName", registryName)
	c.optional("thingTypeProperties.thingTypeDescription", in.Properties.Description, description)
	for i, attribute := range in.Properties.Searchable {
		c.required(fmt.Sprintf("thingTypeProperties.searchableAttributes[%d]", i), attribute, attributeName)
	}
	c.tags(in.Tags)
	if c.err != nil {
		return nil, c.err
	}
	t, err := d.store.CreateThingType(ctx, muster.ThingType{
		Account:              c.account,
		Name:                 name,
		Description:          in.Properties.Description,
		SearchableAttributes: in.Properties.Searchable,
		Tags:                 in.Tags,
	})
	if err != nil {
		return nil, err
	}
	return struct {
		Name string `json:"thingTypeName"`
		ARN  string `json:"thingTypeArn"`
		ID   string `json:"thingTypeId"`
	}{t.Name, d.arn(t.Account, muster.KindThingType, t.Name), t.ID}, nil
}
