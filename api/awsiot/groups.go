package awsiot

import (
	"context"

	"github.com/muster-mqtt/muster"
)

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
