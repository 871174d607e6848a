package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// deviceSDK is where make tools installs AWS's SDK for devices.
const deviceSDK = "testdata/devicesdk"

// sdkDevice runs a device that AWS's SDK makes, and returns what it tells.
func (s *server) sdkDevice(t *testing.T, task object) object {
	t.Helper()
	if _, err := os.Stat(filepath.Join(deviceSDK, "node_modules")); err != nil {
		t.Fatalf("%v; make tools installs it", err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(s.vars["MUSTER_MQTT"], ":")
	task["host"], task["ca"] = "localhost", s.vars["MUSTER_CA"]
	if task["port"], err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	out := command(t, nil, node, filepath.Join(deviceSDK, "device.js"), string(text))
	told := object{}
	if out.code != 0 {
		t.Fatalf("the device ended with %d\n%s%s", out.code, out.stdout, out.stderr)
	}
	if err := json.Unmarshal([]byte(out.stdout), &told); err != nil {
		t.Fatalf("%v in %q", err, out.stdout)
	}
	return told
}

// TestDeviceSDK has devices of AWS's SDK for Node.js registered at their first
// connect (JITP), and provision themselves by claim certificates: one of an
// operator's, with a key that is made for the device, and one that many devices
// share, with a key of the device's own.
func TestDeviceSDK(t *testing.T) {
	s := startServer(t)
	s.prepare(t)
	s.fleetOf(t, nil)
	factory := newAuthority(t, "factory")
	s.call(t, "POST", "/provisioning-templates", nil, object{"templateName": "first-connect", "type": "JITP",
		"templateBody": strings.ReplaceAll(template, `"device"`, `"pump"`), "enabled": true, "provisioningRoleArn": role})
	s.register(t, factory, object{"registrationConfig": object{"templateName": "first-connect"}})
	jitp := factory.device(t, "sdk-1")

	told := s.sdkDevice(t, object{"cert": jitp.cert, "key": jitp.key, "client": "sdk-1", "topic": "pumps/CLIENT"})
	told.want(t, "from sdk-1", "heard")
	s.wantStatus(t, jitp, "ACTIVE")
	s.call(t, "GET", "/things/sdk-1", nil, nil).want(t, "sensor", "thingTypeName")

	dir := t.TempDir()
	claim := s.call(t, "POST", "/provisioning-templates/pumps/provisioning-claim", nil, nil)
	told = s.sdkDevice(t, object{
		"cert":     writeFile(t, filepath.Join(dir, "claim.pem"), claim["certificatePem"].(string)),
		"key":      writeFile(t, filepath.Join(dir, "claim.key"), claim.at("keyPair", "PrivateKey").(string)),
		"template": "pumps", "parameters": object{"SerialNumber": "S1"}, "topic": "pumps/CLIENT",
	})
	told.want(t, "pump-S1", "thingName")
	told.want(t, "https://example.com/S1", "deviceConfiguration", "url")
	told.want(t, "InvalidCertificateOwnershipToken", "refused", "errorCode")
	told.want(t, 400.0, "refused", "statusCode")
	told.want(t, "from pump-S1", "heard")

	shared := s.registered(t, "shared", claimPolicy)
	request, key := csr(t, "pump-S2")
	told = s.sdkDevice(t, object{
		"cert": shared.cert, "key": shared.key, "template": "pumps", "parameters": object{"SerialNumber": "S2"}, "topic": "pumps/CLIENT",
		"csr": writeFile(t, filepath.Join(dir, "pump.csr"), request), "csrKey": key,
	})
	told.want(t, "from pump-S2", "heard")
}
