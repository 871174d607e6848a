package e2e_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

// sdkPolicies writes, versions, attaches and deletes a policy.
func sdkPolicies(t *testing.T, a, b *sdk) {
	name := new("sdk-policy")
	made := do(t, a.CreatePolicy, &iot.CreatePolicyInput{PolicyName: name, PolicyDocument: new(devicePolicy), Tags: []types.Tag{{Key: new("k"), Value: new("v")}}})
	has(t, "ARN", made.PolicyArn, a.arn("policy/sdk-policy"))
	has(t, "document", made.PolicyDocument, devicePolicy)
	has(t, "version", made.PolicyVersionId, "1")
	version := do(t, a.CreatePolicyVersion, &iot.CreatePolicyVersionInput{PolicyName: name, PolicyDocument: new(applicationPolicy)})
	has(t, "second version", version.PolicyVersionId, "2")
	is(t, "default", version.IsDefaultVersion, false)
	has(t, "document in force", do(t, a.GetPolicy, &iot.GetPolicyInput{PolicyName: name}).PolicyDocument, devicePolicy)
	do(t, a.SetDefaultPolicyVersion, &iot.SetDefaultPolicyVersionInput{PolicyName: name, PolicyVersionId: new("2")})
	got := do(t, a.GetPolicy, &iot.GetPolicyInput{PolicyName: name})
	has(t, "document in force", got.PolicyDocument, applicationPolicy)
	has(t, "version in force", got.DefaultVersionId, "2")
	recent(t, "creation", got.CreationDate)
	first := do(t, a.GetPolicyVersion, &iot.GetPolicyVersionInput{PolicyName: name, PolicyVersionId: new("1")})
	has(t, "document of the first", first.PolicyDocument, devicePolicy)
	recent(t, "creation of the first", first.CreationDate)
	versions := do(t, a.ListPolicyVersions, &iot.ListPolicyVersionsInput{PolicyName: name})
	names(t, "versions", each(versions.PolicyVersions, func(v types.PolicyVersion) string {
		return fmt.Sprintf("%s %t %t", *v.VersionId, v.IsDefaultVersion, v.CreateDate != nil)
	}),
		"1 false true", "2 true true")
	for range 3 {
		do(t, a.CreatePolicyVersion, &iot.CreatePolicyVersionInput{PolicyName: name, PolicyDocument: new(devicePolicy)})
	}
	denied[*types.VersionsLimitExceededException](t, a.CreatePolicyVersion, &iot.CreatePolicyVersionInput{PolicyName: name, PolicyDocument: new(devicePolicy)})
	denied[*types.DeleteConflictException](t, a.DeletePolicyVersion, &iot.DeletePolicyVersionInput{PolicyName: name, PolicyVersionId: new("2")})
	denied[*types.DeleteConflictException](t, a.DeletePolicy, &iot.DeletePolicyInput{PolicyName: name})
	for _, id := range []string{"1", "3", "4", "5"} {
		do(t, a.DeletePolicyVersion, &iot.DeletePolicyVersionInput{PolicyName: name, PolicyVersionId: &id})
	}
	sdkTargets(t, a, name)
	denied[*types.ResourceNotFoundException](t, b.GetPolicy, &iot.GetPolicyInput{PolicyName: name})
	do(t, a.DeletePolicy, &iot.DeletePolicyInput{PolicyName: name})
	denied[*types.ResourceNotFoundException](t, a.GetPolicy, &iot.GetPolicyInput{PolicyName: name})
	denied[*types.MalformedPolicyException](t, a.CreatePolicy, &iot.CreatePolicyInput{PolicyName: name, PolicyDocument: new(`{"Version":"2012-10-17"}`)})
}

