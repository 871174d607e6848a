package awsiot

import (
	"cmp"
	"context"
	"encoding/json"

	"github.com/muster-mqtt/muster"
)

func templateOperations() []operation {
	return []operation{
		{"CreateProvisioningTemplate", post, "/provisioning-templates", (*Dialect).createProvisioningTemplate},
	}
}

func (d *Dialect) createProvisioningTemplate(ctx context.Context, c *call) (any, error) {
	var in struct {
		Name        string          `json:"templateName"`
		Body        string          `json:"templateBody"`
		RoleARN     string          `json:"provisioningRoleArn"`
		Description string          `json:"description"`
		Enabled     bool            `json:"enabled"`
		Type        string          `json:"type"`
		Hook        json.RawMessage `json:"preProvisioningHook"`
		Tags        []muster.Tag    `json:"tags"`
	}
	c.decode(&in)
	c.required("templateName", in.Name, templateName)
	c.required("templateBody", in.Body, templateBody)
	c.required("provisioningRoleArn", in.RoleARN, roleARN)
	c.optional("description", in.Description, templateSummary)
	c.optional("type", in.Type, templateType)
	c.tags(in.Tags)
	if len(in.Hook) > 0 && string(in.Hook) != "null" {
		// It could only be ignored, and it is there to deny.
		c.refuse("preProvisioningHook: there are no functions here that it could call")
	}
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
