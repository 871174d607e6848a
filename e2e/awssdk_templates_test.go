package e2e_test

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

// serialTemplate registers a thing by the parameter Serial.
const serialTemplate = `{"Parameters":{"Serial":{"Type":"String"},"AWS::IoT::Certificate::Id":{"Type":"String"}},"Resources":{` +
	`"device":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Join":["-",["sdk",{"Ref":"Serial"}]]}}},` +
	`"identity":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}}}}`

// sdkTemplates writes, versions and deletes a template.
func sdkTemplates(t *testing.T, a, _ *sdk) {
	name := new("sdk-template")
	made := do(t, a.CreateProvisioningTemplate, &iot.CreateProvisioningTemplateInput{TemplateName: name,
		TemplateBody: new(template), ProvisioningRoleArn: new(role), Description: new("first"), Type: types.TemplateTypeJitp,
		Tags: []types.Tag{{Key: new("line"), Value: new("7")}}})
	has(t, "ARN", made.TemplateArn, a.arn("provisioningtemplate/sdk-template"))
	has(t, "first version", made.DefaultVersionId, 1)
	describe := &iot.DescribeProvisioningTemplateInput{TemplateName: name}
	d := do(t, a.DescribeProvisioningTemplate, describe)
	has(t, "body", d.TemplateBody, template)
	has(t, "role", d.ProvisioningRoleArn, role)
	has(t, "description", d.Description, "first")
	has(t, "enabled", d.Enabled, false)
	is(t, "type", d.Type, types.TemplateTypeJitp)
	recent(t, "creation", d.CreationDate)
	recent(t, "last change", d.LastModifiedDate)

	other := strings.ReplaceAll(template, `"7"`, `"8"`)
	version := do(t, a.CreateProvisioningTemplateVersion, &iot.CreateProvisioningTemplateVersionInput{TemplateName: name, TemplateBody: &other})
	has(t, "second version", version.VersionId, 2)
	is(t, "default", version.IsDefaultVersion, false)
	do(t, a.UpdateProvisioningTemplate, &iot.UpdateProvisioningTemplateInput{TemplateName: name,
		DefaultVersionId: new(int32(2)), Enabled: new(true), Description: new("second")})
	d = do(t, a.DescribeProvisioningTemplate, describe)
	has(t, "body", d.TemplateBody, other)
	has(t, "description", d.Description, "second")
	has(t, "enabled", d.Enabled, true)
	first := do(t, a.DescribeProvisioningTemplateVersion, &iot.DescribeProvisioningTemplateVersionInput{TemplateName: name, VersionId: new(int32(1))})
	has(t, "body of the first", first.TemplateBody, template)
	is(t, "the first is the default", first.IsDefaultVersion, false)
	versions := paged(t, iot.NewListProvisioningTemplateVersionsPaginator(a, &iot.ListProvisioningTemplateVersionsInput{TemplateName: name, MaxResults: new(int32(1))}),
		func(p *iot.ListProvisioningTemplateVersionsOutput) []types.ProvisioningTemplateVersionSummary {
			return p.Versions
		})
	names(t, "versions", each(versions, func(v types.ProvisioningTemplateVersionSummary) string {
		return fmt.Sprint(*v.VersionId, v.IsDefaultVersion)
	}), "1 false", "2 true")
	denied[*types.DeleteConflictException](t, a.DeleteProvisioningTemplateVersion,
		&iot.DeleteProvisioningTemplateVersionInput{TemplateName: name, VersionId: new(int32(2))})
	do(t, a.DeleteProvisioningTemplateVersion, &iot.DeleteProvisioningTemplateVersionInput{TemplateName: name, VersionId: new(int32(1))})
	list := paged(t, iot.NewListProvisioningTemplatesPaginator(a, &iot.ListProvisioningTemplatesInput{MaxResults: new(int32(1))}),
		func(p *iot.ListProvisioningTemplatesOutput) []types.ProvisioningTemplateSummary { return p.Templates })
	if len(each(list, func(s types.ProvisioningTemplateSummary) string { return *s.TemplateName })) == 0 {
		t.Error("no templates are listed")
	}
	do(t, a.DeleteProvisioningTemplate, &iot.DeleteProvisioningTemplateInput{TemplateName: name})
	denied[*types.ResourceNotFoundException](t, a.DescribeProvisioningTemplate, describe)
}

// sdkClaims makes a claim, and registers a thing by a template.
func sdkClaims(t *testing.T, a, _ *sdk) {
	name := new("sdk-fleet")
	do(t, a.CreateProvisioningTemplate, &iot.CreateProvisioningTemplateInput{TemplateName: name,
		TemplateBody: new(serialTemplate), ProvisioningRoleArn: new(role), Enabled: new(true)})
	is(t, "type without one", do(t, a.DescribeProvisioningTemplate, &iot.DescribeProvisioningTemplateInput{TemplateName: name}).Type,
		types.TemplateTypeFleetProvisioning)
	claim := do(t, a.CreateProvisioningClaim, &iot.CreateProvisioningClaimInput{TemplateName: name})
	if _, err := tls.X509KeyPair([]byte(*claim.CertificatePem), []byte(*claim.KeyPair.PrivateKey)); err != nil {
		t.Error(err)
	}
	if life := time.Until(*claim.Expiration); life > 5*time.Minute || life < 3*time.Minute {
		t.Errorf("the claim lives for %v", life)
	}
	for _, c := range do(t, a.ListCertificates, &iot.ListCertificatesInput{PageSize: new(int32(250))}).Certificates {
		if *c.CertificateId == *claim.CertificateId {
			t.Error("the claim is listed")
		}
	}

	dir := t.TempDir()
	csr := filepath.Join(dir, "device.csr")
	openssl(t, append([]string{"req", "-new", "-batch", "-subj", "/CN=sdk-registered", "-keyout", filepath.Join(dir, "device-key.pem"), "-out", csr}, curve...)...)
	body := strings.Replace(serialTemplate, `"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}`, `"CertificateSigningRequest":{"Ref":"CSR"}`, 1)
	body = strings.Replace(body, `"AWS::IoT::Certificate::Id"`, `"CSR"`, 1)
	out := do(t, a.RegisterThing, &iot.RegisterThingInput{TemplateBody: &body, Parameters: map[string]string{"Serial": "1", "CSR": readFile(t, csr)}})
	is(t, "ARN of the thing", out.ResourceArns["device"], a.arn("thing/sdk-1"))
	if !strings.HasPrefix(out.ResourceArns["identity"], a.arn("cert/")) || !strings.HasPrefix(*out.CertificatePem, "-----BEGIN CERTIFICATE-----\n") {
		t.Errorf("registered %v with %s", out.ResourceArns, *out.CertificatePem)
	}
	names(t, "principals", do(t, a.ListThingPrincipals, &iot.ListThingPrincipalsInput{ThingName: new("sdk-1")}).Principals, out.ResourceArns["identity"])
}
