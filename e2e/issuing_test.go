package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
)

// made is a certificate with its key as the API answered it.
func made(t *testing.T, name string, answer object) *certificate {
	t.Helper()
	dir := t.TempDir()
	c := &certificate{name: name}
	c.id, _ = answer.at("certificateId").(string)
	text, _ := answer.at("certificatePem").(string)
	key, _ := answer.at("keyPair", "PrivateKey").(string)
	c.cert, c.key = writeFile(t, filepath.Join(dir, "cert.pem"), text), writeFile(t, filepath.Join(dir, "key.pem"), key)
	return c
}

// TestIssued leads a certificate that the server made, with its key, through its
// life: the record alone lets it in.
func TestIssued(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.call(t, "POST", "/policies/all", nil, object{
		"policyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`})
	device := made(t, "pump", s.aws(t, "create-keys-and-certificate"))
	s.refuse(t, device, muster.ReasonInactive)
	s.aws(t, "update-certificate", "--certificate-id", device.id, "--new-status", "ACTIVE")
	s.refuse(t, device, muster.ReasonPolicyDenied)
	s.attach(t, "all", device)
	s.admit(t, v3, device)
	s.admit(t, v5, device)
	s.revokeLive(t, v5, device)
	s.aws(t, "delete-certificate", "--certificate-id", device.id, "--force-delete")
	s.refuse(t, device, muster.ReasonDeleted)

	if text := s.log.text(); strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, strings.Split(readFile(t, device.key), "\n")[5]) {
		t.Error("the log holds a private key")
	}
}

// TestClaimIsConfined tries what a claim has no business with.
func TestClaimIsConfined(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.call(t, "POST", "/provisioning-templates", nil, object{"templateName": "pumps", "templateBody": fleetTemplate,
		"enabled": true, "provisioningRoleArn": role})
	claim := made(t, "installer", s.aws(t, "create-provisioning-claim", "--template-name", "pumps"))
	for _, topic := range []string{"telemetry/installer", "$aws/certificates/create/json/accepted", "$aws/things/x/shadow/update"} {
		out := command(t, nil, "mosquitto_pub", s.mosquitto(t, v5, claim, "-t", topic, "-m", "{}")...)
		if !strings.Contains(out.stderr, "Not authorized") {
			t.Errorf("published to %s: %+v", topic, out)
		}
	}
	for _, filter := range []string{"#", "$aws/certificates/#", "$aws/provisioning-templates/+/provision/json/accepted"} {
		out := command(t, nil, "mosquitto_sub", s.mosquitto(t, v5, claim, "-t", filter, "-E")...)
		if !strings.Contains(out.stderr, "denied") {
			t.Errorf("subscribed to %s: %+v", filter, out)
		}
	}
	s.unknownToAWS(t, claim)
	if certificates := s.aws(t, "list-certificates").at("certificates").([]any); len(certificates) > 0 {
		t.Errorf("listed: %v", certificates)
	}
}

// TestIssuingPage runs docs/issuing.md as it is written.
func TestIssuingPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/issuing.md", "")
}
