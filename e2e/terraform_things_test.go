package e2e_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

func tfOwnCertificate(t *testing.T, a *sdk, name string) (id, arn *string) {
	t.Helper()
	c := selfSigned(t, t.TempDir(), name)
	out := do(t, a.RegisterCertificateWithoutCA, &iot.RegisterCertificateWithoutCAInput{CertificatePem: new(readFile(t, c.cert))})
	return out.CertificateId, out.CertificateArn
}

func tfPolicyAttachment(t *testing.T, a *sdk) {
	id, arn := tfOwnCertificate(t, a, "attached")
	name := new("attached")
	do(t, a.CreatePolicy, &iot.CreatePolicyInput{PolicyName: name, PolicyDocument: new(devicePolicy)})
	do(t, a.AttachPolicy, &iot.AttachPolicyInput{PolicyName: name, Target: arn})
	found := paged(t, iot.NewListAttachedPoliciesPaginator(a, &iot.ListAttachedPoliciesInput{Target: arn, PageSize: new(int32(250))}),
		func(p *iot.ListAttachedPoliciesOutput) []types.Policy { return p.Policies })
	names(t, "policies", each(found, func(p types.Policy) string { return *p.PolicyName }), *name)
	do(t, a.DetachPolicy, &iot.DetachPolicyInput{PolicyName: name, Target: arn})
	do(t, a.DetachPolicy, &iot.DetachPolicyInput{PolicyName: name, Target: arn})
	do(t, a.DeleteCertificate, &iot.DeleteCertificateInput{CertificateId: id})
	// By these words the provider knows that there is nothing left to detach from.
	told := denied[*types.InvalidRequestException](t, a.DetachPolicy, &iot.DetachPolicyInput{PolicyName: name, Target: arn})
	if told != nil && !strings.Contains(told.ErrorMessage(), "Invalid Target") {
		t.Errorf("message %q", told.ErrorMessage())
	}
}

func tfTemplate(t *testing.T, a *sdk) {
	name := new("terraform")
	made := do(t, a.CreateProvisioningTemplate, &iot.CreateProvisioningTemplateInput{TemplateName: name, Enabled: new(true),
		TemplateBody: new(serialTemplate), ProvisioningRoleArn: new(role), Description: new("first"), Tags: tfOwner(),
		Type: types.TemplateTypeFleetProvisioning})
	tfTags(t, a, made.TemplateArn)
	read := &iot.DescribeProvisioningTemplateInput{TemplateName: name}
	d := do(t, a.DescribeProvisioningTemplate, read)
	has(t, "body", d.TemplateBody, serialTemplate)
	has(t, "role", d.ProvisioningRoleArn, role)
	has(t, "enabled", d.Enabled, true)
	has(t, "version", d.DefaultVersionId, 1)
	is(t, "type", d.Type, types.TemplateTypeFleetProvisioning)
	if d.PreProvisioningHook != nil {
		t.Errorf("hook %+v", d.PreProvisioningHook)
	}
	other := strings.ReplaceAll(serialTemplate, `"sdk"`, `"terraform"`)
	do(t, a.CreateProvisioningTemplateVersion, &iot.CreateProvisioningTemplateVersionInput{TemplateName: name, TemplateBody: &other, SetAsDefault: true})
	do(t, a.UpdateProvisioningTemplate, &iot.UpdateProvisioningTemplateInput{TemplateName: name,
		Description: new(""), Enabled: new(false), ProvisioningRoleArn: new(role)})
	d = do(t, a.DescribeProvisioningTemplate, read)
	has(t, "body", d.TemplateBody, other)
	has(t, "version", d.DefaultVersionId, 2)
	has(t, "enabled", d.Enabled, false)
	if d.Description != nil && *d.Description != "" {
		t.Errorf("description %q", *d.Description)
	}
	do(t, a.DeleteProvisioningTemplate, &iot.DeleteProvisioningTemplateInput{TemplateName: name})
	denied[*types.ResourceNotFoundException](t, a.DescribeProvisioningTemplate, read)
	denied[*types.ResourceNotFoundException](t, a.DeleteProvisioningTemplate, &iot.DeleteProvisioningTemplateInput{TemplateName: name})
}

