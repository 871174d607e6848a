package e2e_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

// TestTerraform makes the calls that Terraform's AWS provider makes for its
// resources, and holds the answers to what the provider reads back: where they
// differ from what was sent, Terraform would plan a change at every run.
func TestTerraform(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	a := s.sdk(t, accountID, &called{names: make(map[string]bool)})
	for name, resource := range map[string]func(*testing.T, *sdk){
		"aws_iot_ca_certificate":             tfCACertificate,
		"aws_iot_certificate":                tfCertificates,
		"aws_iot_policy":                     tfPolicy,
		"aws_iot_policy_attachment":          tfPolicyAttachment,
		"aws_iot_provisioning_template":      tfTemplate,
		"aws_iot_thing":                      tfThing,
		"aws_iot_thing_type":                 tfThingType,
		"aws_iot_thing_group":                tfThingGroup,
		"aws_iot_thing_principal_attachment": tfPrincipalAttachment,
		"aws_iot_event_configurations":       tfEventConfigurations,
		"data":                               tfData,
	} {
		t.Run(name, func(t *testing.T) { resource(t, a) })
	}
}

// tfTags is how the provider changes tags: what goes is removed first.
func tfTags(t *testing.T, a *sdk, arn *string) {
	t.Helper()
	list := func() map[string]string {
		tags := map[string]string{}
		for _, tag := range do(t, a.ListTagsForResource, &iot.ListTagsForResourceInput{ResourceArn: arn}).Tags {
			tags[*tag.Key] = *tag.Value
		}
		return tags
	}
	if got := list(); !maps.Equal(got, map[string]string{"owner": "terraform"}) {
		t.Errorf("tags %v", got)
	}
	do(t, a.UntagResource, &iot.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"owner"}})
	do(t, a.TagResource, &iot.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{Key: new("site"), Value: new("north")}}})
	if got := list(); !maps.Equal(got, map[string]string{"site": "north"}) {
		t.Errorf("tags after the change %v", got)
	}
}

func tfOwner() []types.Tag { return []types.Tag{{Key: new("owner"), Value: new("terraform")}} }

func tfCACertificate(t *testing.T, a *sdk) {
	ca := newAuthority(t, "Terraform CA")
	code := do(t, a.GetRegistrationCode, &iot.GetRegistrationCodeInput{}).RegistrationCode
	do(t, a.CreateThingType, &iot.CreateThingTypeInput{ThingTypeName: new("sensor")})
	made := do(t, a.RegisterCACertificate, &iot.RegisterCACertificateInput{
		CaCertificate: new(readFile(t, ca.cert)), VerificationCertificate: new(readFile(t, ca.proof(t, *code))),
		CertificateMode: types.CertificateModeDefault, SetAsActive: true, AllowAutoRegistration: true, Tags: tfOwner(),
		RegistrationConfig: &types.RegistrationConfig{RoleArn: new(role), TemplateBody: new(template)},
	})
	read := &iot.DescribeCACertificateInput{CertificateId: made.CertificateId}
	out := do(t, a.DescribeCACertificate, read)
	d := out.CertificateDescription
	has(t, "PEM", d.CertificatePem, readFile(t, ca.cert))
	is(t, "mode", d.CertificateMode, types.CertificateModeDefault)
	is(t, "status", d.Status, types.CACertificateStatusActive)
	is(t, "auto registration", d.AutoRegistrationStatus, types.AutoRegistrationStatusEnable)
	has(t, "role", out.RegistrationConfig.RoleArn, role)
	has(t, "template", out.RegistrationConfig.TemplateBody, template)
	if d.GenerationId == nil || d.CustomerVersion == nil || d.Validity == nil || out.RegistrationConfig.TemplateName != nil {
		t.Errorf("%+v, %+v", d, out.RegistrationConfig)
	}
	again := do(t, a.DescribeCACertificate, read).CertificateDescription
	has(t, "generation", again.GenerationId, *d.GenerationId)
	has(t, "customer version", again.CustomerVersion, *d.CustomerVersion)
	tfTags(t, a, made.CertificateArn)
	do(t, a.UpdateCACertificate, &iot.UpdateCACertificateInput{CertificateId: made.CertificateId,
		NewStatus: types.CACertificateStatusActive, NewAutoRegistrationStatus: types.AutoRegistrationStatusDisable})
	out = do(t, a.DescribeCACertificate, read)
	is(t, "auto registration", out.CertificateDescription.AutoRegistrationStatus, types.AutoRegistrationStatusDisable)
	has(t, "template that was not in the update", out.RegistrationConfig.TemplateBody, template)
	do(t, a.UpdateCACertificate, &iot.UpdateCACertificateInput{CertificateId: made.CertificateId, NewStatus: types.CACertificateStatusInactive})
	do(t, a.DeleteCACertificate, &iot.DeleteCACertificateInput{CertificateId: made.CertificateId})
	denied[*types.ResourceNotFoundException](t, a.DescribeCACertificate, read)
	denied[*types.ResourceNotFoundException](t, a.UpdateCACertificate, &iot.UpdateCACertificateInput{CertificateId: made.CertificateId, NewStatus: types.CACertificateStatusInactive})
	denied[*types.ResourceNotFoundException](t, a.DeleteCACertificate, &iot.DeleteCACertificateInput{CertificateId: made.CertificateId})
}

