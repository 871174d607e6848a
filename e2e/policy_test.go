package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
)

// may asks muster policy test about one action of a client that has its
// certificate's name.
func (s *server) may(t *testing.T, c *certificate, args ...string) (allowed bool, printed string) {
	t.Helper()
	out := program(t, append([]string{"policy", "test", "--config", s.config(), "--cert", c.id, "--client", c.name}, args...)...)
	if out.code > 1 || (out.code == 1) != strings.HasPrefix(out.stderr, "muster: denied: ") {
		t.Fatalf("muster policy test %s: %+v", strings.Join(args, " "), out)
	}
	return out.code == 0, out.stdout
}

// registered registers a certificate without an authority, ACTIVE, with
// policies of its own.
func (s *server) registered(t *testing.T, name string, policies ...string) *certificate {
	t.Helper()
	c := selfSigned(t, t.TempDir(), name)
	s.call(t, "POST", "/certificate/register-no-ca", nil, object{"certificatePem": readFile(t, c.cert), "status": "ACTIVE"})
	for i, document := range policies {
		policy := fmt.Sprintf("%s-%d", name, i)
		s.call(t, "POST", "/policies/"+policy, nil, object{"policyDocument": document})
		s.attach(t, policy, &c)
	}
	return &c
}

func statements(all ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(all, ",") + `]}`
}

// conditioned registers clients that differ in the condition of their connect.
func (s *server) conditioned(t *testing.T) map[string]*certificate {
	t.Helper()
	const publish = `{"Effect":"Allow","Action":"iot:Publish","Resource":"*"}`
	connect := func(condition string) string {
		return `{"Sid":"come","Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Certificate.Subject.CommonName}","Condition":` + condition + `}`
	}
	return map[string]*certificate{
		"plain":      s.registered(t, "plain", statements(connect(`{"ForAllValues:StringEquals":{"iot:ConnectAttributes":[]}}`), publish)),
		"willing":    s.registered(t, "willing", statements(connect(`{"ForAllValues:StringEquals":{"iot:ConnectAttributes":["LastWill"]}}`), publish)),
		"persistent": s.registered(t, "persistent", statements(connect(`{"ForAnyValue:StringEquals":{"iot:ConnectAttributes":"PersistentConnect"}}`), publish)),
		"topical":    s.registered(t, "topical", statements(connect(`{"ArnLike":{"iot:LastWillTopic":"arn:aws:iot:*:*:topic/status/${iot:ClientId}"}}`), publish)),
		"local":      s.registered(t, "local", statements(connect(`{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"},"DateGreaterThan":{"aws:CurrentTime":"2020-01-01"}}`), publish)),
	}
}

// TestPolicyConditions connects with and without a will and a session that is to
// stay, and asks muster policy test the same.
func TestPolicyConditions(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	clients := s.conditioned(t)
	will := func(topic string) []string { return []string{"--will-topic", topic, "--will-payload", "gone"} }
	for _, tc := range []struct {
		what, version string
		mosquitto     []string // its flags
		asked         []string // those of muster policy test
		admitted      string   // who is let in
	}{
		{"as usual", v3, nil, nil, "local plain willing"},
		{"as usual", v5, nil, nil, "local plain willing"},
		{"a will", v3, will("status/topical"), []string{"--will-topic", "status/topical"}, "local topical willing"},
		{"a will", v5, will("status/topical"), []string{"--will-topic", "status/topical"}, "local topical willing"},
		{"a will elsewhere", v5, will("elsewhere"), []string{"--will-topic", "elsewhere"}, "local willing"},
		{"a session that stays", v3, []string{"-c"}, []string{"--connect-attribute", "PersistentConnect"}, "local persistent"},
		{"a session that stays", v5, []string{"-x", "60"}, []string{"--connect-attribute", "PersistentConnect"}, "local persistent"},
		{"both", v5, append(will("w"), "-x", "60"), []string{"--connect-attribute", "PersistentConnect", "--will-topic", "w"}, "local persistent"},
	} {
		for name, c := range clients {
			what := fmt.Sprintf("%s with %s by version %s", name, tc.what, tc.version)
			from := s.log.len()
			out := command(t, nil, "mosquitto_sub", s.mosquitto(t, tc.version, c, append(tc.mosquitto, "-t", "x", "-E")...)...)
			admitted := !strings.Contains(out.stderr, "Connection error")
			if want := slices.Contains(strings.Fields(tc.admitted), name); admitted != want {
				t.Errorf("%s: admitted %t, want %t: %+v", what, admitted, want, out)
			}
			allowed, printed := s.may(t, c, append([]string{"--connect", "--source-ip", "127.0.0.1"}, tc.asked...)...)
			if allowed != admitted {
				t.Errorf("%s: admitted %t, and muster policy test says\n%s", what, admitted, printed)
			}
			if admitted {
				continue
			}
			l := s.await(t, from, what+" is refused", func(l line) bool { return l.Event == "refused" && l.Certificate == c.id })
			for _, word := range []string{"policy_denied", "policy " + name + `-0 version 1, Statement[0] (Sid \"come\"), but Condition `} {
				if !strings.Contains(l.text, word) {
					t.Errorf("%s: the log does not say %q: %s", what, word, l.text)
				}
			}
		}
	}
	s.explained(t, clients["plain"].cert, "for policy_denied", "Condition ForAllValues:StringEquals iot:ConnectAttributes []: it is ")
}

