package awsiot

import (
	"context"
	"fmt"

	"github.com/muster-mqtt/muster"
)

func tagOperations() []operation {
	return []operation{
		{"TagResource", post, "/tags", (*Dialect).tagResource},
		{"UntagResource", post, "/untag", (*Dialect).untagResource},
		{"ListTagsForResource", get, "/tags", (*Dialect).listTagsForResource},
	}
}

// tagged reads the ARN of a resource that may have tags.
func (d *Dialect) tagged(c *call, arn string) (muster.ResourceKind, string) {
	return d.resource(c, "resourceArn", arn, muster.KindAuthority, muster.KindPolicy,
		muster.KindThingType, muster.KindThingGroup, muster.KindTemplate)
}

func (d *Dialect) tagResource(ctx context.Context, c *call) (any, error) {
	var in struct {
		ARN  string       `json:"resourceArn"`
		Tags []muster.Tag `json:"tags"`
	}
	c.decode(&in)
	kind, id := d.tagged(c, in.ARN)
	if len(in.Tags) == 0 {
		c.refuse("tags: is required")
	}
	c.tags(in.Tags)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.TagResource(ctx, c.account, kind, id, in.Tags)
}

func (d *Dialect) untagResource(ctx context.Context, c *call) (any, error) {
	var in struct {
		ARN  string   `json:"resourceArn"`
		Keys []string `json:"tagKeys"`
	}
	c.decode(&in)
	kind, id := d.tagged(c, in.ARN)
	switch n := len(in.Keys); {
	case n == 0:
		c.refuse("tagKeys: is required")
	case n > maxTags:
		c.refuse("tagKeys: must be %d at most, not %d", maxTags, n)
	}
	for i, key := range in.Keys {
		c.required(fmt.Sprintf("tagKeys[%d]", i), key, tagKey)
	}
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.UntagResource(ctx, c.account, kind, id, in.Keys)
}

// listTagsForResource answers with all tags at once: there are no more than fit
// in a page, and so no token for another.
func (d *Dialect) listTagsForResource(ctx context.Context, c *call) (any, error) {
	kind, id := d.tagged(c, c.query.Get("resourceArn"))
	if c.query.Get("nextToken") != "" {
		c.refuse("nextToken: is none that an earlier answer gave")
	}
	if c.err != nil {
		return nil, c.err
	}
	tags, err := d.store.Tags(ctx, c.account, kind, id)
	if err != nil {
		return nil, err
	}
	return struct {
		Tags []muster.Tag `json:"tags"`
	}{each(tags, func(t muster.Tag) muster.Tag { return t })}, nil
}
