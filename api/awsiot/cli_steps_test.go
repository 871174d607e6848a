package awsiot_test

import (
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
)

func testCLIAuthority(t *testing.T, c *cli, certificate []byte, verification func(string) (*mint.Leaf, error)) string {
	proof, err := verification(text(t, c.run(t, "get-registration-code"), "registrationCode"))
	if err != nil {
		t.Fatal(err)
	}
	answer := c.run(t, "create-provisioning-template", "--template-name", "jitp", "--type", "JITP", "--enabled",
		"--provisioning-role-arn", role, "--template-body", jitpTemplate, "--description", "one thing a device")
	want(t, answer, "arn:aws:iot:us-east-1:123456789012:provisioningtemplate/jitp", "templateArn")
	want(t, answer, 1.0, "defaultVersionId")

	answer = c.run(t, "register-ca-certificate", "--set-as-active", "--allow-auto-registration",
		"--ca-certificate", c.file(t, "ca.pem", certificate),
		"--verification-certificate", c.file(t, "proof.pem", proof.CertPEM()),
		"--registration-config", "templateName=jitp", "--tags", "Key=muster:ocsp,Value=soft")
	ca := text(t, answer, "certificateId")
	want(t, answer, muster.ARN(region, account, "cacert/"+ca), "certificateArn")

	answer = c.run(t, "describe-ca-certificate", "--certificate-id", ca)
	const d = "certificateDescription"
	want(t, answer, string(certificate), d, "certificatePem")
	want(t, answer, "ACTIVE", d, "status")
	want(t, answer, "ENABLE", d, "autoRegistrationStatus")
	want(t, answer, "DEFAULT", d, "certificateMode")
	want(t, answer, account, d, "ownedBy")
	want(t, answer, 1.0, d, "customerVersion")
	want(t, answer, "jitp", "registrationConfig", "templateName")
	if text(t, answer, d, "generationId") == "" || !strings.HasPrefix(text(t, answer, d, "validity", "notAfter"), "20") {
		t.Errorf("%v", answer)
	}
	c.run(t, "update-ca-certificate", "--certificate-id", ca, "--remove-auto-registration",
		"--new-auto-registration-status", "DISABLE")
	if got := count(t, c.run(t, "list-ca-certificates", "--template-name", "jitp"), "certificates"); got != 0 {
		t.Errorf("%d authorities with the template that was removed", got)
	}
	return ca
}

func testCLITags(t *testing.T, c *cli, arn string) {
	c.run(t, "tag-resource", "--resource-arn", arn, "--tags", "Key=line,Value=7", "Key=muster:ocsp,Value=hard")
	c.run(t, "untag-resource", "--resource-arn", arn, "--tag-keys", "line")
	answer := c.run(t, "list-tags-for-resource", "--resource-arn", arn)
	if got := count(t, answer, "tags"); got != 1 {
		t.Errorf("tags %v, want muster:ocsp alone", answer)
	}
}

func testCLICertificates(t *testing.T, c *cli, ca, file string) string {
	answer := c.run(t, "register-certificate", "--certificate-pem", file, "--set-as-active",
		"--ca-certificate-pem", "file://"+c.dir+"/ca.pem")
	device := text(t, answer, "certificateId")
	want(t, answer, muster.ARN(region, account, "cert/"+device), "certificateArn")

	c.run(t, "register-certificate-without-ca", "--status", "INACTIVE",
		"--certificate-pem", c.file(t, "own.pem", selfSigned(t)))
	for range 24 {
		c.server.call(t, "POST", "/certificate/register-no-ca", members(t, "certificatePem", string(selfSigned(t))), nil)
	}

	answer = c.run(t, "describe-certificate", "--certificate-id", device)
	const d = "certificateDescription"
	want(t, answer, "ACTIVE", d, "status")
	want(t, answer, ca, d, "caCertificateId")
	want(t, answer, "DEFAULT", d, "certificateMode")
	want(t, answer, account, d, "ownedBy")

	// One more than fits in a page: aws-cli goes on by nextMarker.
	if got := count(t, c.run(t, "list-certificates"), "certificates"); got != 26 {
		t.Errorf("%d certificates, want 26", got)
	}
	answer = c.run(t, "list-certificates-by-ca", "--ca-certificate-id", ca, "--ascending-order")
	if got := count(t, answer, "certificates"); got != 1 {
		t.Errorf("%d certificates of the authority, want 1", got)
	}
	return device
}

func testCLIPolicies(t *testing.T, c *cli, target string) {
	answer := c.run(t, "create-policy", "--policy-name", "connect", "--policy-document", allowConnect)
	want(t, answer, "1", "policyVersionId")
	answer = c.run(t, "get-policy", "--policy-name", "connect")
	want(t, answer, allowConnect, "policyDocument")
	want(t, answer, "1", "defaultVersionId")
	want(t, answer, "arn:aws:iot:us-east-1:123456789012:policy/connect", "policyArn")
	c.run(t, "attach-policy", "--policy-name", "connect", "--target", target)
	// The path has an escaped ARN, over which the signature must hold.
	answer = c.run(t, "list-attached-policies", "--target", target, "--recursive")
	if got := count(t, answer, "policies"); got != 1 {
		t.Errorf("%d policies attached, want 1", got)
	}
	c.refuse(t, "DeleteConflictException", "delete-policy", "--policy-name", "connect")
	c.run(t, "detach-policy", "--policy-name", "connect", "--target", target)
	c.run(t, "delete-policy", "--policy-name", "connect")
	if got := count(t, c.run(t, "list-policies"), "policies"); got != 0 {
		t.Errorf("%d policies, want none", got)
	}
}

