package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBoto3 runs scripts such as people write, by the boto3 of the distribution.
func TestBoto3(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.certify(t)
	s.start(t)
	s.succeeds(t, "account", "create", secondAccount, "--endpoint", secondEndpoint)
	other := s.newKey(t, secondAccount)
	scripts, err := filepath.Abs("testdata/boto3")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "PYTHONPATH=" + scripts, "PYTHONDONTWRITEBYTECODE=1",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true",
		"OTHER_ACCESS_KEY_ID=" + other.ID, "OTHER_SECRET_ACCESS_KEY=" + other.Secret}
	for name, value := range s.vars {
		env = append(env, name+"="+value)
	}
	for _, name := range []string{"authority.py", "policies.py", "transfer.py"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shell := "cd " + t.TempDir() + " && exec /usr/bin/python3 -W error::DeprecationWarning:__main__ " + filepath.Join(scripts, name)
			if out := command(t, env, "/bin/sh", "-c", shell); out.code != 0 || strings.TrimSpace(out.stdout) != "" {
				t.Errorf("exit %d\n%s%s", out.code, out.stdout, out.stderr)
			}
		})
	}
}
