package awsiot_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
)

const (
	role         = "arn:aws:iam::123456789012:role/provisioning"
	allowConnect = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}`
	jitpTemplate = `{"Parameters":{"AWS::IoT::Certificate::CommonName":{"Type":"String"}},"Resources":{` +
		`"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"AWS::IoT::Certificate::CommonName"}}},` +
		`"certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}}}}`
)

// cli runs the aws-cli that Debian ships against a server.
type cli struct {
	server *server
	url    string
	dir    string // files for its arguments
	env    []string
}

func newCLI(t *testing.T) *cli {
	t.Helper()
	return newCLIOf(t, newServer(t, time.Now))
}

func newCLIOf(t *testing.T, s *server) *cli {
	t.Helper()
	listening := httptest.NewTLSServer(s)
	t.Cleanup(listening.Close)
	c := &cli{server: s, url: listening.URL, dir: t.TempDir()}
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: listening.Certificate().Raw})
	c.env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	c.env = append(c.env,
		"AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_CA_BUNDLE="+strings.TrimPrefix(c.file(t, "root.pem", root), "file://"),
		"AWS_DEFAULT_REGION="+region, "AWS_MAX_ATTEMPTS=1",
		"AWS_ACCESS_KEY_ID="+s.key.ID, "AWS_SECRET_ACCESS_KEY="+s.key.Secret)
	return c
}

// file writes a file and returns it as an argument that has its content.
func (c *cli) file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

func (c *cli) command(t *testing.T, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(t.Context(), "/usr/bin/aws",
		append([]string{"--endpoint-url", c.url, "--output", "json", "iot"}, arguments...)...)
	command.Env = c.env
	return command
}

// run returns what an operation answers.
func (c *cli) run(t *testing.T, arguments ...string) map[string]any {
	t.Helper()
	var stderr bytes.Buffer
	command := c.command(t, arguments...)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("aws iot %s: %v\n%s", strings.Join(arguments, " "), err, &stderr)
	}
	answer := make(map[string]any)
	if len(bytes.TrimSpace(out)) == 0 {
		return answer
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("aws iot %s: %v in %s", arguments[0], err, out)
	}
	return answer
}

// refuse demands that an operation fails by this error.
func (c *cli) refuse(t *testing.T, code string, arguments ...string) {
	t.Helper()
	out, err := c.command(t, arguments...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "An error occurred ("+code+")") {
		t.Errorf("aws iot %s: %v, %s; want %s", strings.Join(arguments, " "), err, out, code)
	}
}

func at(t *testing.T, answer map[string]any, path ...string) any {
	t.Helper()
	var value any = answer
	for _, name := range path {
		object, ok := value.(map[string]any)
		if !ok {
			t.Fatalf("no %s in %v", strings.Join(path, "."), answer)
		}
		value = object[name]
	}
	return value
}

func want(t *testing.T, answer map[string]any, value any, path ...string) {
	t.Helper()
	if got := at(t, answer, path...); got != value {
		t.Errorf("%s is %v, want %v", strings.Join(path, "."), got, value)
	}
}

func text(t *testing.T, answer map[string]any, path ...string) string {
	t.Helper()
	s, ok := at(t, answer, path...).(string)
	if !ok {
		t.Fatalf("no text %s in %v", strings.Join(path, "."), answer)
	}
	return s
}

// count returns the length of a list.
func count(t *testing.T, answer map[string]any, path ...string) int {
	t.Helper()
	list, ok := at(t, answer, path...).([]any)
	if !ok {
		t.Fatalf("no list %s in %v", strings.Join(path, "."), answer)
	}
	return len(list)
}

// TestCLI walks through every operation. Each call of aws-cli takes a second, so
// that the subtests build upon each other.
func TestCLI(t *testing.T) {
	c := newCLI(t)
	var ca, device string // IDs
	authority := newAuthority(t, "Factory")
	leaf := issue(t, authority)
	deviceFile := c.file(t, "device.pem", leaf.CertPEM())

	t.Run("authority", func(t *testing.T) { ca = testCLIAuthority(t, c, authority.CertPEM(), authority.Verification) })
	t.Run("tags", func(t *testing.T) { testCLITags(t, c, muster.ARN(region, account, "cacert/"+ca)) })
	t.Run("certificates", func(t *testing.T) { device = testCLICertificates(t, c, ca, deviceFile) })
	t.Run("policies", func(t *testing.T) { testCLIPolicies(t, c, muster.ARN(region, account, "cert/"+device)) })
	t.Run("things", func(t *testing.T) { testCLIThings(t, c) })
	t.Run("provisioned", func(t *testing.T) { testCLIProvisioned(t, c, ca, string(issue(t, authority).CertPEM())) })
	t.Run("refusals", func(t *testing.T) { testCLIRefusals(t, c, device) })
	t.Run("end", func(t *testing.T) { testCLIEnd(t, c, ca, device) })
}
