package awsiot

import (
	"context"
	"errors"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func groupOperations() []operation {
	return []operation{
		{"CreateThingGroup", post, "/thing-groups/{thingGroupName}", (*Dialect).createThingGroup},
		{"DescribeThingGroup", get, "/thing-groups/{thingGroupName}", (*Dialect).describeThingGroup},
		{"UpdateThingGroup", patch, "/thing-groups/{thingGroupName}", (*Dialect).updateThingGroup},
		{"DeleteThingGroup", remove, "/thing-groups/{thingGroupName}", (*Dialect).deleteThingGroup},
		{"ListThingGroups", get, "/thing-groups", (*Dialect).listThingGroups},
		{"AddThingToThingGroup", put, "/thing-groups/addThingToThingGroup", (*Dialect).addThingToThingGroup},
		{"RemoveThingFromThingGroup", put, "/thing-groups/removeThingFromThingGroup", (*Dialect).removeThingFromThingGroup},
		{"UpdateThingGroupsForThing", put, "/thing-groups/updateThingGroupsForThing", (*Dialect).updateThingGroupsForThing},
		{"ListThingGroupsForThing", get, "/things/{thingName}/thing-groups", (*Dialect).listThingGroupsForThing},
		{"ListThingsInThingGroup", get, "/thing-groups/{thingGroupName}/things", (*Dialect).listThingsInThingGroup},
	}
}

// thingGroupProperties is AWS's structure of what a group says of itself. What is
// empty is absent in answers: Terraform takes its presence for a difference.
type thingGroupProperties struct {
	Description *string           `json:"thingGroupDescription,omitempty"`
	Payload     *attributePayload `json:"attributePayload,omitempty"`
}

func (p *thingGroupProperties) check(c *call) {
	if p.Description != nil {
		c.required("thingGroupProperties.thingGroupDescription", *p.Description, description)
	}
	if p.Payload == nil {
		p.Payload = &attributePayload{}
	}
	c.attributes("thingGroupProperties.attributePayload.attributes", p.Payload.Attributes)
}

func (d *Dialect) createThingGroup(ctx context.Context, c *call) (any, error) {
	var in struct {
		Parent     string               `json:"parentGroupName"`
		Properties thingGroupProperties `json:"thingGroupProperties"`
		Tags       []muster.Tag         `json:"tags"`
	}
	c.decode(&in)
	name := c.label("thingGroupName", registryName)
	c.optional("parentGroupName", in.Parent, registryName)
	in.Properties.check(c)
	c.tags(in.Tags)
	if c.err != nil {
		return nil, c.err
	}
	group := muster.ThingGroup{
		Account: c.account, Name: name, Parent: in.Parent, Attributes: in.Properties.Payload.Attributes, Tags: in.Tags,
	}
	if in.Properties.Description != nil {
		group.Description = *in.Properties.Description
	}
	g, err := d.store.CreateThingGroup(ctx, group)
	if err != nil {
		if errors.Is(err, muster.ErrNotFound) { // the model has no other error for it
			err = invalidRequest("parentGroupName: %v", err)
		}
		return nil, limitInvalid("parentGroupName", err)
	}
	return struct {
		Name string `json:"thingGroupName"`
		ARN  string `json:"thingGroupArn"`
		ID   string `json:"thingGroupId"`
	}{g.Name, d.arn(g.Account, muster.KindThingGroup, g.Name), g.ID}, nil
}

// limitInvalid is for operations that have no error in AWS's model for what is too
// many, and blame a member for it.
func limitInvalid(member string, err error) error {
	if errors.Is(err, muster.ErrLimit) {
		return invalidRequest("%s: %v", member, err)
	}
	return err
}

// namedGroup is a group in lists.
type namedGroup struct {
	Name string `json:"groupName"`
	ARN  string `json:"groupArn"`
}

func (d *Dialect) namedGroups(account string, names []string) []namedGroup {
	return each(names, func(name string) namedGroup {
		return namedGroup{name, d.arn(account, muster.KindThingGroup, name)}
	})
}

// thingGroupMetadata tells where a group stands and since when.
type thingGroupMetadata struct {
	Parent    string       `json:"parentGroupName,omitempty"`
	Ancestors []namedGroup `json:"rootToParentThingGroups,omitempty"`
	Created   epoch        `json:"creationDate"`
}

func (d *Dialect) describeThingGroup(ctx context.Context, c *call) (any, error) {
	name := c.label("thingGroupName", registryName)
	if c.err != nil {
		return nil, c.err
	}
	g, err := d.store.ThingGroup(ctx, c.account, name)
	if err != nil {
		return nil, err
	}
	var properties thingGroupProperties
	if g.Description != "" {
		properties.Description = &g.Description
	}
	if len(g.Attributes) > 0 {
		properties.Payload = &attributePayload{Attributes: g.Attributes}
	}
	return struct {
		Name       string               `json:"thingGroupName"`
		ID         string               `json:"thingGroupId"`
		ARN        string               `json:"thingGroupArn"`
		Version    int                  `json:"version"`
		Properties thingGroupProperties `json:"thingGroupProperties"`
		Metadata   thingGroupMetadata   `json:"thingGroupMetadata"`
	}{
		g.Name, g.ID, d.arn(g.Account, muster.KindThingGroup, g.Name), g.Revision, properties,
		thingGroupMetadata{g.Parent, d.namedGroups(g.Account, g.Ancestors), epoch(g.Created)},
	}, nil
}

func (d *Dialect) updateThingGroup(ctx context.Context, c *call) (any, error) {
	var in struct {
		Properties *thingGroupProperties `json:"thingGroupProperties"`
		Expected   *int                  `json:"expectedVersion"`
	}
	c.decode(&in)
	name := c.label("thingGroupName", registryName)
	if in.Properties == nil {
		c.refuse("thingGroupProperties: is required")
	} else {
		in.Properties.check(c)
	}
	if c.err != nil {
		return nil, c.err
	}
	payload := in.Properties.Payload
	g, err := d.store.UpdateThingGroup(ctx, c.account, name, registry.GroupUpdate{
		Description: in.Properties.Description, Attributes: payload.Attributes, Merge: payload.Merge, Expected: in.Expected,
	})
	if err != nil {
		return nil, err
	}
	return struct {
		Version int `json:"version"`
	}{g.Revision}, nil
}

// deleteThingGroup has done its work if there is no such group: AWS's model has no
// error that would say so.
func (d *Dialect) deleteThingGroup(ctx context.Context, c *call) (any, error) {
	name := c.label("thingGroupName", registryName)
	expected := c.expectedVersion()
	if c.err != nil {
		return nil, c.err
	}
	return nil, unlessGone(d.store.DeleteThingGroup(ctx, c.account, name, expected))
}

// listThingGroups takes an absent recursive to mean what each of AWS's examples
// shows: all groups of the account, or those directly below the parent.
func (d *Dialect) listThingGroups(ctx context.Context, c *call) (any, error) {
	page := c.pageOf("maxResults", "nextToken")
	filter := registry.GroupFilter{
		Parent:    c.param("parentGroup", registryName),
		Prefix:    c.param("namePrefixFilter", registryName),
		Recursive: c.flag("recursive"),
	}
	if !c.query.Has("recursive") {
		filter.Recursive = filter.Parent == ""
	}
	if c.err != nil {
		return nil, c.err
	}
	all, next, err := d.store.ListThingGroups(ctx, c.account, filter, page)
	if err != nil {
		return nil, err
	}
	names := each(all, func(g muster.ThingGroup) string { return g.Name })
	return d.groupList(c.account, names, next), nil
}

func (d *Dialect) groupList(account string, names []string, next registry.Cursor) any {
	return struct {
		Groups    []namedGroup `json:"thingGroups"`
		NextToken string       `json:"nextToken,omitempty"`
	}{d.namedGroups(account, names), token(next)}
}