func tfThing(t *testing.T, a *sdk) {
	name := new("terraform")
	do(t, a.CreateThingType, &iot.CreateThingTypeInput{ThingTypeName: new("of-things")})
	do(t, a.CreateThing, &iot.CreateThingInput{ThingName: name, ThingTypeName: new("of-things"),
		AttributePayload: &types.AttributePayload{Attributes: map[string]string{"a": "1", "b": "2"}}})
	read := func(version int64, kind string, attributes map[string]string) {
		t.Helper()
		d := do(t, a.DescribeThing, &iot.DescribeThingInput{ThingName: name})
		has(t, "client ID", d.DefaultClientId, *name)
		if (d.ThingTypeName == nil) != (kind == "") || !maps.Equal(d.Attributes, attributes) || d.Version != version {
			t.Errorf("version %d, type %v, attributes %v; want %d, %q, %v", d.Version, d.ThingTypeName, d.Attributes, version, kind, attributes)
		}
	}
	read(1, "of-things", map[string]string{"a": "1", "b": "2"})
	do(t, a.UpdateThing, &iot.UpdateThingInput{ThingName: name, AttributePayload: &types.AttributePayload{Attributes: map[string]string{"a": "3"}}})
	read(2, "of-things", map[string]string{"a": "3"})
	do(t, a.UpdateThing, &iot.UpdateThingInput{ThingName: name, AttributePayload: &types.AttributePayload{Attributes: map[string]string{}}, RemoveThingType: true})
	read(3, "", nil)
	do(t, a.DeleteThing, &iot.DeleteThingInput{ThingName: name})
	denied[*types.ResourceNotFoundException](t, a.DescribeThing, &iot.DescribeThingInput{ThingName: name})
}

func tfThingType(t *testing.T, a *sdk) {
	name := new("terraform")
	made := do(t, a.CreateThingType, &iot.CreateThingTypeInput{ThingTypeName: name, Tags: tfOwner(),
		ThingTypeProperties: &types.ThingTypeProperties{ThingTypeDescription: new("one"), SearchableAttributes: []string{"b", "a"}}})
	tfTags(t, a, made.ThingTypeArn)
	read := &iot.DescribeThingTypeInput{ThingTypeName: name}
	for _, deprecated := range []bool{true, false} {
		do(t, a.DeprecateThingType, &iot.DeprecateThingTypeInput{ThingTypeName: name, UndoDeprecate: !deprecated})
		d := do(t, a.DescribeThingType, read)
		is(t, "deprecated", d.ThingTypeMetadata.Deprecated, deprecated)
		has(t, "description", d.ThingTypeProperties.ThingTypeDescription, "one")
		names(t, "searchable attributes", d.ThingTypeProperties.SearchableAttributes, "a", "b")
	}
	do(t, a.DeprecateThingType, &iot.DeprecateThingTypeInput{ThingTypeName: name})
	do(t, a.DeleteThingType, &iot.DeleteThingTypeInput{ThingTypeName: name})
	denied[*types.ResourceNotFoundException](t, a.DescribeThingType, read)
	denied[*types.ResourceNotFoundException](t, a.DeleteThingType, &iot.DeleteThingTypeInput{ThingTypeName: name})
}

