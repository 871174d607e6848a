package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// list returns the value of a name in each object of a list.
func (o object) list(name, of string) (all []string) {
	items, _ := o.at(name).([]any)
	for _, item := range items {
		object, _ := item.(map[string]any)
		all = append(all, fmt.Sprint(object[of]))
	}
	return all
}

// awsFails demands that the AWS command line ends by this error.
func (s *server) awsFails(t *testing.T, code string, args ...string) {
	t.Helper()
	if out := s.awsCommand(t, args...); out.code == 0 || !strings.Contains(out.stderr, "An error occurred ("+code+")") {
		t.Errorf("aws iot %s: exit %d, %s; want %s", strings.Join(args, " "), out.code, out.stderr, code)
	}
}

// TestAWSCommandLine is what a person would script: versions of a policy, tags,
// lists longer than a page, and a certificate that moves to another account.
// What devices do with an authority and a template is in TestJITP.
func TestAWSCommandLine(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.certify(t)
	s.start(t)
	s.succeeds(t, "account", "create", secondAccount, "--endpoint", secondEndpoint)
	t.Run("policies", func(t *testing.T) { t.Parallel(); s.scriptPolicies(t) })
	t.Run("pages", func(t *testing.T) { t.Parallel(); s.scriptPages(t) })
	t.Run("transfer", func(t *testing.T) { t.Parallel(); s.scriptTransfer(t, s.as(s.newKey(t, secondAccount))) })
}

func (s *server) scriptPolicies(t *testing.T) {
	s.aws(t, "create-policy", "--policy-name", "cli", "--policy-document", devicePolicy, "--tags", "Key=line,Value=7")
	s.aws(t, "create-policy-version", "--policy-name", "cli", "--policy-document", applicationPolicy, "--set-as-default").want(t, "2", "policyVersionId")
	s.aws(t, "get-policy", "--policy-name", "cli").want(t, applicationPolicy, "policyDocument")
	names(t, "versions", s.aws(t, "list-policy-versions", "--policy-name", "cli").list("policyVersions", "versionId"), "1", "2")
	s.awsFails(t, "DeleteConflictException", "delete-policy-version", "--policy-name", "cli", "--policy-version-id", "2")
	s.aws(t, "set-default-policy-version", "--policy-name", "cli", "--policy-version-id", "1")
	s.aws(t, "delete-policy-version", "--policy-name", "cli", "--policy-version-id", "2")
	s.aws(t, "tag-resource", "--resource-arn", arn("policy/cli"), "--tags", "Key=site,Value=north")
	s.aws(t, "untag-resource", "--resource-arn", arn("policy/cli"), "--tag-keys", "line")
	names(t, "tags", s.aws(t, "list-tags-for-resource", "--resource-arn", arn("policy/cli")).list("tags", "Value"), "north")
	s.aws(t, "delete-policy", "--policy-name", "cli")
	s.awsFails(t, "ResourceNotFoundException", "get-policy", "--policy-name", "cli")
	s.awsFails(t, "InvalidRequestException", "list-jobs")
}

func (s *server) scriptPages(t *testing.T) {
	const count = 60
	var made []string
	for i := range count {
		name := fmt.Sprintf("page-%02d", i)
		s.call(t, "POST", "/things/"+name, nil, object{})
		s.call(t, "POST", "/policies/"+name, nil, object{"policyDocument": devicePolicy})
		made = append(made, name)
	}
	paged := func(all []string) (found []string) {
		for _, name := range all {
			if strings.HasPrefix(name, "page-") {
				found = append(found, name)
			}
		}
		return found
	}
	names(t, "things", paged(s.aws(t, "list-things", "--page-size", "7").list("things", "thingName")), made...)
	names(t, "policies", paged(s.aws(t, "list-policies").list("policies", "policyName")), made...)
	first := s.aws(t, "list-policies", "--max-items", "3")
	token, _ := first.at("NextToken").(string)
	rest := s.aws(t, "list-policies", "--starting-token", token)
	if n := len(first.list("policies", "policyName")) + len(rest.list("policies", "policyName")); n < count {
		t.Errorf("%d policies in two calls, want %d and more", n, count)
	}
}

func (s *server) scriptTransfer(t *testing.T, other *server) {
	own := selfSigned(t, t.TempDir(), "pump")
	s.aws(t, "register-certificate-without-ca", "--certificate-pem", "file://"+own.cert, "--status", "INACTIVE")
	s.awsFails(t, "ResourceNotFoundException", "transfer-certificate", "--certificate-id", strings.Repeat("0", 64), "--target-aws-account", secondAccount)
	s.aws(t, "transfer-certificate", "--certificate-id", own.id, "--target-aws-account", secondAccount, "--transfer-message", "for the plant").
		want(t, "arn:aws:iot:us-east-1:"+secondAccount+":cert/"+own.id, "transferredCertificateArn")
	names(t, "outgoing certificates", s.aws(t, "list-outgoing-certificates").list("outgoingCertificates", "certificateId"), own.id)
	s.awsFails(t, "CertificateStateException", "update-certificate", "--certificate-id", own.id, "--new-status", "ACTIVE")
	other.aws(t, "accept-certificate-transfer", "--certificate-id", own.id, "--set-as-active")
	answer := other.aws(t, "describe-certificate", "--certificate-id", own.id)
	answer.want(t, "ACTIVE", "certificateDescription", "status")
	answer.want(t, accountID, "certificateDescription", "previousOwnedBy")
	answer.want(t, "for the plant", "certificateDescription", "transferData", "transferMessage")
	s.unknownToAWS(t, &own)
	s.awsFails(t, "TransferAlreadyCompletedException", "cancel-certificate-transfer", "--certificate-id", own.id)
}
