package e2e_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
)

// TestTemplatesPage runs the examples of the page.
func TestTemplatesPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/templates.md", "")
}

// overriding is the template of the setting, with settings for its thing.
func overriding(settings string) string {
	return strings.Replace(template, `"Type": "AWS::IoT::Thing",`, `"Type": "AWS::IoT::Thing", "OverrideSettings": `+settings+`,`, 1)
}

// rebind gives an authority a template of its own.
func (s *server) rebind(t *testing.T, a *authority, name, body string) {
	t.Helper()
	s.call(t, "POST", "/provisioning-templates", nil, object{"templateName": name, "type": "JITP",
		"templateBody": body, "enabled": true, "provisioningRoleArn": role})
	s.call(t, "PUT", "/cacertificate/"+a.id, nil, object{"registrationConfig": object{"templateName": name}})
}

// TestOverrides provisions devices whose things exist, made by an operator or by
// the template of another authority.
func TestOverrides(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.prepare(t)
	first, second := newAuthority(t, "First CA"), newAuthority(t, "Second CA")
	s.register(t, first, provisioned())
	s.register(t, second, provisioned())
	for _, name := range []string{"kept", "merged", "failing"} {
		s.aws(t, "create-thing", "--thing-name", name, "--attribute-payload", `{"attributes": {"line": "1", "room": "12"}}`)
	}

	kept := first.device(t, "kept")
	s.admit(t, v5, kept)
	s.thing(t, "kept", "", "1", "12", 1)

	s.rebind(t, first, "merge", overriding(`{"ATTRIBUTE_PAYLOAD": "MERGE", "ThingTypeName": "REPLACE", "ThingGroups": "MERGE"}`))
	s.admit(t, v5, first.device(t, "merged"))
	s.thing(t, "merged", "sensor", "7", "12", 2)
	s.admit(t, v5, first.issue(t, "merged", rsa, "")) // a renewed certificate
	s.thing(t, "merged", "sensor", "7", "12", 2)

	// Another authority takes over what settings say, and nothing without.
	s.admit(t, v3, first.device(t, "made"))
	taker := second.device(t, "made")
	s.refuse(t, taker, muster.ReasonProvisioningFailed)
	s.explained(t, taker.cert, "not taken over", "OverrideSettings")
	s.thing(t, "made", "sensor", "7", nil, 1)
	s.rebind(t, second, "replace", strings.Replace(overriding(`{"AttributePayload": "REPLACE"}`), `"7"`, `"8"`, 1))
	s.admit(t, v5, taker)
	s.thing(t, "made", "sensor", "8", nil, 2)

	s.rebind(t, second, "fail", overriding(`{"ThingGroups": "FAIL"}`))
	failing := second.device(t, "failing")
	s.refuse(t, failing, muster.ReasonProvisioningFailed)
	s.explained(t, failing.cert, `the thing "failing" exists`, "FAIL for ThingGroups")
	s.thing(t, "failing", "", "1", "12", 1)
	s.call(t, "DELETE", "/things/failing", nil, nil)
	s.admit(t, v3, failing)
	s.thing(t, "failing", "sensor", "7", nil, 1)
}

// thing demands what a thing has become. A room of nil is none.
func (s *server) thing(t *testing.T, name, kind, line string, room any, version float64) {
	t.Helper()
	answer := s.call(t, "GET", "/things/"+name, nil, nil)
	answer.want(t, line, "attributes", "line")
	answer.want(t, room, "attributes", "room")
	answer.want(t, version, "version")
	if got, _ := answer.at("thingTypeName").(string); got != kind {
		t.Errorf("thing %s is of type %q, want %q", name, got, kind)
	}
}

