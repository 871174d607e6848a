package e2e_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

// sdkAuthorities registers authorities of both modes; a device of one is
// provisioned at its first connect.
func sdkAuthorities(t *testing.T, a, b *sdk) {
	sdkSetting(t, a, "authorities")
	do(t, a.CreateProvisioningTemplate, &iot.CreateProvisioningTemplateInput{
		TemplateName: new("authorities"), Type: types.TemplateTypeJitp, Enabled: new(true),
		TemplateBody: new(strings.ReplaceAll(template, `"device"`, `"authorities"`)), ProvisioningRoleArn: new(role),
	})
	ca := newAuthority(t, "SDK CA")
	code := do(t, a.GetRegistrationCode, &iot.GetRegistrationCodeInput{}).RegistrationCode
	has(t, "the code the second time", do(t, a.GetRegistrationCode, &iot.GetRegistrationCodeInput{}).RegistrationCode, *code)
	made := do(t, a.RegisterCACertificate, &iot.RegisterCACertificateInput{
		CaCertificate: new(readFile(t, ca.cert)), VerificationCertificate: new(readFile(t, ca.proof(t, *code))),
		SetAsActive: true, AllowAutoRegistration: true, CertificateMode: types.CertificateModeDefault,
		RegistrationConfig: &types.RegistrationConfig{TemplateName: new("authorities")},
		Tags:               []types.Tag{{Key: new("site"), Value: new("north")}},
	})
	has(t, "ID", made.CertificateId, ca.id)
	has(t, "ARN", made.CertificateArn, a.arn("cacert/"+ca.id))
	sdkAuthority(t, a, ca)
	sdkFirstConnect(t, a, ca)

	do(t, a.UpdateCACertificate, &iot.UpdateCACertificateInput{CertificateId: &ca.id,
		NewStatus: types.CACertificateStatusInactive, NewAutoRegistrationStatus: types.AutoRegistrationStatusDisable, RemoveAutoRegistration: true})
	out := do(t, a.DescribeCACertificate, &iot.DescribeCACertificateInput{CertificateId: &ca.id})
	is(t, "status", out.CertificateDescription.Status, types.CACertificateStatusInactive)
	is(t, "auto registration", out.CertificateDescription.AutoRegistrationStatus, types.AutoRegistrationStatusDisable)
	if out.RegistrationConfig != nil {
		t.Errorf("registration config %+v is still there", out.RegistrationConfig)
	}
	denied[*types.ResourceNotFoundException](t, b.DescribeCACertificate, &iot.DescribeCACertificateInput{CertificateId: &ca.id})
	do(t, a.DeleteCACertificate, &iot.DeleteCACertificateInput{CertificateId: &ca.id})
	denied[*types.ResourceNotFoundException](t, a.DescribeCACertificate, &iot.DescribeCACertificateInput{CertificateId: &ca.id})

	shared := newAuthority(t, "Shared CA")
	for _, of := range []*sdk{a, b} {
		do(t, of.RegisterCACertificate, &iot.RegisterCACertificateInput{
			CaCertificate: new(readFile(t, shared.cert)), CertificateMode: types.CertificateModeSniOnly})
		out := do(t, of.DescribeCACertificate, &iot.DescribeCACertificateInput{CertificateId: &shared.id})
		has(t, "owner", out.CertificateDescription.OwnedBy, of.account)
		is(t, "mode", out.CertificateDescription.CertificateMode, types.CertificateModeSniOnly)
		is(t, "status", out.CertificateDescription.Status, types.CACertificateStatusInactive)
	}
}

// sdkSetting makes what the template of the tests needs, with a policy of this
// name.
func sdkSetting(t *testing.T, a *sdk, policy string) {
	t.Helper()
	do(t, a.CreatePolicy, &iot.CreatePolicyInput{PolicyName: &policy, PolicyDocument: new(devicePolicy)})
	do(t, a.CreateThingType, &iot.CreateThingTypeInput{ThingTypeName: new("sensor")})
	do(t, a.CreateThingGroup, &iot.CreateThingGroupInput{ThingGroupName: new("hall")})
}

func sdkAuthority(t *testing.T, a *sdk, ca *authority) {
	t.Helper()
	out := do(t, a.DescribeCACertificate, &iot.DescribeCACertificateInput{CertificateId: &ca.id})
	d := out.CertificateDescription
	has(t, "ID", d.CertificateId, ca.id)
	has(t, "ARN", d.CertificateArn, a.arn("cacert/"+ca.id))
	has(t, "PEM", d.CertificatePem, readFile(t, ca.cert))
	has(t, "owner", d.OwnedBy, a.account)
	has(t, "customer version", d.CustomerVersion, 1)
	is(t, "status", d.Status, types.CACertificateStatusActive)
	is(t, "auto registration", d.AutoRegistrationStatus, types.AutoRegistrationStatusEnable)
	is(t, "mode", d.CertificateMode, types.CertificateModeDefault)
	recent(t, "creation", d.CreationDate)
	recent(t, "last change", d.LastModifiedDate)
	if d.GenerationId == nil || *d.GenerationId == "" || d.Validity == nil || d.Validity.NotAfter == nil || d.Validity.NotBefore == nil {
		t.Errorf("description %+v", d)
	}
	has(t, "template", out.RegistrationConfig.TemplateName, "authorities")
	list := do(t, a.ListCACertificates, &iot.ListCACertificatesInput{TemplateName: new("authorities")})
	names(t, "authorities of the template", each(list.Certificates, func(c types.CACertificate) string { return *c.CertificateId }), ca.id)
	tags := do(t, a.ListTagsForResource, &iot.ListTagsForResourceInput{ResourceArn: new(a.arn("cacert/" + ca.id))})
	names(t, "tags", each(tags.Tags, func(t types.Tag) string { return *t.Key + "=" + *t.Value }), "site=north")
}

// sdkFirstConnect has a device provision itself by MQTT.
func sdkFirstConnect(t *testing.T, a *sdk, ca *authority) {
	t.Helper()
	device := ca.device(t, "sdk-device")
	a.server.admit(t, v5, device)
	d := do(t, a.DescribeCertificate, &iot.DescribeCertificateInput{CertificateId: &device.id}).CertificateDescription
	is(t, "status", d.Status, types.CertificateStatusActive)
	is(t, "mode", d.CertificateMode, types.CertificateModeDefault)
	has(t, "authority", d.CaCertificateId, ca.id)
	has(t, "PEM", d.CertificatePem, readFile(t, device.cert))
	list := do(t, a.ListCertificatesByCA, &iot.ListCertificatesByCAInput{CaCertificateId: &ca.id})
	names(t, "certificates", each(list.Certificates, func(c types.Certificate) string { return *c.CertificateId }), device.id)
	thing := do(t, a.DescribeThing, &iot.DescribeThingInput{ThingName: &device.name})
	has(t, "thing type", thing.ThingTypeName, "sensor")
	is(t, "attribute", thing.Attributes["line"], "7")
	names(t, "principals", do(t, a.ListThingPrincipals, &iot.ListThingPrincipalsInput{ThingName: &device.name}).Principals, a.arn("cert/"+device.id))
}