// building puts a thing into a group in a group, by the AWS command line.
func (s *server) building(t *testing.T, thing string, c *certificate) {
	t.Helper()
	s.aws(t, "create-thing-group", "--thing-group-name", "building")
	s.aws(t, "create-thing-group", "--thing-group-name", "floor", "--parent-group-name", "building")
	s.aws(t, "create-thing", "--thing-name", thing, "--attribute-payload", "attributes={line=7}")
	s.aws(t, "attach-thing-principal", "--thing-name", thing, "--principal", arn("cert/"+c.id))
	s.aws(t, "add-thing-to-thing-group", "--thing-name", thing, "--thing-group-name", "floor")
}

// inherited demands that a policy of the building reaches the floor and what is
// in it.
func (s *server) inherited(t *testing.T, sensor *certificate) {
	t.Helper()
	for recursive, want := range map[string]int{"--no-recursive": 0, "--recursive": 1} {
		if got := s.aws(t, "list-attached-policies", "--target", arn("thinggroup/floor"), recursive)["policies"].([]any); len(got) != want {
			t.Errorf("policies of the floor, %s: %v", recursive, got)
		}
	}
	for filter, want := range map[string]bool{"news/7/#": true, "news/8/#": false, "$share/g/news/7/#": true} {
		if allowed, printed := s.may(t, sensor, "--subscribe", filter); allowed != want {
			t.Errorf("%s: allowed %t:\n%s", filter, allowed, printed)
		}
	}
}

// TestGroupPolicies: a policy of a group's parent reaches a device that is
// connected, and leaves it again with its subscription.
func TestGroupPolicies(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	sensor := s.registered(t, "sensor", statements(
		`{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/sensor"}`,
		`{"Effect":"Allow","Action":["iot:Subscribe","iot:Receive"],"Resource":["arn:aws:iot:*:*:topicfilter/own/#","arn:aws:iot:*:*:topic/own/*"]}`))
	speaker := s.registered(t, "speaker", statements(`{"Effect":"Allow","Action":"iot:*","Resource":"*"}`))
	s.building(t, "sensor", sensor)
	s.aws(t, "create-policy", "--policy-name", "news", "--policy-document", statements(
		`{"Effect":"Allow","Action":["iot:Subscribe","iot:Receive"],"Resource":["arn:aws:iot:*:*:topicfilter/news/${iot:Connection.Thing.Attributes[line]}/#","arn:aws:iot:*:*:topic/news/*"]}`))

	if allowed, printed := s.may(t, sensor, "--subscribe", "news/7/#"); allowed {
		t.Errorf("before the policy is attached:\n%s", printed)
	}
	s.aws(t, "attach-policy", "--policy-name", "news", "--target", arn("thinggroup/building"))
	s.inherited(t, sensor)

	live := s.subscribe(t, v5, sensor, "news/7/#", "own/#")
	n := 0
	// heard publishes news and then what is heard in any case, and reports whether
	// the news came.
	heard := func() bool {
		n++
		for _, topic := range []string{"news/7/x", "own/x"} {
			command(t, nil, "mosquitto_pub", s.mosquitto(t, v5, speaker, "-t", topic, "-m", fmt.Sprintf("number-%d.", n))...)
		}
		live.await(t, fmt.Sprintf("message own/x number-%d.", n))
		return strings.Contains(live.printed(), fmt.Sprintf("message news/7/x number-%d.", n))
	}
	if !heard() {
		t.Error("the news were not heard")
	}
	s.aws(t, "remove-thing-from-thing-group", "--thing-name", "sensor", "--thing-group-name", "floor")
	eventually(t, 10*time.Second, "the subscription ends with the group", func() bool { return !heard() })
	s.aws(t, "add-thing-to-thing-group", "--thing-name", "sensor", "--thing-group-name", "floor")
	if allowed, printed := s.may(t, sensor, "--subscribe", "news/7/#"); !allowed || heard() {
		t.Errorf("back in the group, a subscription came back by itself, or may not be made:\n%s", printed)
	}
	live.stop()
	live = s.subscribe(t, v5, sensor, "news/7/#", "own/#")
	s.aws(t, "detach-policy", "--policy-name", "news", "--target", arn("thinggroup/building"))
	eventually(t, 10*time.Second, "the subscription ends with the policy", func() bool { return !heard() })

	s.aws(t, "create-policy", "--policy-name", "closed", "--policy-document", statements(`{"Sid":"closed","Effect":"Deny","Action":"iot:Connect","Resource":"*"}`))
	from := s.log.len()
	s.aws(t, "attach-policy", "--policy-name", "closed", "--target", arn("thinggroup/building"))
	l := s.await(t, from, "the connection is closed", func(l line) bool { return l.Event == "kicked" && l.Certificate == sensor.id })
	if l.Reason != string(muster.ReasonPolicyDenied) || !strings.Contains(l.text, `policy closed version 1, Statement[0] (Sid \"closed\"), denies iot:Connect`) {
		t.Errorf("closed by %s", l.text)
	}
	if allowed, printed := s.may(t, sensor, "--connect"); allowed || !strings.Contains(printed, "> Deny   closed version 1, Statement[0]") {
		t.Errorf("closed:\n%s", printed)
	}
}