// TestTemplateCommands lints and tests without a server, and replays with one
// that runs and with one that does not.
func TestTemplateCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := writeFile(t, filepath.Join(dir, "good.json"), template)
	bad := writeFile(t, filepath.Join(dir, "bad.json"), strings.Replace(template, "ThingName", "ThingNane", 1))
	needy := writeFile(t, filepath.Join(dir, "needy.json"), strings.Replace(template, `"7"`, `{"Ref": "Muster::Certificate::DNSName"}`, 1))
	factory := newAuthority(t, "Factory CA")
	named := factory.issue(t, "named", curve, deviceExtensions+"subjectAltName=DNS:named.example\n")
	plain := factory.device(t, "plain")

	if out := program(t, "template", "lint", good); out != (ended{stdout: good + ": nothing to mend\n"}) {
		t.Errorf("of a good template: %+v", out)
	}
	out := program(t, "template", "lint", "-o", "json", good, bad)
	var found struct {
		File, Severity, Path, Problem, Mend string
		Line                                int
	}
	if err := json.Unmarshal([]byte(out.stdout), &found); err != nil || out.code != 1 || out.stderr != "muster: 1 error and 0 warnings\n" ||
		found.File != bad || found.Severity != "error" || found.Line != 5 || !strings.Contains(found.Mend, "did you mean ThingName?") {
		t.Errorf("of a bad one: %+v, %+v, %v", out, found, err)
	}
	if out := program(t, "template", "test", needy, "--cert", named.cert); out.code != 0 || !strings.Contains(out.stdout, `line = "named.example"`) {
		t.Errorf("of a certificate: %+v", out)
	}
	fails(t, program(t, "template", "test", needy, "--cert", plain.cert), 1, needy, "line 6", "DNSName")
	fails(t, program(t, "template", "test", bad, "--cert", plain.cert), 1, bad, "line 5", "ThingNane")
	fails(t, program(t, "template", "test", good, "--cert", good), 1, good, "CERTIFICATE")
	fails(t, program(t, "template", "test", good, "--cert", plain.cert, "--param", "AWS::IoT::Certificate::CommonName=x"), 1, "CommonName", "--cert")
	fails(t, program(t, "template", "test", good, "--param", "Lamp=x"), 1, `"Lamp"`, good)
	fails(t, program(t, "template", "lint", filepath.Join(dir, "none.json")), 1, "none.json")
	for _, args := range [][]string{
		{"lint"}, {"test", good}, {"test", good, "--cert", plain.cert, "--replay", "1"}, {"test", good, "--replay", "0"},
		{"test", good, "--param", "a"}, {"test", good, "--cert", plain.cert, "--authority", "ab"},
		{"list", "lamp"}, {"show"}, {"set"}, {"test", good, "--register-thing", "--cert", plain.cert}, {"test", good, "--register-thing", "--replay", "1"},
	} {
		fails(t, program(t, append([]string{"template"}, args...)...), 2, "--help")
	}
	fails(t, program(t, "template", "set", "lamp"), 2, "--default")
	fails(t, program(t, "template", "set", "lamp", "--enabled", "perhaps"), 2, "on or off")
	fails(t, program(t, "template", "show", "lamp", "--version", "0"), 2, "--version")
	fails(t, program(t, "template", "show", "lamp", "--body", "-o", "json"), 2, "--body")

	s := startServer(t)
	s.prepare(t)
	s.register(t, factory, provisioned())
	s.admit(t, v5, plain)
	s.admit(t, v5, named)
	s.replays(t, good, needy, bad)
	s.stop(t)
	s.replays(t, good, needy, bad)
}

func (s *server) replays(t *testing.T, good, needy, bad string) {
	t.Helper()
	replay := func(args ...string) ended {
		return program(t, append([]string{"template", "test", "--config", s.config()}, args...)...)
	}
	if out := replay(good, "--replay", "10", "--template", "sensor"); out != (ended{stdout: "2 certificates: 2 the same, 0 changed, 0 now fail, 0 now work, 0 fail as before\n"}) {
		t.Errorf("of the same template: %+v", out)
	}
	out := replay(needy, "--replay", "10")
	if out.code != 1 || out.stderr != "muster: 1 certificate would fail that the template in force registers\n" {
		t.Errorf("of another: %+v", out)
	}
	if line := firstMissing(`certificate … (CN=named): changed
-  attribute  line = "7"
+  attribute  line = "named.example"
certificate … (CN=plain): NOW FAILS
-thing        plain
2 certificates: 0 the same, 1 changed, 1 now fail, 0 now work, 0 fail as before
`, out.stdout); line != "" {
		t.Errorf("%q is not in\n%s", line, out.stdout)
	}
	if out := replay(needy, "--replay", "1", "-o", "json"); out.code != 0 || strings.Count(out.stdout, "\n") != 1 || !strings.Contains(out.stdout, `"outcome":"changed"`) {
		t.Errorf("of the newest alone: %+v", out)
	}
	fails(t, replay(bad, "--replay", "1"), 1, bad, "ThingNane")
	fails(t, replay(good, "--replay", "1", "--template", "none"), 1, "none", "not found")
	fails(t, replay(good, "--replay", "1", "--authority", strings.Repeat("0", 64)), 1, "not found")
	fails(t, replay(good, "--replay", "1", "--account", "999999999999"), 1, "999999999999", "not found")
}