// tfThingGroup makes a group with a parent and a member.
func tfThingGroup(t *testing.T, a *sdk) {
	parent, name, thing := new("tf-parent"), new("tf-child"), new("tf-member")
	do(t, a.CreateThingGroup, &iot.CreateThingGroupInput{ThingGroupName: parent})
	made := do(t, a.CreateThingGroup, &iot.CreateThingGroupInput{ThingGroupName: name, ParentGroupName: parent, Tags: tfOwner(),
		ThingGroupProperties: &types.ThingGroupProperties{ThingGroupDescription: new("one"),
			AttributePayload: &types.AttributePayload{Attributes: map[string]string{"a": "1"}}}})
	tfTags(t, a, made.ThingGroupArn)
	read := &iot.DescribeThingGroupInput{ThingGroupName: name}
	d := do(t, a.DescribeThingGroup, read)
	has(t, "parent", d.ThingGroupMetadata.ParentGroupName, *parent)
	has(t, "description", d.ThingGroupProperties.ThingGroupDescription, "one")
	if got := d.ThingGroupProperties.AttributePayload.Attributes; !maps.Equal(got, map[string]string{"a": "1"}) {
		t.Errorf("attributes %v", got)
	}
	do(t, a.UpdateThingGroup, &iot.UpdateThingGroupInput{ThingGroupName: name, ExpectedVersion: &d.Version,
		ThingGroupProperties: &types.ThingGroupProperties{ThingGroupDescription: new("two"),
			AttributePayload: &types.AttributePayload{Attributes: map[string]string{}}}})
	after := do(t, a.DescribeThingGroup, read)
	is(t, "version", after.Version, d.Version+1)
	has(t, "description", after.ThingGroupProperties.ThingGroupDescription, "two")
	if p := after.ThingGroupProperties.AttributePayload; p != nil && len(p.Attributes) > 0 {
		t.Errorf("attributes that were taken away: %v", p.Attributes)
	}

	do(t, a.CreateThing, &iot.CreateThingInput{ThingName: thing})
	member := &iot.ListThingGroupsForThingInput{ThingName: thing}
	do(t, a.AddThingToThingGroup, &iot.AddThingToThingGroupInput{ThingName: thing, ThingGroupName: name})
	names(t, "groups", each(do(t, a.ListThingGroupsForThing, member).ThingGroups, groupName), *name)
	do(t, a.RemoveThingFromThingGroup, &iot.RemoveThingFromThingGroupInput{ThingName: thing, ThingGroupName: name})
	names(t, "groups", each(do(t, a.ListThingGroupsForThing, member).ThingGroups, groupName))
	do(t, a.DeleteThing, &iot.DeleteThingInput{ThingName: thing})
	denied[*types.ResourceNotFoundException](t, a.ListThingGroupsForThing, member)

	for _, group := range []*string{name, parent} {
		do(t, a.DeleteThingGroup, &iot.DeleteThingGroupInput{ThingGroupName: group})
		denied[*types.ResourceNotFoundException](t, a.DescribeThingGroup, &iot.DescribeThingGroupInput{ThingGroupName: group})
	}
}

func tfPrincipalAttachment(t *testing.T, a *sdk) {
	id, arn := tfOwnCertificate(t, a, "principal")
	thing := new("tf-attached")
	do(t, a.CreateThing, &iot.CreateThingInput{ThingName: thing})
	do(t, a.AttachThingPrincipal, &iot.AttachThingPrincipalInput{ThingName: thing, Principal: arn, ThingPrincipalType: types.ThingPrincipalTypeNonExclusiveThing})
	found := do(t, a.ListThingPrincipalsV2, &iot.ListThingPrincipalsV2Input{ThingName: thing}).ThingPrincipalObjects
	if len(found) != 1 || *found[0].Principal != *arn || found[0].ThingPrincipalType != types.ThingPrincipalTypeNonExclusiveThing {
		t.Errorf("principals %+v", found)
	}
	names(t, "principals", do(t, a.ListThingPrincipals, &iot.ListThingPrincipalsInput{ThingName: thing}).Principals, *arn)
	do(t, a.DetachThingPrincipal, &iot.DetachThingPrincipalInput{ThingName: thing, Principal: arn})
	do(t, a.DeleteThing, &iot.DeleteThingInput{ThingName: thing})
	denied[*types.ResourceNotFoundException](t, a.DetachThingPrincipal, &iot.DetachThingPrincipalInput{ThingName: thing, Principal: arn})
	denied[*types.ResourceNotFoundException](t, a.ListThingPrincipalsV2, &iot.ListThingPrincipalsV2Input{ThingName: thing})
	do(t, a.DeleteCertificate, &iot.DeleteCertificateInput{CertificateId: id})
}

// tfEventConfigurations sets all kinds of events, as the provider demands, and
// reads all back.
func tfEventConfigurations(t *testing.T, a *sdk) {
	want := map[string]types.Configuration{}
	for i, kind := range types.EventType("").Values() {
		want[string(kind)] = types.Configuration{Enabled: i%2 == 0 && !slices.Contains([]types.EventType{types.EventTypeJob, types.EventTypeJobExecution}, kind)}
	}
	do(t, a.UpdateEventConfigurations, &iot.UpdateEventConfigurationsInput{EventConfigurations: want})
	if got := do(t, a.DescribeEventConfigurations, &iot.DescribeEventConfigurationsInput{}).EventConfigurations; !maps.Equal(got, want) {
		t.Errorf("configurations %v, want %v", got, want)
	}
}

func tfData(t *testing.T, a *sdk) {
	for _, kind := range []*string{nil, new("iot:Data-ATS")} {
		has(t, "endpoint", do(t, a.DescribeEndpoint, &iot.DescribeEndpointInput{EndpointType: kind}).EndpointAddress, "localhost")
	}
	code := do(t, a.GetRegistrationCode, &iot.GetRegistrationCodeInput{}).RegistrationCode
	is(t, "length of the registration code", len(*code), 64)
}