// TestPolicyTestWithoutServer asks the registry that nobody serves, and files.
func TestPolicyTestWithoutServer(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	document := statements(`{"Effect":"Allow","Action":"iot:*","Resource":["arn:aws:iot:*:*:client/sensor","arn:aws:iot:*:*:topic/${iot:Certificate.Subject.CommonName}/*"]}`)
	sensor := s.registered(t, "sensor", document)
	s.stop(t)
	file := writeFile(t, t.TempDir()+"/sensor.json", document)
	ask := func(args ...string) ended {
		return program(t, append([]string{"policy", "test", "--client", "sensor", "--connect", "--publish", "sensor/a", "--publish", "other/a", "-o", "json"}, args...)...)
	}
	for _, out := range []ended{ask("--config", s.config(), "--cert", sensor.cert), ask(file, "--cert", sensor.cert)} {
		var report struct {
			Answers []struct {
				Allowed    bool
				Statements []struct{ Role, Cause string }
			}
		}
		if err := json.Unmarshal([]byte(out.stdout), &report); err != nil || out.code != 1 || len(report.Answers) != 3 {
			t.Fatalf("%v: %+v", err, out)
		}
		for i, want := range []bool{true, true, false} {
			if a := report.Answers[i]; a.Allowed != want || (a.Statements[0].Role == "decides") != want {
				t.Errorf("answer %d: %+v", i, a)
			}
		}
	}
	bad := writeFile(t, t.TempDir()+"/bad.json", `{"Version":"2012-10-17","Statement":[{"Effect":"allow"}]}`)
	for _, tc := range []struct {
		code int
		args []string
		says []string
	}{
		{1, []string{bad, "--client", "c", "--connect"}, []string{bad, "Statement[0]", "write Allow or Deny"}},
		{1, []string{file + "x", "--client", "c", "--connect"}, []string{"policy:", "no such file"}},
		{1, []string{file, "--client", "c", "--connect", "--cert", file}, []string{"certificate", file}},
		{1, []string{file, "--client", "c", "--connect", "--thing", file + "x"}, []string{"thing", "no such file"}},
		{1, []string{file, "--client", "c", "--action", "iot:Fly", "--resource", "topic/a"}, []string{"iot:Fly", "iot:Publish"}},
		{1, []string{file, "--client", "c", "--action", "iot:Publish", "--resource", "a"}, []string{"topic/NAME"}},
		{1, []string{file, "--client", "c", "--connect", "--connect-attribute", "Will"}, []string{"PersistentConnect or LastWill"}},
		{1, []string{"--config", s.config(), "--cert", strings.Repeat("0", 64), "--client", "c", "--connect"}, []string{"not found"}},
		{2, []string{file, "--connect"}, []string{"--client"}},
		{2, []string{file, "--client", "c"}, []string{"nothing is asked"}},
		{2, []string{file, "--client", "c", "--action", "iot:Publish"}, []string{"each action needs its resource"}},
		{2, []string{file, "--client", "c", "--connect", "--at", "noon"}, []string{"--at"}},
		{2, []string{"--client", "c", "--connect"}, []string{"--cert"}},
		{2, []string{"--client", "c", "--connect", "--cert", sensor.cert, "--thing-name", "x"}, []string{"policy files"}},
	} {
		fails(t, program(t, append([]string{"policy", "test"}, tc.args...)...), tc.code, tc.says...)
	}
}

// sensors is the setting of docs/policies.md: two devices that are registered
// without an authority.
const sensors = `
for name in sensor-1 sensor-2; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -days 30 \
    -keyout "$name-key.pem" -out "$name.pem" 2> /dev/null
  aws iot register-certificate-without-ca --endpoint-url "$AWS_ENDPOINT_URL" --status ACTIVE \
    --certificate-pem "file://$name.pem" --query certificateArn --output text > "$name.arn"
done
arn() { cat "$1.arn"; }
publish() {
  name=$1 topic=$2
  shift 2
  mosquitto_pub -V 5 -h localhost -p "${MUSTER_MQTT##*:}" --cafile "$MUSTER_CA" --cert "$name.pem" --key "$name-key.pem" \
    -i "$name" -q 1 -t "$topic" -m '{"temperature": 21.5}' "$@" 2> /dev/null
}
`

// TestPoliciesPage runs the page about policies.
func TestPoliciesPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/policies.md", sensors)
}
