package e2e_test

//lint:file-ignore SA1019 AWS calls these operations deprecated and has them still, as people's scripts do

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

// sdkPrincipalPolicies uses the operations that AWS has had before targets.
func sdkPrincipalPolicies(t *testing.T, a, _ *sdk) {
	c := selfSigned(t, t.TempDir(), "sdk-principal")
	arn := do(t, a.RegisterCertificateWithoutCA, &iot.RegisterCertificateWithoutCAInput{CertificatePem: new(readFile(t, c.cert))}).CertificateArn
	name := new("sdk-principal")
	do(t, a.CreatePolicy, &iot.CreatePolicyInput{PolicyName: name, PolicyDocument: new(devicePolicy)})
	do(t, a.AttachPrincipalPolicy, &iot.AttachPrincipalPolicyInput{PolicyName: name, Principal: arn})
	list := do(t, a.ListPrincipalPolicies, &iot.ListPrincipalPoliciesInput{Principal: arn})
	names(t, "policies", each(list.Policies, func(p types.Policy) string { return *p.PolicyName }), *name)
	of := do(t, a.ListPolicyPrincipals, &iot.ListPolicyPrincipalsInput{PolicyName: name})
	if len(of.Principals) != 1 || !strings.Contains(of.Principals[0], c.id) {
		t.Errorf("principals %v", of.Principals)
	}
	do(t, a.DetachPrincipalPolicy, &iot.DetachPrincipalPolicyInput{PolicyName: name, Principal: arn})
	do(t, a.DeletePolicy, &iot.DeletePolicyInput{PolicyName: name})
}
