package awsiot

import (
	"cmp"
	"context"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func templateOperations() []operation {
	return []operation{
		{"CreateProvisioningTemplate", post, "/provisioning-templates", (*Dialect).createProvisioningTemplate},
		{"ListProvisioningTemplates", get, "/provisioning-templates", (*Dialect).listProvisioningTemplates},
		{"DescribeProvisioningTemplate", get, "/provisioning-templates/{templateName}", (*Dialect).describeProvisioningTemplate},
		{"UpdateProvisioningTemplate", patch, "/provisioning-templates/{templateName}", (*Dialect).updateProvisioningTemplate},
		{"DeleteProvisioningTemplate", remove, "/provisioning-templates/{templateName}", (*Dialect).deleteProvisioningTemplate},
		{"CreateProvisioningTemplateVersion", post, "/provisioning-templates/{templateName}/versions", (*Dialect).createProvisioningTemplateVersion},
		{"ListProvisioningTemplateVersions", get, "/provisioning-templates/{templateName}/versions", (*Dialect).listProvisioningTemplateVersions},
		{"DescribeProvisioningTemplateVersion", get, "/provisioning-templates/{templateName}/versions/{versionId}", (*Dialect).describeProvisioningTemplateVersion},
		{"DeleteProvisioningTemplateVersion", remove, "/provisioning-templates/{templateName}/versions/{versionId}", (*Dialect).deleteProvisioningTemplateVersion},
	}
}

// hook is AWS's preProvisioningHook.
type hook struct {
	PayloadVersion string `json:"payloadVersion,omitempty"`
	TargetARN      string `json:"targetArn"`
}

// hook reads a hook; nil is none.
func (c *call) hook(h *hook) *muster.Hook {
	if h == nil {
		return nil
	}
	c.optional("preProvisioningHook.payloadVersion", h.PayloadVersion, payloadVersion)
	c.required("preProvisioningHook.targetArn", h.TargetARN, targetARN)
	return &muster.Hook{TargetARN: h.TargetARN, PayloadVersion: h.PayloadVersion}
}

func (d *Dialect) createProvisioningTemplate(ctx context.Context, c *call) (any, error) {
	var in struct {
		Name        string       `json:"templateName"`
		Body        string       `json:"templateBody"`
		RoleARN     string       `json:"provisioningRoleArn"`
		Description string       `json:"description"`
		Enabled     bool         `json:"enabled"`
		Type        string       `json:"type"`
		Hook        *hook        `json:"preProvisioningHook"`
		Tags        []muster.Tag `json:"tags"`
	}
	c.decode(&in)
	c.required("templateName", in.Name, templateName)
	c.required("templateBody", in.Body, templateBody)
	c.required("provisioningRoleArn", in.RoleARN, roleARN)
	c.optional("description", in.Description, templateSummary)
	c.optional("type", in.Type, templateType)
	asked := c.hook(in.Hook)
	c.tags(in.Tags)
	if c.err != nil {
		return nil, c.err
	}
	t, err := d.store.CreateTemplate(ctx, muster.Template{
		Account:     c.account,
		Name:        in.Name,
		Type:        cmp.Or(muster.TemplateType(in.Type), muster.TemplateFleet),
		Description: in.Description,
		Enabled:     in.Enabled,
		RoleARN:     in.RoleARN,
		Hook:        asked,
		Tags:        in.Tags,
	}, in.Body)
	if err != nil {
		return nil, err
	}
	return struct {
		ARN     string `json:"templateArn"`
		Name    string `json:"templateName"`
		Default int    `json:"defaultVersionId"` // a number, where policies have a string
	}{d.arn(t.Account, muster.KindTemplate, t.Name), t.Name, t.Default}, nil
}

func (d *Dialect) listProvisioningTemplates(ctx context.Context, c *call) (any, error) {
	page := c.pageOf("maxResults", "nextToken")
	if c.err != nil {
		return nil, c.err
	}
	all, next, err := d.store.ListTemplates(ctx, c.account, page)
	if err != nil {
		return nil, err
	}
	type summary struct {
		ARN         string              `json:"templateArn"`
		Name        string              `json:"templateName"`
		Description string              `json:"description,omitempty"`
		Created     epoch               `json:"creationDate"`
		Modified    epoch               `json:"lastModifiedDate"`
		Enabled     bool                `json:"enabled"`
		Type        muster.TemplateType `json:"type"`
	}
	return struct {
		Templates []summary `json:"templates"`
		NextToken string    `json:"nextToken,omitempty"`
	}{each(all, func(t muster.Template) summary {
		arn := d.arn(t.Account, muster.KindTemplate, t.Name)
		return summary{arn, t.Name, t.Description, epoch(t.Created), epoch(t.Modified), t.Enabled, t.Type}
	}), token(next)}, nil
}

func (d *Dialect) describeProvisioningTemplate(ctx context.Context, c *call) (any, error) {
	name := c.label("templateName", templateName)
	if c.err != nil {
		return nil, c.err
	}
	t, err := d.store.Template(ctx, c.account, name)
	if err != nil {
		return nil, err
	}
	var asked *hook
	if t.Hook != nil {
		asked = &hook{t.Hook.PayloadVersion, t.Hook.TargetARN}
	}
	return struct {
		ARN         string              `json:"templateArn"`
		Name        string              `json:"templateName"`
		Description string              `json:"description,omitempty"`
		Created     epoch               `json:"creationDate"`
		Modified    epoch               `json:"lastModifiedDate"`
		Default     int                 `json:"defaultVersionId"`
		Body        string              `json:"templateBody"`
		Enabled     bool                `json:"enabled"`
		RoleARN     string              `json:"provisioningRoleArn"`
		Hook        *hook               `json:"preProvisioningHook,omitempty"`
		Type        muster.TemplateType `json:"type"`
	}{
		d.arn(t.Account, muster.KindTemplate, t.Name), t.Name, t.Description, epoch(t.Created), epoch(t.Modified),
		t.Default, t.Body(), t.Enabled, t.RoleARN, asked, t.Type,
	}, nil
}

func (d *Dialect) updateProvisioningTemplate(ctx context.Context, c *call) (any, error) {
	var in struct {
		Description *string `json:"description"`
		Enabled     *bool   `json:"enabled"`
		Default     *int    `json:"defaultVersionId"`
		RoleARN     *string `json:"provisioningRoleArn"`
		Hook        *hook   `json:"preProvisioningHook"`
		RemoveHook  bool    `json:"removePreProvisioningHook"`
	}
	c.decode(&in)
	name := c.label("templateName", templateName)
	if in.Description != nil {
		c.required("description", *in.Description, templateSummary)
	}
	if in.RoleARN != nil {
		c.required("provisioningRoleArn", *in.RoleARN, roleARN)
	}
	asked := c.hook(in.Hook)
	if c.err != nil {
		return nil, c.err
	}
	_, err := d.store.UpdateTemplate(ctx, c.account, name, registry.TemplateUpdate{
		Description: in.Description,
		Enabled:     in.Enabled,
		Default:     in.Default,
		RoleARN:     in.RoleARN,
		Hook:        asked,
		RemoveHook:  in.RemoveHook,
	})
	return nil, err
}

func (d *Dialect) deleteProvisioningTemplate(ctx context.Context, c *call) (any, error) {
	name := c.label("templateName", templateName)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.DeleteTemplate(ctx, c.account, name)
}
