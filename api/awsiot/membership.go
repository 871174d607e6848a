package awsiot

import (
	"context"
	"fmt"

	"github.com/muster-mqtt/muster"
)

func (d *Dialect) addThingToThingGroup(ctx context.Context, c *call) (any, error) {
	thing, group := d.membership(c)
	if c.err != nil {
		return nil, c.err
	}
	return nil, limitInvalid("thingGroupName", d.store.AddThingToGroup(ctx, c.account, thing, group))
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

func (d *Dialect) updateThingGroupsForThing(ctx context.Context, c *call) (any, error) {
	var in struct {
		Thing  string   `json:"thingName"`
		Add    []string `json:"thingGroupsToAdd"`
		Remove []string `json:"thingGroupsToRemove"`
	}
	c.decode(&in)
	c.required("thingName", in.Thing, registryName)
	for i, name := range in.Add {
		c.required(fmt.Sprintf("thingGroupsToAdd[%d]", i), name, registryName)
	}
	for i, name := range in.Remove {
		c.required(fmt.Sprintf("thingGroupsToRemove[%d]", i), name, registryName)
	}
	if c.err != nil {
		return nil, c.err
	}
	return nil, limitInvalid("thingGroupsToAdd", d.store.MoveThing(ctx, c.account, in.Thing, in.Add, in.Remove))
}

func (d *Dialect) listThingGroupsForThing(ctx context.Context, c *call) (any, error) {
	name := c.label("thingName", registryName)
	page := c.pageOf("maxResults", "nextToken")
	if c.err != nil {
		return nil, c.err
	}
	thing, err := d.store.Thing(ctx, c.account, name)
	if err != nil {
		return nil, err
	}
	names, next := cut(thing.Groups, page)
	return d.groupList(c.account, names, next), nil
}

func (d *Dialect) listThingsInThingGroup(ctx context.Context, c *call) (any, error) {
	group := c.label("thingGroupName", registryName)
	page := c.pageOf("maxResults", "nextToken")
	recursive := c.flag("recursive")
	if c.err != nil {
		return nil, c.err
	}
	all, next, err := d.store.ListThingsInGroup(ctx, c.account, group, recursive, page)
	if err != nil {
		return nil, err
	}
	return struct {
		Things    []string `json:"things"`
		NextToken string   `json:"nextToken,omitempty"`
	}{each(all, func(t muster.Thing) string { return t.Name }), token(next)}, nil
}
