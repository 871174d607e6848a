package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
)

// TestPolicyVersions: a version that comes in force is so for live sessions at
// once, whoever sets it.
func TestPolicyVersions(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	const connect = `{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}`
	hears := func(topics ...string) string {
		return fmt.Sprintf(`{"Effect":"Allow","Action":["iot:Subscribe","iot:Receive"],"Resource":["arn:aws:iot:*:*:topic*/%s"]}`, strings.Join(topics, `","arn:aws:iot:*:*:topic*/`))
	}
	sensor := s.registered(t, "sensor", statements(connect, hears("news", "own")))
	speaker := s.registered(t, "speaker", statements(`{"Effect":"Allow","Action":"iot:*","Resource":"*"}`))
	version := func(document string, flags ...string) {
		t.Helper()
		s.aws(t, append([]string{"create-policy-version", "--policy-name", "sensor-0", "--policy-document", document}, flags...)...)
	}
	live := s.subscribe(t, v5, sensor, "news", "own")
	n := 0
	heard := func() bool {
		n++
		for _, topic := range []string{"news", "own"} {
			command(t, nil, "mosquitto_pub", s.mosquitto(t, v5, speaker, "-t", topic, "-m", fmt.Sprintf("number-%d.", n))...)
		}
		live.await(t, fmt.Sprintf("message own number-%d.", n))
		return strings.Contains(live.printed(), fmt.Sprintf("message news number-%d.", n))
	}
	version(statements(connect, hears("own")))
	if !heard() {
		t.Error("a version that is not in force took something away")
	}
	s.aws(t, "set-default-policy-version", "--policy-name", "sensor-0", "--policy-version-id", "2")
	eventually(t, 10*time.Second, "the subscription ends with the version", func() bool { return !heard() })

	from := s.log.len()
	version(statements(`{"Sid":"closed","Effect":"Deny","Action":"iot:Connect","Resource":"*"}`), "--set-as-default")
	l := s.await(t, from, "the connection is closed", func(l line) bool { return l.Event == "kicked" && l.Certificate == sensor.id })
	if l.Reason != string(muster.ReasonPolicyDenied) || !strings.Contains(l.text, `policy sensor-0 version 3, Statement[0] (Sid \"closed\"), denies iot:Connect`) {
		t.Errorf("closed by %s", l.text)
	}
	s.refuse(t, sensor, muster.ReasonPolicyDenied)

	printed := s.succeeds(t, "policy", "default", "sensor-0", "1")
	if missing := firstMissing("1  20…Z  in force\n2  20…Z\n3  20…Z\n", printed); missing != "" {
		t.Errorf("muster policy default prints\n%s\nwithout %q", printed, missing)
	}
	if got := s.succeeds(t, "policy", "versions", "sensor-0"); got != printed {
		t.Errorf("muster policy versions prints %q", got)
	}
	s.subscribe(t, v5, sensor, "news", "own")
	fails(t, s.operator(t, "policy", "default", "sensor-0", "4"), 1, "policy sensor-0: version 4: not found")
	fails(t, s.operator(t, "policy", "versions", "nothing"), 1, "policy nothing: not found")
}
