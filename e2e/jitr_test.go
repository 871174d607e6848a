package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
)

// TestJITR lets a device wait for its operator, who activates it, and later
// revokes it while it is connected.
func TestJITR(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.prepare(t)
	workshop := newAuthority(t, "Workshop CA")
	s.register(t, workshop, object{})
	hears := s.subscribe(t, v5, s.application(t), "$aws/events/certificates/registered/"+workshop.id)

	device := workshop.device(t, "sensor")
	s.refuse(t, device, muster.ReasonPendingActivation)
	checkEvent(t, hears.await(t, "message $aws/events/certificates/registered/"+workshop.id+" "), workshop, device)
	s.aws(t, "describe-certificate", "--certificate-id", device.id).want(t, "PENDING_ACTIVATION", "certificateDescription", "status")

	s.aws(t, "attach-policy", "--policy-name", "device", "--target", arn("cert/"+device.id))
	s.aws(t, "update-certificate", "--certificate-id", device.id, "--new-status", "ACTIVE")
	s.admit(t, v3, device)
	s.admit(t, v5, device)

	s.revokeLive(t, v3, device)

	second := workshop.device(t, "second")
	s.refuse(t, second, muster.ReasonPendingActivation)
	s.attach(t, "device", second)
	s.setStatus(t, second, "ACTIVE")
	s.revokeLive(t, v5, second)
}

// revokeLive revokes a certificate by the AWS command line while a subscriber is
// connected with it, and demands that the connection is closed. mosquitto_sub
// then ends: in version 5 at once, for it is told why; in 3.1.1, which cannot
// tell, it connects again after a second and is refused.
func (s *server) revokeLive(t *testing.T, version string, c *certificate) {
	t.Helper()
	live := s.subscribe(t, version, c, "commands/"+c.name)
	from := s.log.len()
	s.aws(t, "update-certificate", "--certificate-id", c.id, "--new-status", "REVOKED")
	closed := s.await(t, from, "the live connection is closed", func(l line) bool { return l.Event == "kicked" })
	if closed.Certificate != c.id || closed.Reason != string(muster.ReasonRevoked) {
		t.Errorf("closed was %s", closed.text)
	}
	select {
	case <-live.ended:
	case <-time.After(5 * time.Second):
		t.Fatalf("mosquitto_sub of version %s still runs, 5 s after the revocation", version)
	}
	want := map[string]string{v3: toldOf(muster.ReasonRevoked).words3, v5: "Received DISCONNECT (152)"} // 0x98
	if !strings.Contains(live.printed(), want[version]) {
		t.Errorf("mosquitto_sub of version %s did not print %q", version, want[version])
	}
	s.refuse(t, c, muster.ReasonRevoked)
}

// checkEvent demands the members of AWS's event, of the first connect of a
// device.
func checkEvent(t *testing.T, text string, a *authority, c *certificate) {
	t.Helper()
	var event map[string]any
	if err := json.Unmarshal([]byte(text), &event); err != nil {
		t.Fatalf("%v in the event %q", err, text)
	}
	at, _ := event["timestamp"].(float64)
	if age := time.Since(time.UnixMilli(int64(at))); age < 0 || age > time.Minute {
		t.Errorf("timestamp %v is %v ago", event["timestamp"], age)
	}
	delete(event, "timestamp")
	want := map[string]any{
		"certificateId": c.id, "caCertificateId": a.id, "certificateStatus": "PENDING_ACTIVATION",
		"awsAccountId": accountID, "certificateRegistrationTimestamp": nil,
	}
	for name, value := range want {
		if got, ok := event[name]; !ok || got != value {
			t.Errorf("event member %s is %v, want %v", name, got, value)
		}
		delete(event, name)
	}
	if len(event) > 0 {
		t.Errorf("the event has other members too: %v", event)
	}
}