// sdkTargets attaches a policy to a certificate and a group.
func sdkTargets(t *testing.T, a *sdk, name *string) {
	t.Helper()
	c := selfSigned(t, t.TempDir(), "sdk-target")
	arn := do(t, a.RegisterCertificateWithoutCA, &iot.RegisterCertificateWithoutCAInput{CertificatePem: new(readFile(t, c.cert))}).CertificateArn
	group := do(t, a.CreateThingGroup, &iot.CreateThingGroupInput{ThingGroupName: new("sdk-target")}).ThingGroupArn
	for _, target := range []*string{arn, group} {
		do(t, a.AttachPolicy, &iot.AttachPolicyInput{PolicyName: name, Target: target})
		list := do(t, a.ListAttachedPolicies, &iot.ListAttachedPoliciesInput{Target: target})
		names(t, "policies of "+*target, each(list.Policies, func(p types.Policy) string { return *p.PolicyName + " " + *p.PolicyArn }), "sdk-policy "+a.arn("policy/sdk-policy"))
	}
	names(t, "targets", do(t, a.ListTargetsForPolicy, &iot.ListTargetsForPolicyInput{PolicyName: name}).Targets, *arn, *group)
	denied[*types.DeleteConflictException](t, a.DeletePolicy, &iot.DeletePolicyInput{PolicyName: name})
	for _, target := range []*string{arn, group} {
		do(t, a.DetachPolicy, &iot.DetachPolicyInput{PolicyName: name, Target: target})
	}
	if list := do(t, a.ListPolicies, &iot.ListPoliciesInput{PageSize: new(int32(250))}); !slices.ContainsFunc(list.Policies, func(p types.Policy) bool { return *p.PolicyName == *name }) {
		t.Errorf("%s is not listed", *name)
	}
}

// sdkAuthorization asks what a certificate may do, by its own policy and by that
// of a group.
func sdkAuthorization(t *testing.T, a, _ *sdk) {
	c := selfSigned(t, t.TempDir(), "sdk-judged")
	arn := do(t, a.RegisterCertificateWithoutCA, &iot.RegisterCertificateWithoutCAInput{CertificatePem: new(readFile(t, c.cert)), Status: types.CertificateStatusActive}).CertificateArn
	for name, document := range map[string]string{
		"sdk-may":     `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`,
		"sdk-may-not": `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/secret"}]}`,
	} {
		do(t, a.CreatePolicy, &iot.CreatePolicyInput{PolicyName: &name, PolicyDocument: &document})
	}
	do(t, a.AttachPolicy, &iot.AttachPolicyInput{PolicyName: new("sdk-may"), Target: arn})
	thing, group := new("sdk-judged"), new("sdk-judged")
	do(t, a.CreateThing, &iot.CreateThingInput{ThingName: thing})
	do(t, a.AttachThingPrincipal, &iot.AttachThingPrincipalInput{ThingName: thing, Principal: arn})
	made := do(t, a.CreateThingGroup, &iot.CreateThingGroupInput{ThingGroupName: group})
	do(t, a.AddThingToThingGroup, &iot.AddThingToThingGroupInput{ThingName: thing, ThingGroupName: group})
	do(t, a.AttachPolicy, &iot.AttachPolicyInput{PolicyName: new("sdk-may-not"), Target: made.ThingGroupArn})

	effective := do(t, a.GetEffectivePolicies, &iot.GetEffectivePoliciesInput{Principal: arn, ThingName: thing})
	names(t, "effective policies", each(effective.EffectivePolicies, func(p types.EffectivePolicy) string { return *p.PolicyName }), "sdk-may", "sdk-may-not")
	out := do(t, a.TestAuthorization, &iot.TestAuthorizationInput{Principal: arn, ClientId: thing, AuthInfos: []types.AuthInfo{
		{ActionType: types.ActionTypePublish, Resources: []string{a.arn("topic/open")}},
		{ActionType: types.ActionTypePublish, Resources: []string{a.arn("topic/secret")}},
	}})
	names(t, "decisions", each(out.AuthResults, func(r types.AuthResult) string { return r.AuthInfo.Resources[0] + " " + string(r.AuthDecision) }),
		a.arn("topic/open")+" ALLOWED", a.arn("topic/secret")+" EXPLICIT_DENY")
	out = do(t, a.TestAuthorization, &iot.TestAuthorizationInput{Principal: arn, PolicyNamesToSkip: []string{"sdk-may"},
		AuthInfos: []types.AuthInfo{{ActionType: types.ActionTypeConnect, Resources: []string{a.arn("client/x")}}}})
	is(t, "decision without the policy", out.AuthResults[0].AuthDecision, types.AuthDecisionImplicitDeny)
}
