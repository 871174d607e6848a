package e2e_test

import (
	"net/url"
	"testing"
)

// The setting that most tests begin with: two policies, a template with a thing
// type and a thing group, an authority.

const template = `{
  "Parameters": {"AWS::IoT::Certificate::CommonName": {"Type": "String"}},
  "Resources": {
    "thing": {"Type": "AWS::IoT::Thing", "Properties": {
      "ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"},
      "ThingTypeName": "sensor", "ThingGroups": ["hall"], "AttributePayload": {"line": "7"}}},
    "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
      "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}},
    "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "device"}}
  }
}`

const devicePolicy = `{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:Connect", "Resource": [
    "arn:aws:iot:*:*:client/${iot:Certificate.Subject.CommonName}", "arn:aws:iot:*:*:client/${iot:Certificate.Subject.CommonName}:*"]},
  {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/telemetry/${iot:ClientId}"},
  {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": "arn:aws:iot:*:*:topicfilter/commands/${iot:ClientId}"},
  {"Effect": "Allow", "Action": "iot:Receive", "Resource": "arn:aws:iot:*:*:topic/commands/${iot:ClientId}"}]}`

const applicationPolicy = `{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/application"},
  {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/commands/*"},
  {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": [
    "arn:aws:iot:*:*:topicfilter/telemetry/+", "arn:aws:iot:*:*:topicfilter/$aws/events/certificates/registered/*"]},
  {"Effect": "Allow", "Action": "iot:Receive", "Resource": [
    "arn:aws:iot:*:*:topic/telemetry/*", "arn:aws:iot:*:*:topic/$aws/events/certificates/registered/*"]}]}`

const (
	accountID = "123456789012"
	role      = "arn:aws:iam::123456789012:role/provisioning"
)

// prepare makes the policies and the template.
func (s *server) prepare(t *testing.T) {
	t.Helper()
	s.call(t, "POST", "/policies/device", nil, object{"policyDocument": devicePolicy})
	s.call(t, "POST", "/policies/application", nil, object{"policyDocument": applicationPolicy})
	s.call(t, "POST", "/thing-types/sensor", nil, object{})
	s.call(t, "POST", "/thing-groups/hall", nil, object{})
	s.call(t, "POST", "/provisioning-templates", nil, object{"templateName": "sensor", "type": "JITP",
		"templateBody": template, "enabled": true, "provisioningRoleArn": role})
}

// provisioned is the registration of an authority whose devices are
// provisioned.
func provisioned() object { return object{"registrationConfig": object{"templateName": "sensor"}} }

// supervised is provisioned, with OCSP.
func supervised(mode string) object {
	body := provisioned()
	body["tags"] = []object{{"Key": "muster:ocsp", "Value": mode}}
	return body
}

// register registers an authority with proof of possession.
func (s *server) register(t *testing.T, a *authority, body object) {
	t.Helper()
	code, _ := s.call(t, "GET", "/registrationcode", nil, nil)["registrationCode"].(string)
	body["caCertificate"] = readFile(t, a.cert)
	body["verificationCertificate"] = readFile(t, a.proof(t, code))
	query := url.Values{"setAsActive": {"true"}, "allowAutoRegistration": {"true"}}
	if got := s.call(t, "POST", "/cacertificate", query, body)["certificateId"]; got != a.id {
		t.Fatalf("authority %s is registered as %v", a.id, got)
	}
}

// application registers a certificate without an authority, for the client that
// hears all devices.
func (s *server) application(t *testing.T) *certificate {
	t.Helper()
	c := selfSigned(t, t.TempDir(), "application")
	body := object{"certificatePem": readFile(t, c.cert), "status": "ACTIVE"}
	s.call(t, "POST", "/certificate/register-no-ca", nil, body)
	s.attach(t, "application", &c)
	return &c
}

func (s *server) attach(t *testing.T, policy string, c *certificate) {
	t.Helper()
	s.call(t, "PUT", "/target-policies/"+policy, nil, object{"target": arn("cert/" + c.id)})
}

func (s *server) setStatus(t *testing.T, c *certificate, status string) {
	t.Helper()
	s.call(t, "PUT", "/certificates/"+c.id, url.Values{"newStatus": {status}}, nil)
}

func (s *server) wantStatus(t *testing.T, c *certificate, status string) {
	t.Helper()
	s.call(t, "GET", "/certificates/"+c.id, nil, nil).want(t, status, "certificateDescription", "status")
}

func arn(resource string) string { return "arn:aws:iot:us-east-1:" + accountID + ":" + resource }
