package awsiot

import (
	"context"

	"github.com/muster-mqtt/muster"
)

func groupOperations() []operation {
	return []operation{
		{"CreateThingGroup", post, "/thing-groups/{thingGroupName}", (*Dialect).createThingGroup},
		{"AddThingToThingGroup", put, "/thing-groups/addThingToThingGroup", (*Dialect).addThingToThingGroup},
		{"RemoveThingFromThingGroup", put, "/thing-groups/removeThingFromThingGroup", (*Dialect).removeThingFromThingGroup},
	}
}

func (d *Dialect) createThingGroup(ctx context.Context, c *call) (any, error) {
	var in struct {
		Parent     string `json:"parentGroupName"`
		Properties struct {
			Description string `json:"thingGroupDescription"`
			Payload     struct {
				Attributes map[string]string `json:"attributes"`
			} `json:"attributePayload"`
		} `json:"thingGroupProperties"`
		Tags []muster.Tag `json:"tags"`
	}
	c.decode(&in)
	name := c.label("thingGroupName", registryName)
	c.optional("parentGroupName", in.Parent, registryName)
	c.optional("thingGroupProperties.thingGroupDescription", in.Properties.Description, description)
	c.attributes("thingGroupProperties.attributePayload.attributes", in.Properties.Payload.Attributes)
	c.tags(in.Tags)
	if c.err != nil {
		return nil, c.err
	}
	g, err := d.store.CreateThingGroup(ctx, muster.ThingGroup{
		Account:     c.account,
		Name:        name,
		Parent:      in.Parent,
		Description: in.Properties.Description,
		Attributes:  in.Properties.Payload.Attributes,
		Tags:        in.Tags,
	})
	if err != nil {
		return nil, err
	}
	return struct {
		Name string `json:"thingGroupName"`
		ARN  string `json:"thingGroupArn"`
		ID   string `json:"thingGroupId"`
	}{g.Name, d.arn(g.Account, muster.KindThingGroup, g.Name), g.ID}, nil
}

func (d *Dialect) addThingToThingGroup(ctx context.Context, c *call) (any, error) {
	thing, group := d.membership(c)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.AddThingToGroup(ctx, c.account, thing, group)
}

func (d *Dialect) removeThingFromThingGroup(ctx context.Context, c *call) (any, error) {
	thing, group := d.membership(c)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.RemoveThingFromGroup(ctx, c.account, thing, group)
}

// membership reads a thing and a group, each by its name or its ARN. Dynamic
// groups do not exist here, so overrideDynamicGroups changes nothing.
func (d *Dialect) membership(c *call) (thing, group string) {
	var in struct {
		Thing    string `json:"thingName"`
		ThingARN string `json:"thingArn"`
		Group    string `json:"thingGroupName"`
		GroupARN string `json:"thingGroupArn"`
	}
	c.decode(&in)
	thing = d.named(c, "thing", in.Thing, in.ThingARN, muster.KindThing)
	group = d.named(c, "thingGroup", in.Group, in.GroupARN, muster.KindThingGroup)
	return thing, group
}

// named reads a resource that comes by name, by ARN, or by both, which must
// agree then.
func (d *Dialect) named(c *call, member, name, arn string, kind muster.ResourceKind) string {
	if arn == "" {
		c.required(member+"Name", name, registryName)
		return name
	}
	_, id := d.resource(c, member+"Arn", arn, kind)
	if name != "" && name != id {
		c.refuse("%sName: is not the name in %[1]sArn", member)
	}
	return id
}
