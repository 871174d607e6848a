package e2e_test

import (
	"testing"
)

// TestJITP is the main job, with nothing but the tools of others: an operator
// with the AWS command line and openssl, devices and an application of
// mosquitto. What the devices show is what such people make: keys on a curve and
// RSA keys, certificates with extensions and of X.509 version 1.
func TestJITP(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	factory := newAuthority(t, "Factory CA")
	operateJITP(t, s, factory)

	application := selfSigned(t, t.TempDir(), "application")
	s.aws(t, "register-certificate-without-ca", "--certificate-pem", "file://"+application.cert, "--status", "ACTIVE").
		want(t, application.id, "certificateId")
	s.aws(t, "attach-policy", "--policy-name", "application", "--target", arn("cert/"+application.id))
	hears := s.subscribe(t, v5, &application, "telemetry/+")

	sensor := factory.device(t, "sensor-1")
	old := factory.issue(t, "sensor-2", rsa, "")
	s.admit(t, v3, sensor)
	s.admit(t, v5, old)
	for _, c := range []*certificate{sensor, old} {
		hears.await(t, "message telemetry/"+c.name+" from "+c.name)
	}

	answer := s.aws(t, "describe-certificate", "--certificate-id", sensor.id)
	answer.want(t, "ACTIVE", "certificateDescription", "status")
	answer.want(t, factory.id, "certificateDescription", "caCertificateId")
	answer.want(t, readFile(t, sensor.cert), "certificateDescription", "certificatePem")
	answer = s.aws(t, "describe-thing", "--thing-name", "sensor-2")
	answer.want(t, "sensor", "thingTypeName")
	answer.want(t, "7", "attributes", "line")
	answer.want(t, arn("thing/sensor-2"), "thingArn")
	if things, _ := s.aws(t, "list-things")["things"].([]any); len(things) != 2 {
		t.Errorf("things are %v, want 2", things)
	}
	answer = s.aws(t, "list-certificates-by-ca", "--ca-certificate-id", factory.id)
	if certificates, _ := answer["certificates"].([]any); len(certificates) != 2 {
		t.Errorf("certificates of the authority are %v, want 2", certificates)
	}
}

// operateJITP registers an authority and the template of its devices by the AWS
// command line.
func operateJITP(t *testing.T, s *server, factory *authority) {
	t.Helper()
	code, _ := s.aws(t, "get-registration-code")["registrationCode"].(string)
	s.aws(t, "create-policy", "--policy-name", "device", "--policy-document", devicePolicy)
	s.aws(t, "create-policy", "--policy-name", "application", "--policy-document", applicationPolicy)
	s.aws(t, "create-thing-type", "--thing-type-name", "sensor")
	s.aws(t, "create-thing-group", "--thing-group-name", "hall")
	s.aws(t, "create-provisioning-template", "--template-name", "sensor", "--type", "JITP", "--enabled",
		"--provisioning-role-arn", role, "--template-body", template)
	s.aws(t, "register-ca-certificate", "--ca-certificate", "file://"+factory.cert,
		"--verification-certificate", "file://"+factory.proof(t, code),
		"--registration-config", "templateName=sensor", "--set-as-active", "--allow-auto-registration").
		want(t, factory.id, "certificateId")
	answer := s.aws(t, "describe-ca-certificate", "--certificate-id", factory.id)
	answer.want(t, "ACTIVE", "certificateDescription", "status")
	answer.want(t, "ENABLE", "certificateDescription", "autoRegistrationStatus")
}