// tfCertificates makes certificates in the four ways that the provider has.
func tfCertificates(t *testing.T, a *sdk) {
	dir := t.TempDir()
	ca := newAuthority(t, "Terraform signer")
	do(t, a.RegisterCACertificate, &iot.RegisterCACertificateInput{CaCertificate: new(readFile(t, ca.cert)),
		CertificateMode: types.CertificateModeSniOnly, SetAsActive: true})
	device, own := ca.device(t, "signed"), selfSigned(t, dir, "own")
	openssl(t, append([]string{"req", "-new", "-batch", "-subj", "/CN=csr", "-keyout", dir + "/csr.key", "-out", dir + "/csr.pem"}, curve...)...)
	keys := do(t, a.CreateKeysAndCertificate, &iot.CreateKeysAndCertificateInput{SetAsActive: true})
	if keys.KeyPair == nil || keys.KeyPair.PrivateKey == nil || keys.KeyPair.PublicKey == nil {
		t.Fatal("no keys")
	}
	for id, pem := range map[*string]*string{
		keys.CertificateId: keys.CertificatePem,
		do(t, a.CreateCertificateFromCsr, &iot.CreateCertificateFromCsrInput{CertificateSigningRequest: new(readFile(t, dir+"/csr.pem")), SetAsActive: true}).CertificateId: nil,
		do(t, a.RegisterCertificate, &iot.RegisterCertificateInput{CertificatePem: new(readFile(t, device.cert)),
			CaCertificatePem: new(readFile(t, ca.cert)), Status: types.CertificateStatusActive}).CertificateId: new(readFile(t, device.cert)),
		do(t, a.RegisterCertificateWithoutCA, &iot.RegisterCertificateWithoutCAInput{CertificatePem: new(readFile(t, own.cert)),
			Status: types.CertificateStatusActive}).CertificateId: new(readFile(t, own.cert)),
	} {
		tfCertificate(t, a, id, pem)
	}
}

func tfCertificate(t *testing.T, a *sdk, id, pem *string) {
	t.Helper()
	read := &iot.DescribeCertificateInput{CertificateId: id}
	d := do(t, a.DescribeCertificate, read).CertificateDescription
	is(t, "status", d.Status, types.CertificateStatusActive)
	has(t, "ARN", d.CertificateArn, a.arn("cert/"+*id))
	if pem != nil {
		has(t, "PEM", d.CertificatePem, *pem)
	}
	for _, status := range []types.CertificateStatus{types.CertificateStatusInactive, types.CertificateStatusActive, types.CertificateStatusInactive} {
		do(t, a.UpdateCertificate, &iot.UpdateCertificateInput{CertificateId: id, NewStatus: status})
		is(t, "status", do(t, a.DescribeCertificate, read).CertificateDescription.Status, status)
	}
	do(t, a.DeleteCertificate, &iot.DeleteCertificateInput{CertificateId: id})
	denied[*types.ResourceNotFoundException](t, a.DescribeCertificate, read)
	denied[*types.ResourceNotFoundException](t, a.UpdateCertificate, &iot.UpdateCertificateInput{CertificateId: id, NewStatus: types.CertificateStatusInactive})
	denied[*types.ResourceNotFoundException](t, a.DeleteCertificate, &iot.DeleteCertificateInput{CertificateId: id})
}

// tfPolicy changes a policy more often than it may have versions: the provider
// then deletes the oldest one.
func tfPolicy(t *testing.T, a *sdk) {
	name := new("terraform")
	made := do(t, a.CreatePolicy, &iot.CreatePolicyInput{PolicyName: name, PolicyDocument: new(devicePolicy), Tags: tfOwner()})
	tfTags(t, a, made.PolicyArn)
	read := func() *iot.GetPolicyOutput { return do(t, a.GetPolicy, &iot.GetPolicyInput{PolicyName: name}) }
	versions := func() []types.PolicyVersion {
		return do(t, a.ListPolicyVersions, &iot.ListPolicyVersionsInput{PolicyName: name}).PolicyVersions
	}
	has(t, "document", read().PolicyDocument, devicePolicy)
	has(t, "version", read().DefaultVersionId, "1")
	change := &iot.CreatePolicyVersionInput{PolicyName: name, PolicyDocument: new(applicationPolicy), SetAsDefault: true}
	for range 4 {
		do(t, a.CreatePolicyVersion, change)
	}
	denied[*types.VersionsLimitExceededException](t, a.CreatePolicyVersion, change)
	oldest := slices.MinFunc(versions(), func(v, w types.PolicyVersion) int { return v.CreateDate.Compare(*w.CreateDate) })
	is(t, "the oldest is in force", oldest.IsDefaultVersion, false)
	do(t, a.DeletePolicyVersion, &iot.DeletePolicyVersionInput{PolicyName: name, PolicyVersionId: oldest.VersionId})
	do(t, a.CreatePolicyVersion, change)
	has(t, "document", read().PolicyDocument, applicationPolicy)
	has(t, "version", read().DefaultVersionId, "6")
	for _, v := range versions() {
		if !v.IsDefaultVersion {
			do(t, a.DeletePolicyVersion, &iot.DeletePolicyVersionInput{PolicyName: name, PolicyVersionId: v.VersionId})
		}
	}
	do(t, a.DeletePolicy, &iot.DeletePolicyInput{PolicyName: name})
	denied[*types.ResourceNotFoundException](t, a.GetPolicy, &iot.GetPolicyInput{PolicyName: name})
	denied[*types.ResourceNotFoundException](t, a.ListPolicyVersions, &iot.ListPolicyVersionsInput{PolicyName: name})
}