func testCLIThings(t *testing.T, c *cli) {
	answer := c.run(t, "create-thing-type", "--thing-type-name", "sensor",
		"--thing-type-properties", "thingTypeDescription=measures,searchableAttributes=line")
	want(t, answer, "arn:aws:iot:us-east-1:123456789012:thingtype/sensor", "thingTypeArn")
	answer = c.run(t, "create-thing-group", "--thing-group-name", "hall",
		"--thing-group-properties", "thingGroupDescription=the hall,attributePayload={attributes={floor=1}}")
	want(t, answer, "arn:aws:iot:us-east-1:123456789012:thinggroup/hall", "thingGroupArn")

	answer = c.run(t, "create-thing", "--thing-name", "t:1", "--thing-type-name", "sensor",
		"--attribute-payload", "attributes={line=7}")
	want(t, answer, "arn:aws:iot:us-east-1:123456789012:thing/t:1", "thingArn")
	answer = c.run(t, "describe-thing", "--thing-name", "t:1")
	want(t, answer, "t:1", "defaultClientId")
	want(t, answer, "sensor", "thingTypeName")
	want(t, answer, "7", "attributes", "line")
	want(t, answer, "arn:aws:iot:us-east-1:123456789012:thing/t:1", "thingArn")
	answer = c.run(t, "list-things", "--attribute-name", "line", "--attribute-value", "7", "--page-size", "1")
	if got := count(t, answer, "things"); got != 1 {
		t.Errorf("%d things, want 1", got)
	}
	answer = c.run(t, "describe-endpoint", "--endpoint-type", "iot:Data-ATS")
	want(t, answer, account+"."+endpoint, "endpointAddress")
}

// testCLIProvisioned takes apart what a template made at a first connect.
func testCLIProvisioned(t *testing.T, c *cli, ca, pem string) {
	c.run(t, "update-ca-certificate", "--certificate-id", ca, "--new-auto-registration-status", "ENABLE")
	made, err := c.server.store.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: ca, PEM: pem,
		Registration: &muster.Registration{
			Status:   muster.Active,
			Thing:    &muster.RegistrationThing{Name: "lamp"},
			Policies: []muster.RegistrationGrant{{Name: "generated", Document: allowConnect}},
		}})
	if err != nil || made.Status != muster.Active {
		t.Fatalf("%+v, %v", made, err)
	}
	arn := muster.ARN(region, account, "cert/"+made.ID)
	answer := c.run(t, "list-thing-principals", "--thing-name", "lamp")
	if got := count(t, answer, "principals"); got != 1 || at(t, answer, "principals").([]any)[0] != arn {
		t.Errorf("%v, want %s", answer, arn)
	}
	c.run(t, "attach-thing-principal", "--thing-name", "t:1", "--principal", arn)
	c.run(t, "update-certificate", "--certificate-id", made.ID, "--new-status", "INACTIVE")
	c.refuse(t, "DeleteConflictException", "delete-certificate", "--certificate-id", made.ID, "--force-delete")
	c.refuse(t, "InvalidRequestException", "delete-thing", "--thing-name", "lamp")
	for _, thing := range []string{"lamp", "t:1"} {
		c.run(t, "detach-thing-principal", "--thing-name", thing, "--principal", arn)
		c.run(t, "delete-thing", "--thing-name", thing)
	}
	c.refuse(t, "DeleteConflictException", "delete-certificate", "--certificate-id", made.ID)
	c.run(t, "detach-policy", "--policy-name", "generated", "--target", arn)
	c.run(t, "delete-certificate", "--certificate-id", made.ID)
	c.run(t, "delete-policy", "--policy-name", "generated")
}

func testCLIRefusals(t *testing.T, c *cli, device string) {
	c.refuse(t, "ResourceNotFoundException", "describe-certificate", "--certificate-id", strings.Repeat("0", 64))
	c.refuse(t, "CertificateStateException", "delete-certificate", "--certificate-id", device)
	c.refuse(t, "InvalidRequestException", "describe-endpoint", "--endpoint-type", "iot:Data")
	c.refuse(t, "InvalidRequestException", "list-jobs") // Muster has no jobs

	wrong := *c
	wrong.env = append(wrong.env[:len(wrong.env):len(wrong.env)], "AWS_SECRET_ACCESS_KEY="+strings.Repeat("x", 40))
	wrong.refuse(t, "InvalidSignatureException", "get-registration-code")
	wrong.env = append(wrong.env[:len(wrong.env):len(wrong.env)], "AWS_ACCESS_KEY_ID=AKIA0000000000000000")
	wrong.refuse(t, "UnrecognizedClientException", "get-registration-code")
	wrong.env = append(c.env[:len(c.env):len(c.env)], "AWS_DEFAULT_REGION=eu-west-1")
	wrong.refuse(t, "InvalidSignatureException", "get-registration-code")
}

func testCLIEnd(t *testing.T, c *cli, ca, device string) {
	c.run(t, "update-certificate", "--certificate-id", device, "--new-status", "REVOKED")
	c.run(t, "delete-certificate", "--certificate-id", device, "--force-delete")
	c.run(t, "update-ca-certificate", "--certificate-id", ca, "--new-status", "INACTIVE")
	c.run(t, "delete-ca-certificate", "--certificate-id", ca)
	c.run(t, "delete-registration-code")
	c.refuse(t, "ResourceNotFoundException", "delete-registration-code")
}
