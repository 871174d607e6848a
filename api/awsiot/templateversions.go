package awsiot

import (
	"context"
	"slices"
	"strconv"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func (d *Dialect) createProvisioningTemplateVersion(ctx context.Context, c *call) (any, error) {
	var in struct {
		Body string `json:"templateBody"`
	}
	c.decode(&in)
	name := c.label("templateName", templateName)
	c.required("templateBody", in.Body, templateBody)
	setDefault := c.flag("setAsDefault")
	if c.err != nil {
		return nil, c.err
	}
	v, err := d.store.CreateTemplateVersion(ctx, c.account, name, in.Body, setDefault)
	if err != nil {
		return nil, err
	}
	return struct {
		ARN       string `json:"templateArn"`
		Name      string `json:"templateName"`
		Version   int    `json:"versionId"`
		IsDefault bool   `json:"isDefaultVersion"`
	}{d.arn(c.account, muster.KindTemplate, name), name, v.ID, setDefault}, nil
}

// templateVersion reads the labels of a version. Unlike those of policies, its ID
// is a number.
func templateVersion(c *call) (name string, id int) {
	name = c.label("templateName", templateName)
	id, err := strconv.Atoi(c.label("versionId", versionNumber))
	if err != nil {
		c.refuse("versionId: must be a number")
	}
	return name, id
}

func (d *Dialect) describeProvisioningTemplateVersion(ctx context.Context, c *call) (any, error) {
	name, id := templateVersion(c)
	if c.err != nil {
		return nil, c.err
	}
	v, isDefault, err := d.store.TemplateVersion(ctx, c.account, name, id)
	if err != nil {
		return nil, err
	}
	return struct {
		Version   int    `json:"versionId"`
		Created   epoch  `json:"creationDate"`
		Body      string `json:"templateBody"`
		IsDefault bool   `json:"isDefaultVersion"`
	}{v.ID, epoch(v.Created), v.Body, isDefault}, nil
}

func (d *Dialect) deleteProvisioningTemplateVersion(ctx context.Context, c *call) (any, error) {
	name, id := templateVersion(c)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.DeleteTemplateVersion(ctx, c.account, name, id)
}

// listProvisioningTemplateVersions begins with the newest. The token is the
// version that the page before ended with, which may be gone by now.
func (d *Dialect) listProvisioningTemplateVersions(ctx context.Context, c *call) (any, error) {
	name := c.label("templateName", templateName)
	page := c.pageOf("maxResults", "nextToken")
	last := 0
	if page.After != nil {
		var err error
		if last, err = strconv.Atoi(string(page.After)); err != nil {
			c.refuse("nextToken: is none that an earlier answer gave")
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	t, err := d.store.Template(ctx, c.account, name)
	if err != nil {
		return nil, err
	}
	slices.Reverse(t.Versions)
	left := slices.DeleteFunc(t.Versions, func(v muster.TemplateVersion) bool { return page.After != nil && v.ID >= last })
	var next registry.Cursor
	if len(left) > page.Limit {
		left = left[:page.Limit]
		next = registry.Cursor(strconv.Itoa(left[page.Limit-1].ID))
	}
	type version struct {
		ID        int   `json:"versionId"`
		Created   epoch `json:"creationDate"`
		IsDefault bool  `json:"isDefaultVersion"`
	}
	return struct {
		Versions  []version `json:"versions"`
		NextToken string    `json:"nextToken,omitempty"`
	}{each(left, func(v muster.TemplateVersion) version { return version{v.ID, epoch(v.Created), v.ID == t.Default} }), token(next)}, nil
}
